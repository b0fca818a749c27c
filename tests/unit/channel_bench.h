/* channel_bench.h - a channel over a real socketpair: its owner notes what it is told, and the
 * test has the process's end. */
#pragma once

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "loop_bench.h"
#include "os/fdio.h"
#include "supervisor/channel.h"

struct world {
    struct loop *loop;
    struct channels *hub;
    struct channel *ch;
    int peer;
    char log[8192]; /* what the owner was told */
    int pause_at;   /* pauses when that many messages have come; 0: never */
    int free_at;
    int messages, rooms, ended;
    int fd;     /* the last that came */
    int result; /* of the last tag */
    uint64_t tag;
};

static inline void note(struct world *w, const char *text, size_t len)
{
    size_t n = strlen(w->log);
    snprintf(w->log + n, sizeof(w->log) - n, "%.*s ", (int)(len < 64 ? len : 64), text);
}

static inline void on_message(struct channel *ch, struct channel_message *m, void *arg)
{
    struct world *w = arg;
    note(w, m->text, m->len);
    if (m->fd >= 0) {
        cleanup_close(&w->fd);
        w->fd = TAKE_FD(m->fd);
    }
    w->messages++;
    if (w->messages == w->pause_at)
        channel_pause(ch, CHANNEL_PAUSE_RELAY);
    if (w->messages == w->free_at) {
        channel_free(w->ch);
        w->ch = NULL;
    }
}

static inline void on_fault(struct channel *ch, const struct channel_fault *f, void *arg)
{
    static const char *const words[] = { "malformed", "oversized", "no-handle", "stray" };
    char text[64];
    (void)ch;
    note(arg, text, (size_t)snprintf(text, sizeof(text), "<%s:%d>", words[f->kind], (int)f->len));
}

static inline void on_sent(struct channel *ch, uint64_t tag, int result, void *arg)
{
    struct world *w = arg;
    (void)ch;
    w->tag = tag;
    w->result = result;
}

static inline void on_room(struct channel *ch, void *arg)
{
    (void)ch;
    ((struct world *)arg)->rooms++;
}

static inline void on_ended(struct channel *ch, void *arg)
{
    struct world *w = arg;
    assert_false(channel_is_open(ch));
    w->ended++;
}

static const struct jsonscan_keys keys = { .n = NODE_KEYS, .keys = { NODE_KEYS_LIST } };
static const struct channel_owner owner = {
    .keys = &keys, .message = on_message, .fault = on_fault, .sent = on_sent, .room = on_room, .ended = on_ended
};

static inline int setup(void **state)
{
    static const struct ipc_settings settings = { .max_message = 4000, .queue_bytes = 400000, .queue_messages = 1000 };
    struct world *w = calloc(1, sizeof(*w));
    int fds[2], small = 4096;
    w->fd = -1;
    assert_int_equal(loop_new(&w->loop), 0);
    assert_int_equal(channels_new(w->loop, -1, &w->hub), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    w->peer = fds[1];
    assert_int_equal(channel_new(w->hub, fds[0], -1, &settings, &owner, w, &w->ch), 0);
    *state = w;
    return 0;
}

static inline int teardown(void **state)
{
    struct world *w = *state;
    channel_free(w->ch);
    channels_free(w->hub);
    loop_free(w->loop);
    cleanup_close(&w->peer);
    cleanup_close(&w->fd);
    free(w);
    return 0;
}

/* A socketpair is without delay, so a few turns are enough for everything. */
static inline void turns(struct world *w)
{
    for (int i = 0; i < 8; i++) {
        struct loop_work work = { 0 };
        loop_defer(w->loop, &work, stop, w->loop);
        assert_int_equal(loop_run(w->loop), 0);
    }
}

static inline void say(struct world *w, const char *text, int fd)
{
    struct iovec part = { .iov_base = (char *)text, .iov_len = strlen(text) };
    assert_int_equal(fdio_send(w->peer, &part, 1, fd, NULL), (ssize_t)strlen(text));
}

static inline void expect(struct world *w, const char *log)
{
    turns(w);
    assert_string_equal(w->log, log);
    w->log[0] = '\0';
}

static inline int send_text(struct world *w, const char *text, unsigned flags, uint64_t tag)
{
    struct iovec part = { .iov_base = (char *)text, .iov_len = strlen(text) };
    return channel_send(w->ch, &part, 1, flags, tag);
}

/* What the process reads at once; its descriptor, if one came, goes into *fd. */
static inline const char *hear(struct world *w, int *fd)
{
    static char data[65536];
    struct fdio_received got = { .n_fds = 0 };
    ssize_t n = fdio_receive(w->peer, data, sizeof(data) - 1, &got, NULL);
    data[n > 0 ? n : 0] = '\0';
    assert_true(got.n_fds <= 1);
    if (fd != NULL)
        *fd = got.n_fds > 0 ? got.fds[0] : -1;
    else
        assert_int_equal(got.n_fds, 0);
    return n == 0 ? "END" : data;
}
