/* test_channel.c - a channel over a real socketpair: what comes, what goes, what waits. */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
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

static void note(struct world *w, const char *text, size_t len)
{
    size_t n = strlen(w->log);
    snprintf(w->log + n, sizeof(w->log) - n, "%.*s ", (int)(len < 64 ? len : 64), text);
}

static void on_message(struct channel *ch, struct channel_message *m, void *arg)
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

static void on_fault(struct channel *ch, const struct channel_fault *f, void *arg)
{
    static const char *const words[] = { "malformed", "oversized", "no-handle", "stray" };
    char text[64];
    (void)ch;
    note(arg, text, (size_t)snprintf(text, sizeof(text), "<%s:%d>", words[f->kind], (int)f->len));
}

static void on_sent(struct channel *ch, uint64_t tag, int result, void *arg)
{
    struct world *w = arg;
    (void)ch;
    w->tag = tag;
    w->result = result;
}

static void on_room(struct channel *ch, void *arg)
{
    (void)ch;
    ((struct world *)arg)->rooms++;
}

static void on_ended(struct channel *ch, void *arg)
{
    struct world *w = arg;
    assert_false(channel_is_open(ch));
    w->ended++;
}

static const struct jsonscan_keys keys = { .n = NODE_KEYS, .keys = { NODE_KEYS_LIST } };
static const struct channel_owner owner = {
    .keys = &keys, .message = on_message, .fault = on_fault, .sent = on_sent, .room = on_room, .ended = on_ended
};

static int setup(void **state)
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

static int teardown(void **state)
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

static void stop(void *arg)
{
    loop_stop(arg);
}

/* A socketpair is without delay, so a few turns are enough for everything. */
static void turns(struct world *w)
{
    for (int i = 0; i < 8; i++) {
        struct loop_work work = { 0 };
        loop_defer(w->loop, &work, stop, w->loop);
        assert_int_equal(loop_run(w->loop), 0);
    }
}

static void say(struct world *w, const char *text, int fd)
{
    struct iovec part = { .iov_base = (char *)text, .iov_len = strlen(text) };
    assert_int_equal(fdio_send(w->peer, &part, 1, fd, NULL), (ssize_t)strlen(text));
}

static void expect(struct world *w, const char *log)
{
    turns(w);
    assert_string_equal(w->log, log);
    w->log[0] = '\0';
}

static int send_text(struct world *w, const char *text, unsigned flags, uint64_t tag)
{
    struct iovec part = { .iov_base = (char *)text, .iov_len = strlen(text) };
    return channel_send(w->ch, &part, 1, flags, tag);
}

/* What the process reads at once; its descriptor, if one came, goes into *fd. */
static const char *hear(struct world *w, int *fd)
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

static void messages_in(void **state)
{
    struct world *w = *state;
    say(w, "1\n{\"a\":\"b\"}\r\n \"x\" \nnu", -1);
    expect(w, "1 {\"a\":\"b\"}\r  \"x\"  ");
    say(w, "ll\n", -1);
    expect(w, "null ");
    assert_int_equal(channel_counters(w->ch)->received, 4);
}

static void bad_lines(void **state)
{
    struct world *w = *state;
    char line[5002];
    say(w, "1\n\n{]\n\"\xff\"\n2\n", -1);
    expect(w, "1 <malformed:0> <malformed:2> <malformed:3> 2 ");
    memset(line, '1', sizeof(line));
    line[5000] = '\n';
    line[5001] = '\0';
    say(w, line, -1);
    say(w, "3\n", -1);
    expect(w, "<oversized:5000> 3 ");
    assert_int_equal(channel_counters(w->ch)->malformed, 3);
    assert_int_equal(channel_counters(w->ch)->oversized, 1);
    assert_string_equal(hear(w, NULL), ""); /* nothing is said about that */
}

