/* child_take.c - see child_take.h.
 *
 * Owns nothing for longer than a call: what it takes out of a plan belongs to the
 * child from then on, and what it leaves there is closed with the plan. */
#include "supervisor/child_take.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervisor/child_ipc.h"
#include "supervisor/child_output.h"
#include "supervisor/kept.h"
#include "supervisor/supervisor.h"

static struct stream_options options_of(const struct child *c)
{
    return (struct stream_options){ .strip_ansi = c->supervisor->config->daemon.strip_ansi,
                                    .format = c->process.program->common->log_format,
                                    .overflow = c->process.program->common->log_overflow,
                                    .process = event_name_text(c->name),
                                    .capture = c->supervisor->capture };
}

static int take_duplex(struct child *c, struct child_plan *p, unsigned i)
{
    struct duplex *d;
    int r = duplex_new(c->supervisor->loop, p->ours[i], (int)i, child_duplex_output, c, &d);
    if (r < 0)
        return r;
    p->ours[i] = -1;
    d->next = c->duplexes;
    c->duplexes = d;
    return 0;
}

static int take_channel(struct child *c, struct child_plan *p, pid_t pid)
{
    if (p->channel_fd < 0 || p->ours[p->channel_fd] < 0)
        return 0;
    int r = child_ipc_begin(c, p->ours[p->channel_fd], p->channel_memory, pid);
    if (r < 0) {
        kept_close(&p->ours[p->channel_fd]);
        kept_close(&p->channel_memory);
    }
    p->ours[p->channel_fd] = p->channel_memory = -1;
    return r;
}

static int take_stream(struct child *c, struct child_plan *p, int i, pid_t pid)
{
    const struct stream_options o = options_of(c);
    if (p->ours[i + 1] < 0)
        return 0;
    int r =
        stream_new(c->supervisor->loop, p->ours[i + 1], i + 1, p->logs[i], &o, &child_stream_owner, c, &c->streams[i]);
    if (r < 0)
        return r;
    c->streams[i]->run = pid;
    p->ours[i + 1] = -1;
    p->logs[i] = NULL;
    return 0;
}

int child_take(struct child *c, struct child_plan *p, pid_t pid, int pidfd, bool watch)
{
    c->pidfd = pidfd;
    int r = take_channel(c, p, pid);
    int in = TAKE_FD(p->ours[0]);
    c->in = (struct feed){ .loop = c->supervisor->loop, .fd = in };
    duplex_free_all(TAKE_PTR(c->duplexes));
    int q = watch ? child_watch_exit(c) : 0;
    r = r < 0 ? r : q;
    for (int i = 0; r == 0 && i < 2; i++)
        r = take_stream(c, p, i, pid);
    for (unsigned i = 3; r == 0 && i < p->plan.n_fds; i++)
        if (p->ours[i] >= 0)
            r = take_duplex(c, p, i);
    return r;
}

int child_take_lingering(struct child *c, int fd, int number)
{
    const struct stream_options o = options_of(c);
    struct logfile *log = NULL;
    struct stream *s;
    int r = child_log_open(c, number, &log);
    if (r == 0)
        r = stream_new(c->supervisor->loop, fd, number, log, &o, &child_stream_owner, c, &s);
    if (r < 0) {
        logfile_unref(log);
        return r;
    }
    s->lingering = true;
    s->next = c->lingering;
    c->lingering = s;
    stream_drain(s);
    return 0;
}
