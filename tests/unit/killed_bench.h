/* killed_bench.h - a supervisor between two processes that is stopped at each single instruction, to be asked
 * what somebody who goes on after it would make of what it left behind. */
#pragma once

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <linux/sockios.h>

#include "channel_bench.h"
#include "supervisor/channel_desk.h"
#include "supervisor/channel_keep.h"

#define STEPS_MAX 5000000

/* -- what outlives it ------------------------------------------------------------- */

struct lane {
    int ours, peer, memory;
};

struct watched {
    struct lane from, to;
    int desk;
};

static inline void lane_open(struct lane *l, int room)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    *l = (struct lane){ .ours = fds[0], .peer = fds[1], .memory = memfd_create("lane", MFD_CLOEXEC) };
}

static inline void lane_close(struct lane *l)
{
    close(l->ours);
    close(l->peer);
    close(l->memory);
}

static inline void watched_open(struct watched *w, int room)
{
    lane_open(&w->from, 400000);
    lane_open(&w->to, room);
    w->desk = memfd_create("desk", MFD_CLOEXEC);
}

static inline void watched_close(struct watched *w)
{
    lane_close(&w->from);
    lane_close(&w->to);
    close(w->desk);
}

/* -- in a child ---------------------------------------------------------------------- */

static inline void watched_nothing(struct channel *ch, void *arg)
{
    (void)ch;
    (void)arg;
}

/* Both channels; `message` gets what comes over the first. */
static inline struct loop *watched_begin(const struct watched *w,
                                         void (*message)(struct channel *, struct channel_message *, void *), void *arg,
                                         struct channel **to)
{
    static const struct ipc_settings settings = { .max_message = 100000,
                                                  .queue_bytes = 400000,
                                                  .queue_messages = 1000 };
    static struct channel_owner both;
    struct loop *loop;
    struct channels *hub;
    struct channel *from;
    both = (struct channel_owner){ .keys = &keys, .message = message, .ended = watched_nothing };
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    if (loop_new(&loop) < 0 || channels_new(loop, w->desk, &hub) < 0 ||
        channel_new(hub, w->to.ours, w->to.memory, &settings, &both, arg, to) < 0 ||
        channel_new(hub, w->from.ours, w->from.memory, &settings, &both, arg, &from) < 0)
        _exit(1);
    return loop;
}

/* -- who watches ------------------------------------------------------------------------ */

/* A copy of what is in a memfd at this instant. */
static inline void *copy_of(int memory)
{
    struct stat st;
    assert_int_equal(fstat(memory, &st), 0);
    void *copy = malloc((size_t)st.st_size);
    assert_non_null(copy);
    assert_int_equal(pread(memory, copy, (size_t)st.st_size, 0), st.st_size);
    return copy;
}

/* What would be so after a death at this instant. */
struct left {
    struct channel_desk *desk;
    struct channel_keep *from, *to;
    struct channel_state from_state, to_state;
};

static inline void left_read(struct left *l, const struct watched *w)
{
    l->desk = copy_of(w->desk);
    l->from = copy_of(w->from.memory);
    l->to = copy_of(w->to.memory);
    assert_true(channel_keep_restore(l->from, l->desk, &l->from_state));
    assert_true(channel_keep_restore(l->to, l->desk, &l->to_state));
}

static inline void left_done(struct left *l)
{
    free(l->desk);
    free(l->from);
    free(l->to);
}

/* Bytes that may be read there. */
static inline size_t bytes_at(int fd)
{
    int n = 0;
    assert_int_equal(ioctl(fd, SIOCINQ, &n), 0);
    return (size_t)n;
}

/* All that says what is so; the lines themselves are looked at now and then. */
struct heads {
    char desk[offsetof(struct channel_desk, batch)], from[sizeof(struct channel_keep)], to[sizeof(struct channel_keep)];
};

static inline void heads_read(struct heads *h, const struct watched *w)
{
    assert_int_equal(pread(w->desk, h->desk, sizeof(h->desk), 0), sizeof(h->desk));
    assert_int_equal(pread(w->from.memory, h->from, sizeof(h->from), 0), sizeof(h->from));
    assert_int_equal(pread(w->to.memory, h->to, sizeof(h->to), 0), sizeof(h->to));
}

/* It stops itself where that begins which matters. */
static inline void watched_stopped(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
}

/* Until it stops itself once more or look() has seen enough; then it is killed. */
static inline void watched_step(const struct watched *w, pid_t pid, bool (*look)(void *arg), void *arg)
{
    int status;
    struct heads heads[2];
    bool enough = false;
    memset(&heads[1], 0, sizeof(heads[1]));
    for (unsigned steps = 0; !enough; steps++) {
        assert_true(steps < STEPS_MAX);
        heads_read(&heads[steps % 2], w);
        if (steps % 64 == 0 || memcmp(&heads[0], &heads[1], sizeof(heads[0])) != 0)
            enough = look(arg);
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, 0), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSTOPPED(status));
        enough = enough || WSTOPSIG(status) != SIGTRAP;
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static inline void put_at(int fd, const char *line, size_t len)
{
    assert_int_equal(send(fd, line, len, MSG_NOSIGNAL), (ssize_t)len);
}
