/* start_queue.c - see start_queue.h.
 *
 * Owns the order in which what is to run is started.  Starts are made a few a
 * turn, so that a thousand of them do not keep the control socket waiting.  Each
 * takes a tenth of a millisecond here, but ten times that on its way to its
 * program, and the programs of tight loops are on that way most of the time: they
 * keep every processor busy, and whoever asks us something would queue up behind
 * them.  So while somebody asks, one is made at a time, and the next one when that
 * has come to its end, or after a breath. */
#include "supervisor/start_queue.h"

#include "base/cleanup.h"
#include "supervisor/child_output.h"
#include "supervisor/kept.h"
#include "supervisor/supervisor.h"

#define PER_TURN 8                           /* made together, see os/spawn.h */
#define BREATH (1 * USEC_PER_MSEC)           /* between two starts while somebody asks */
#define BREATHS_MAX 200                      /* that the guardian is given to catch up */
#define SHORTAGE_PAUSE (100 * USEC_PER_MSEC) /* between two that may find that something is lacking */

static void on_work(void *arg);

/* -- the queue -------------------------------------------------------------- */

void start_queue_add(struct child *c)
{
    struct start_queue *q = &c->supervisor->queue;
    start_queue_look(c->supervisor);
    if (c->spawn_queued)
        return;
    c->spawn_queued = true;
    c->spawn_next = NULL;
    if (q->tail != NULL)
        q->tail->spawn_next = c;
    else
        q->head = c;
    q->tail = c;
}

void start_queue_forget(struct child *c)
{
    struct start_queue *q = &c->supervisor->queue;
    if (!c->spawn_queued)
        return;
    struct child **at = &q->head;
    struct child *before = NULL;
    while (*at != c) {
        before = *at;
        at = &(*at)->spawn_next;
    }
    *at = c->spawn_next;
    if (q->tail == c)
        q->tail = before;
    c->spawn_queued = false;
}

void start_queue_look(struct supervisor *s)
{
    loop_defer(s->loop, &s->queue.work, on_work, s);
}

void start_queue_done(struct supervisor *s)
{
    loop_undefer(s->loop, &s->queue.work);
    loop_timer_clear(&s->queue.timer);
}

static void tell(struct supervisor *s)
{
    if (s->queue.told)
        return;
    s->queue.told = true;
    if (s->options.started != NULL)
        s->options.started(s->options.arg);
}

/* -- pauses ----------------------------------------------------------------- */

static void on_pause_end(void *arg)
{
    struct supervisor *s = arg;
    s->queue.pause = false;
    s->queue.alone = 0;
    start_queue_look(s);
}

static void pause_for(struct supervisor *s, usec_t length, pid_t alone)
{
    struct start_queue *q = &s->queue;
    q->pause = loop_timer_set(s->loop, &q->timer, usec_now(CLOCK_MONOTONIC) + length, on_pause_end, s) == 0;
    q->alone = q->pause ? alone : 0;
}

void start_queue_ended(struct supervisor *s, pid_t pid)
{
    if (s->queue.alone == 0 || s->queue.alone != pid)
        return;
    loop_timer_clear(&s->queue.timer);
    on_pause_end(s);
}

void start_queue_lack(struct supervisor *s)
{
    s->queue.lack = true;
}

/* -- starting --------------------------------------------------------------- */

/* The next ones of the queue that are to be started. */
static size_t take(struct supervisor *s, struct child **list, size_t most)
{
    size_t n = 0;
    while (s->queue.head != NULL && n < most) {
        struct child *c = s->queue.head;
        start_queue_forget(c);
        if (c->process.state != PROCESS_STARTING || c->process.pid != 0)
            continue;
        if (s->state != SUPERVISOR_RUNNING) /* what exits by itself while all is being stopped is not started again */
            supervisor_stop(c, false);
        else if (!child_output_holds_start(c)) /* or else it comes again when its log takes something */
            list[n++] = c;
    }
    return n;
}

static void make(struct child *const *list, size_t n)
{
    if (n > 0 && child_spawn_all(list, n) < 0)
        for (size_t i = 0; i < n; i++)
            supervisor_handle(list[i], PROCESS_SPAWN_POSTPONED, 0, (struct exit_cause){ .kind = EXIT_NONE });
}

/* It is told of each birth before that is made.  Where it is behind, a breath is enough;
 * where it hangs, the start itself says so. */
static bool waits_for_guardian(struct supervisor *s)
{
    struct start_queue *q = &s->queue;
    if (q->head == NULL || kept_has_room() || ++q->breaths >= BREATHS_MAX) {
        q->breaths = 0;
        return false;
    }
    pause_for(s, BREATH, 0);
    return q->pause;
}

static void on_work(void *arg)
{
    struct supervisor *s = arg;
    struct start_queue *q = &s->queue;
    struct child *list[PER_TURN];
    if (q->pause || waits_for_guardian(s))
        return;
    bool asked = loop_is_asked(s->loop);
    size_t n = take(s, list, asked || q->lack ? 1 : PER_TURN);
    q->lack = false;
    make(list, n);
    if (q->lack) /* what one start lacks the others would lack, too: one of them finds out for all */
        pause_for(s, SHORTAGE_PAUSE, 0);
    else if (n > 0 && asked)
        pause_for(s, BREATH, list[0]->process.pid);
    else if (q->head != NULL)
        start_queue_look(s);
    if (q->lack || q->head == NULL)
        tell(s);
}
