/* guarded.h - the supervisor's dealings with the guardian, as part of its loop. */
#pragma once

#include "guardian/holder.h"
#include "supervisor/supervisor.h"

struct guarded;

/* Says hello in the first turn; hears what the guardian has to say from then on. */
int guarded_new(struct supervisor *s, struct holder *h, struct guarded **ret);
void guarded_free(struct guarded *g);

/* A sign of life now, and from now on as often as the configuration and the service
 * manager ask for; to be called when either may have changed. */
void guarded_beat(struct guarded *g);

/* Who hears what the program answers that was sent with holder_upgrade(). */
void guarded_on_answer(struct guarded *g, void (*fn)(int status, void *arg), void *arg);

/* The files are about to be read because of a HUP; what comes of that is queued by the
 * end of this turn. */
void guarded_heeds(struct guarded *g);

/* At the end of a turn: what was queued in it goes out. */
void guarded_flush(struct guarded *g);
