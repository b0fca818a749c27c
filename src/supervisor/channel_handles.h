/* channel_handles.h - descriptors that are on their way through us; see channel_handles.c
 * and channel_box.c. */
#pragma once

#include "supervisor/channel.h"
#include "supervisor/channel_queue.h"

#define CHANNEL_HANDLES_MAX 16 /* that wait for one receiver: each is an open file of ours */

/* -- channel_handles.c -------------------------------------------------------------- */

struct channel_debt *channel_debt_new(struct channel *ch); /* NULL without memory */
void channel_debts_forget(struct channel *ch);
void channel_deal_begin(struct channel *ch, const struct channel_mark *m); /* NULL: none */
void channel_append_handle(struct channel *ch, const struct iovec *parts, unsigned n);
void channel_handle_went(struct channel *ch);                         /* the first of those that wait */
void channel_handle_done(struct channel *ch, struct channel_mark *m); /* the descriptor is not needed any more */
void channel_handles_forget(struct channel *ch, int error);
void channel_look_at_unacked(struct channel *ch);
void channel_wait_for_ack(struct channel *ch);

/* -- channel_box.c ------------------------------------------------------------------ */

void channel_look_at_handles(struct channel *ch); /* those that have waited for a moment are put into boxes */
void channel_box_done(struct channel *ch, struct channel_mark *m);
void channel_open_boxes(struct channel *ch); /* of a supervisor before us */
