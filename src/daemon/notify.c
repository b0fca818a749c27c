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

struct notifier {
    struct supervisor *supervisor;
    struct holder *holder;
    struct loop_timer status_timer;
    bool status_due;
};

/* What the guardian does not take now is lost, as it is where a manager is behind. */
static void send_lines(const struct notifier *n, const struct buf *b)
{
    if (b->error == 0)
        holder_notify(n->holder, b->data, b->len);
}

int notifier_new(struct supervisor *s, struct holder *h, struct notifier **ret)
{
    struct notifier *n = calloc(1, sizeof(*n));
    if (n == NULL)
        return -ENOMEM;
    n->supervisor = s;
    n->holder = h;
    *ret = n;
    return 0;
}

void notifier_free(struct notifier *n)
{
    if (n == NULL)
        return;
    loop_timer_clear(&n->status_timer);
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

static void tell(const struct notifier *n, void (*what)(struct buf *))
{
    struct buf b = BUF_INIT(512);
    if (!n->holder->notify)
        return;
    if (what != NULL)
        what(&b);
    add_status(n, &b);
    send_lines(n, &b);
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
    send_lines(n, &b);
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
