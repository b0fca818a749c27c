/* notify.c - see notify.h.
 *
 * Owns the timers that belong to it; when nobody listens there are none.  The
 * guardian sends it on, since a manager listens to the main process only.  The watchdog is fed by the loop itself, so a
 * loop that hangs is noticed. */
#include "daemon/notify.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/notify.h"

#define STATUS_EVERY (500 * USEC_PER_MSEC)
#define OWED_EVERY (20 * USEC_PER_MSEC)

struct notifier {
    struct supervisor *supervisor;
    struct holder *holder;
    struct loop_timer status_timer;
    bool status_due;
    struct buf owed; /* a state that the guardian had no room for */
    struct loop_timer owed_timer;
};

static void tell_owed(void *arg)
{
    struct notifier *n = arg;
    struct loop *loop = n->supervisor->loop;
    if (holder_notify(n->holder, n->owed.data, n->owed.len) == -EAGAIN)
        loop_timer_set(loop, &n->owed_timer, loop_now(loop) + OWED_EVERY, tell_owed, n);
    else
        buf_reset(&n->owed);
}

/* A newer one takes its place: it may be waited for (systemctl start). */
static void send_state(struct notifier *n, const struct buf *b)
{
    if (b->error != 0)
        return;
    loop_timer_clear(&n->owed_timer);
    buf_reset(&n->owed);
    if (buf_add(&n->owed, b->data, b->len) == 0)
        tell_owed(n);
}

/* What the guardian does not take now is lost: the next comes anyhow. */
static void send_status(const struct notifier *n, const struct buf *b)
{
    if (b->error == 0 && n->owed.len == 0)
        holder_notify(n->holder, b->data, b->len);
}

int notifier_new(struct supervisor *s, struct holder *h, struct notifier **ret)
{
    struct notifier *n = calloc(1, sizeof(*n));
    if (n == NULL)
        return -ENOMEM;
    n->supervisor = s;
    n->holder = h;
    n->owed = BUF_INIT(512);
    *ret = n;
    return 0;
}

void notifier_free(struct notifier *n)
{
    if (n == NULL)
        return;
    loop_timer_clear(&n->status_timer);
    loop_timer_clear(&n->owed_timer);
    buf_done(&n->owed);
    free(n);
}

static void add_status(const struct notifier *n, struct buf *b)
{
    const struct supervisor *s = n->supervisor;
    char text[256];
    snprintf(text, sizeof(text), "%zu processes: %zu running, %zu starting, %zu in backoff, %zu fatal", s->n_children,
             supervisor_count(s, PROCESS_RUNNING), supervisor_count(s, PROCESS_STARTING),
             supervisor_count(s, PROCESS_BACKOFF), supervisor_count(s, PROCESS_FATAL));
    notify_status(b, text);
}

static void tell(struct notifier *n, void (*what)(struct buf *))
{
    struct buf b = BUF_INIT(512);
    if (!n->holder->notify)
        return;
    if (what != NULL)
        what(&b);
    add_status(n, &b);
    if (what != NULL)
        send_state(n, &b);
    else
        send_status(n, &b);
    buf_done(&b);
}

void notifier_ready(struct notifier *n)
{
    tell(n, notify_ready);
}

void notifier_reloading(struct notifier *n)
{
    struct buf b = BUF_INIT(128);
    if (!n->holder->notify)
        return;
    notify_reloading(&b, loop_now(n->supervisor->loop));
    send_state(n, &b);
    buf_done(&b);
}

void notifier_stopping(struct notifier *n)
{
    tell(n, notify_stopping);
}

static void on_status(void *arg)
{
    struct notifier *n = arg;
    n->status_due = false;
    tell(n, NULL);
}

void notifier_changed(struct notifier *n)
{
    if (n == NULL || !n->holder->notify || n->status_due)
        return;
    n->status_due = true;
    struct loop *loop = n->supervisor->loop;
    loop_timer_set(loop, &n->status_timer, loop_now(loop) + STATUS_EVERY, on_status, n);
}
