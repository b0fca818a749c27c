/* remember.c - see remember.h.
 *
 * Owns nothing: wishes and their file are those of os/intent.h.  A disk that does not
 * take a wish is no reason to refuse it: who stops a program that fills the disk must
 * not be told to make room first.  It is carried out, said, and written later. */
#include "supervisor/remember.h"

#include <string.h>
#include <time.h>

#include "base/log.h"
#include "os/intent.h"

void remember_wish(struct child *c, bool stopped)
{
    const char *name = c->process.program->name;
    int r = intent_note(c->supervisor->options.intent, c->group->group->name, name, stopped, (uint64_t)time(NULL));
    if (r < 0)
        log_error("%s: that it was %s is not remembered: %s", name, stopped ? "stopped" : "started", strerror(-r));
}

int remember_sync(struct supervisor *s)
{
    int r = intent_sync(s->options.intent);
    if (r < 0)
        log_error("what operators have stopped and started is not on the disk yet: %s", strerror(-r));
    return r;
}

bool remember_is_stopped(const struct child *c)
{
    return intent_is_stopped(c->supervisor->options.intent, c->group->group->name, c->process.program->name);
}
