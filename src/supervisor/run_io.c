/* run_io.c - what a transient process prints, and what it is given to read: its pipes in
 * a record of run.c.
 *
 * Before anything is taken out of a pipe it is noted how much of the answer there is, so
 * that whoever follows us knows whether it is in there.  Owns nothing: pipes are the
 * record's, and what is to be written lies in its berth or is a client's. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "supervisor/run_internal.h"
#include "supervisor/run_say.h"
#include "supervisor/supervisor.h"

void run_pause(struct run *r, bool paused)
{
    r->paused = paused;
    for (struct run_pipe *p = r->pipes; p != NULL; p = p->next)
        run_pipe_pause(p, paused);
}

void run_resume(struct run *r)
{
    if (!r->paused)
        return;
    run_pause(r, false);
    run_look(r);
}

/* -- what it prints ----------------------------------------------------------------- */

/* Before anything is taken: whoever finds more of the answer than there was then knows
 * that it is in there. */
static void before_output(struct run_pipe *p, void *arg)
{
    struct run *r = arg;
    r->keep->taking = r->keep->made;
    r->keep->taking_before = r->keep->taken[p->number];
}

static void after_output(struct run_pipe *p, void *arg)
{
    (void)p;
    struct run *r = arg;
    if (r->overflowed)
        run_tell_to_end(r, ENOBUFS);
}

static void on_output(struct run_pipe *p, const char *data, size_t len, void *arg)
{
    struct run *r = arg;
    struct run_keep *k = r->keep;
    if (data == NULL) {
        if (!k->told_to_end || r->pidfd >= 0) /* else run_look() has asked */
            run_look(r);
        return;
    }
    uint64_t before = k->taken[p->number];
    size_t room = before >= k->max_buffer ? 0 : (size_t)(k->max_buffer - before < len ? k->max_buffer - before : len);
    bool heard = r->client.data != NULL || r->awaited;
    if (room > 0 && heard && !run_say_output(r, p->number, data, room))
        run_pause(r, true);
    k->taken[p->number] = before + len;
    r->overflowed |= room < len;
}

/* -- its pipes ----------------------------------------------------------------- */

static int adopt_feed(struct run *r, unsigned number, int fd)
{
    struct run_feed *feed = NULL;
    if (fd < 0)
        return -errno;
    int q = run_feed_new(r->supervisor->loop, fd, (int)number, &feed);
    if (q < 0)
        return q;
    feed->given = &r->keep->given[number];
    feed->ended = &r->keep->eof;
    if (r->supervisor->options.holder != NULL)
        feed->mover = capture_mover(r->supervisor->capture);
    feed->held = !r->keep->ran; /* what one is given that is never executed, its successor would lack */
    feed->next = r->feeds;
    r->feeds = feed;
    return 0;
}

int run_adopt_pipe(struct run *r, unsigned number, int fd)
{
    struct run_pipe *pipe = NULL;
    int q = 0;
    bool at_end = (r->keep->eof >> number & 1) != 0;
    if (number == 0 && !at_end)
        return adopt_feed(r, number, fd);
    if (number == 0) { /* whoever was before us died before the guardian heard that it is closed */
        kept_close(&fd);
        return 0;
    }
    if (number >= 3 && !at_end) /* a descriptor is watched for one direction only */
        q = adopt_feed(r, number, fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (q == 0)
        q = run_pipe_new(r->supervisor->loop, fd, (int)number, on_output, r, &pipe);
    else
        kept_close(&fd);
    if (pipe == NULL)
        return q;
    if (r->supervisor->options.holder != NULL)
        pipe->mover = capture_mover(r->supervisor->capture);
    pipe->before = before_output;
    pipe->after = after_output;
    pipe->next = r->pipes;
    r->pipes = pipe;
    return 0;
}

void run_release_input(struct run *r)
{
    for (struct run_feed *f = r->feeds; f != NULL; f = f->next)
        run_feed_release(f);
}

void run_give_input(struct run *r)
{
    struct run_feed *f = r->feeds;
    struct run_keep *k = r->keep;
    while (f != NULL && f->number != 0)
        f = f->next;
    if (f == NULL || k->input_follows)
        return;
    uint64_t given = k->given[0];
    if (given >= k->input_len ||
        run_feed_write(f, k->input + given, k->input_len - (size_t)given, true, NULL, NULL) < 0)
        run_feed_close(f);
}