static void words_of_node(void **state)
{
    struct world *w = *state;
    say(w, "{\"cmd\":\"NODE_HANDLE_ACK\"}\n{\"cmd\":\"NODE_DEBUG_ENABLED\"}\n{\"cmd\":\"NODE_\"}\n", -1);
    say(w, "{\"cmd\":\"NODE_SOCKET_GET_COUNT\",\"key\":\"k\"}\n", -1);
    expect(w, "{\"cmd\":\"NODE_\"} ");
    assert_string_equal(hear(w, NULL), "{\"cmd\":\"NODE_SOCKET_COUNT\",\"key\":\"k\",\"count\":0}\n");
}

static void handle_in(void **state)
{
    struct world *w = *state;
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    say(w, "1\n", -1);
    say(w, "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":{\"h\":1}}\n", pipes[1]);
    say(w, "2\n", -1);
    expect(w, "1 {\"h\":1} 2 ");
    assert_string_equal(hear(w, NULL), NODE_ACK_LINE);
    char byte;
    assert_int_equal(write(w->fd, "x", 1), 1); /* it is that pipe */
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    assert_int_equal(fcntl(w->fd, F_GETFD), FD_CLOEXEC);
    /* sent again by Node: wrapped once more, and one answer */
    say(w,
        "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":"
        "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":5,\"key\":\"k\"}}\n",
        pipes[1]);
    expect(w, "5 ");
    assert_string_equal(hear(w, NULL), NODE_ACK_LINE);
    /* without its descriptor, and descriptors that nobody asked for */
    say(w, "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":6}\n", -1);
    expect(w, "<no-handle:49> ");
    say(w, "7\n", pipes[1]);
    expect(w, "7 <stray:0> ");
    assert_string_equal(hear(w, NULL), NODE_NACK_LINE);
    /* what carries a word of Node's own is answered and goes nowhere */
    say(w, "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":{\"cmd\":\"NODE_CLUSTER\"}}\n", pipes[1]);
    expect(w, "");
    assert_string_equal(hear(w, NULL), NODE_ACK_LINE);
    assert_int_equal(channel_counters(w->ch)->handles_received, 3);
    assert_int_equal(channel_counters(w->ch)->handles_lost, 2);
    close(pipes[0]);
    close(pipes[1]);
}

/* Without a free number the kernel throws the descriptor away, and says so. */
static void handle_without_a_number(void **state)
{
    struct world *w = *state;
    struct rlimit before, none;
    if (under_valgrind())
        skip(); /* it plays the limit of descriptors itself */
    int next = dup(w->peer);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)next;
    close(next);
    say(w, "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":6}\n", w->peer);
    say(w, "7\n", -1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    turns(w);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    expect(w, "<no-handle:49> 7 ");
    assert_string_equal(hear(w, NULL), NODE_NACK_LINE);
    assert_int_equal(channel_counters(w->ch)->handles_received, 0);
    assert_int_equal(channel_counters(w->ch)->handles_lost, 1);
}

static void sending(void **state)
{
    struct world *w = *state;
    struct iovec parts[] = { { (char *)"{\"a\":", 5 }, { (char *)"1", 1 }, { (char *)"}", 1 } };
    assert_int_equal(channel_send(w->ch, parts, 3, 0, 0), 0);
    assert_int_equal(send_text(w, "2", 0, 77), 0);
    assert_int_equal(channel_queued(w->ch), 2);
    assert_string_equal(hear(w, NULL), ""); /* at the end of the turn, */
    turns(w);
    assert_string_equal(hear(w, NULL), "{\"a\":1}\n2\n"); /* all in one */
    assert_int_equal(channel_counters(w->ch)->sent, 2);
    assert_int_equal(channel_queued(w->ch), 0);
    assert_int_equal(w->tag, 77);
    assert_int_equal(w->result, 0);
}

/* Lines that go without a copy when nothing waits: whole, cut by a socket that is full, and
 * behind others. */
static void long_lines(void **state)
{
    enum { LEN = 60000, LINES = 5 };
    struct world *w = *state;
    _cleanup_free_ char *line = malloc(LEN), *got = malloc(LINES * (LEN + 1) + 1);
    size_t n = 0;
    for (int i = 0; i < LINES; i++) {
        memset(line, 'a' + i, LEN);
        struct iovec parts[] = { { line, LEN / 2 }, { line + LEN / 2, LEN / 2 } };
        assert_int_equal(channel_send(w->ch, parts, 2, 0, (uint64_t)i + 1), 0);
    }
    assert_true(channel_queued_bytes(w->ch) > 0);
    for (int i = 0; i < 100; i++) {
        turns(w);
        ssize_t r = recv(w->peer, got + n, LINES * (LEN + 1) + 1 - n, MSG_DONTWAIT);
        n += r > 0 ? (size_t)r : 0;
    }
    assert_int_equal(n, LINES * (LEN + 1));
    for (size_t i = 0; i < n; i++)
        assert_int_equal(got[i], i % (LEN + 1) == LEN ? '\n' : 'a' + (char)(i / (LEN + 1)));
    assert_int_equal(w->tag, LINES);
    assert_int_equal(w->result, 0);
    assert_int_equal(channel_counters(w->ch)->sent, LINES);
    assert_int_equal(channel_queued(w->ch), 0);

    /* there is a room for them now: a short one, two long ones, and so once more */
    memset(line, 'l', LEN);
    assert_int_equal(send_text(w, "0", 0, 0), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(channel_send(w->ch, &(struct iovec){ line, LEN }, 1, 0, 0), 0);
        assert_int_equal(channel_send(w->ch, &(struct iovec){ line, LEN }, 1, 0, 0), 0);
        assert_int_equal(send_text(w, i == 0 ? "1" : "2", 0, 0), 0);
    }
    n = 0;
    for (int i = 0; i < 100; i++) {
        turns(w);
        ssize_t r = recv(w->peer, got + n, LINES * (LEN + 1) - n, MSG_DONTWAIT);
        n += r > 0 ? (size_t)r : 0;
    }
    assert_int_equal(n, 4 * (LEN + 1) + 6);
    assert_memory_equal(got, "0\n", 2);
    assert_memory_equal(got + 2 + 2 * (LEN + 1), "1\n", 2);
    assert_memory_equal(got + n - 2, "2\n", 2);
}

/* A line of numbers that are not the same anywhere. */
static void make_line(char line[2000], int number)
{
    memset(line, '0' + number % 10, 1999);
    snprintf(line, 12, "%011d", number);
    line[11] = ' ';
    line[1999] = '\0';
}

static void full_and_room(void **state)
{
    struct world *w = *state;
    char line[2000], expected[2000];
    int n = 0, heard = 0, r;
    while (make_line(line, n), (r = send_text(w, line, 0, (uint64_t)n + 1)) == 0)
        n++;
    assert_int_equal(r, -ENOBUFS);
    assert_true(n >= 200);
    assert_true(channel_queued_bytes(w->ch) <= 400000);
    assert_int_equal(send_text(w, "\"answer\"", CHANNEL_RESERVE, 0), 0); /* these have more room */
    turns(w);
    assert_int_equal(w->rooms, 0);
    /* words of the protocol do not wait behind all that; half a line each way needs room */
    say(w, "{\"cmd\":\"NODE_SOCKET_GET_COUNT\",", -1);
    turns(w);
    say(w, "\"key\":\"k\"}\n", -1);
    turns(w);
    _cleanup_free_ char *all = calloc(1, 1 << 20);
    const char *piece;
    do {
        piece = hear(w, NULL);
        memcpy(all + strlen(all), piece, strlen(piece) + 1);
        turns(w);
    } while (*piece != '\0');
    assert_int_equal(w->rooms, 1);
    assert_int_equal(channel_queued(w->ch), 0);
    assert_int_equal(w->tag, (uint64_t)n);
    assert_int_equal(channel_counters(w->ch)->sent, (uint64_t)n + 1);
    char *saved = NULL;
    for (char *got = strtok_r(all, "\n", &saved); got != NULL; got = strtok_r(NULL, "\n", &saved)) {
        if (strncmp(got, "{\"cmd\"", 6) == 0) {
            assert_true(heard < n / 2);
            continue;
        }
        make_line(expected, heard);
        assert_string_equal(got, heard < n ? expected : "\"answer\"");
        heard++;
    }
    assert_int_equal(heard, n + 1);
}

/* The writing end of a pipe, whose other end is w->fd. */
static int send_handle(struct world *w, const char *msg, uint64_t tag)
{
    char before[NODE_WRAP_MAX];
    int pipes[2];
    assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
    cleanup_close(&w->fd);
    w->fd = pipes[0];
    struct iovec parts[] = { { before, (size_t)node_wrap_before(NODE_TYPE_NATIVE, NODE_DGRAM_NONE, before) },
                             { (char *)msg, strlen(msg) },
                             { (char *)NODE_WRAP_BEHIND, 1 } };
    return channel_send_handle(w->ch, parts, 3, pipes[1], NULL, tag);
}

#define WRAPPED(msg) "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":" msg "}\n"

/* One at a time, each with a write of its own; others do not pass it. */
static void handles_out(void **state)
{
    struct world *w = *state;
    int fd;
    assert_int_equal(send_text(w, "1", 0, 0), 0);
    assert_int_equal(send_handle(w, "2", 2), 0);
    assert_int_equal(send_text(w, "3", 0, 0), 0);
    assert_int_equal(send_handle(w, "4", 4), 0);
    assert_int_equal(send_text(w, "5", 0, 5), 0);
    turns(w);
    assert_string_equal(hear(w, &fd), "1\n" WRAPPED("2")); /* the kernel ends a read behind it */
    assert_true(fd >= 0);
    close(fd);
    assert_string_equal(hear(w, NULL), "3\n");
    assert_string_equal(hear(w, NULL), "");
    assert_int_equal(w->tag, 0);
    say(w, NODE_ACK_LINE, -1);
    turns(w);
    assert_string_equal(hear(w, &fd), WRAPPED("4"));
    char byte;
    assert_int_equal(read(w->fd, &byte, 1), -1); /* somebody could write there: */
    close(fd);
    assert_int_equal(read(w->fd, &byte, 1), 0); /* only who has just gone */
    assert_string_equal(hear(w, NULL), "5\n");
    assert_int_equal(w->tag, 5); /* it is written, and 4 not answered */
    say(w, NODE_NACK_LINE, -1);
    turns(w);
    assert_int_equal(w->tag, 4);
    assert_int_equal(w->result, -EBADF);
    say(w, NODE_ACK_LINE, -1); /* asked for by nobody */
    turns(w);
    assert_int_equal(channel_counters(w->ch)->handles_sent, 2);
}

/* The kernel gives a descriptor to the first byte of a write, so words do not come before it. */
static void handles_have_writes_of_their_own(void **state)
{
    struct world *w = *state;
    char line[sizeof(NODE_NACK_LINE)] = "";
    struct fdio_received got = { .n_fds = 0 };
    int fd;
    say(w, WRAPPED("1"), -1);
    while (channel_counters(w->ch)->handles_lost == 0) { /* in the turn in which that is answered */
        struct loop_work work = { 0 };
        loop_defer(w->loop, &work, stop, w->loop);
        if (channel_queued(w->ch) == 0)
            assert_int_equal(send_handle(w, "2", 0), 0);
        assert_int_equal(loop_run(w->loop), 0);
    }
    turns(w);
    assert_int_equal(fdio_receive(w->peer, line, sizeof(line) - 1, &got, NULL), sizeof(line) - 1);
    assert_string_equal(line, NODE_NACK_LINE);
    assert_int_equal(got.n_fds, 0);
    assert_string_equal(hear(w, &fd), WRAPPED("2"));
    assert_true(fd >= 0);
    close(fd);
}

/* Another channel reads into the memory that all share. */
static void disturb(struct world *w)
{
    static const struct ipc_settings settings = { .max_message = 4000, .queue_bytes = 4000, .queue_messages = 10 };
    struct channel *other;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(channel_new(w->hub, fds[0], -1, &settings, &owner, w, &other), 0);
    assert_int_equal(write(fds[1], "\"another's words\"", 17), 17);
    turns(w);
    channel_free(other);
    close(fds[1]);
}

static void pausing(void **state)
{
    struct world *w = *state;
    w->pause_at = 2;
    say(w, "1\n2\n3\n4\nfi", -1);
    expect(w, "1 2 ");
    say(w, "ve\n", -1);
    expect(w, "");
    channel_pause(w->ch, CHANNEL_PAUSE_PACE);
    channel_resume(w->ch, CHANNEL_PAUSE_RELAY); /* another still has his reason */
    disturb(w);
    assert_int_equal(w->messages, 2);
    channel_resume(w->ch, CHANNEL_PAUSE_PACE);
    turns(w);
    assert_string_equal(w->log, "3 4 <malformed:4> "); /* "five" is no JSON */
}

static void their_end(void **state)
{
    struct world *w = *state;
    assert_int_equal(send_text(w, "1", 0, 9), 0);
    say(w, "1\n2\n\"half", -1);
    cleanup_close(&w->peer);
    expect(w, "1 2 ");
    assert_int_equal(w->ended, 1);
    assert_int_equal(channel_counters(w->ch)->cut, 1);
    assert_int_equal(w->tag, 9);
    assert_int_equal(w->result, -EPIPE);
    assert_int_equal(send_text(w, "1", 0, 0), -EPIPE);
}

/* All that waits is written first, and nothing half. */
static void our_end(void **state)
{
    struct world *w = *state;
    char line[2000];
    for (int i = 0; i < 50; i++) {
        make_line(line, i);
        assert_int_equal(send_text(w, line, 0, 0), 0);
    }
    channel_disconnect(w->ch);
    assert_int_equal(send_text(w, "1", 0, 0), -EPIPE);
    turns(w);
    assert_int_equal(w->ended, 0);
    say(w, "\"bye\"\n", -1);
    size_t all = 0;
    const char *piece = hear(w, NULL);
    while (strcmp(piece, "END") != 0) {
        all += strlen(piece);
        turns(w);
        piece = hear(w, NULL);
    }
    assert_int_equal(all, 50 * 2000);
    assert_int_equal(w->ended, 1);
    assert_string_equal(w->log, "\"bye\" ");
}

/* Somebody else still has the other end: what is there is read, and that is all. */
static void last_words(void **state)
{
    struct world *w = *state;
    say(w, "1\n2\n3\n", -1);
    w->pause_at = 2;
    channel_last_words(w->ch);
    assert_string_equal(w->log, "1 2 ");
    assert_int_equal(w->ended, 0);
    turns(w);
    channel_resume(w->ch, CHANNEL_PAUSE_RELAY);
    expect(w, "1 2 3 ");
    assert_int_equal(w->ended, 1);
}

static void freed_in_a_callback(void **state)
{
    struct world *w = *state;
    w->free_at = 2;
    assert_int_equal(send_text(w, "1", 0, 1), 0);
    say(w, "1\n2\n3\n", -1);
    expect(w, "1 2 ");
    assert_int_equal(w->tag, 0); /* nobody is told any more */
    assert_string_equal(hear(w, NULL), "END");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_in, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(words_of_node, setup, teardown),
        cmocka_unit_test_setup_teardown(handle_in, setup, teardown),
        cmocka_unit_test_setup_teardown(handle_without_a_number, setup, teardown),
        cmocka_unit_test_setup_teardown(sending, setup, teardown),
        cmocka_unit_test_setup_teardown(long_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(long_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(full_and_room, setup, teardown),
        cmocka_unit_test_setup_teardown(handles_out, setup, teardown),
        cmocka_unit_test_setup_teardown(handles_have_writes_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(pausing, setup, teardown),
        cmocka_unit_test_setup_teardown(their_end, setup, teardown),
        cmocka_unit_test_setup_teardown(our_end, setup, teardown),
        cmocka_unit_test_setup_teardown(last_words, setup, teardown),
        cmocka_unit_test_setup_teardown(freed_in_a_callback, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
