/* test_channel_send.c - what goes through a channel: what waits, what is refused, handles one by one, the last of it.
 */
#include "cmocka_all.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "channel_bench.h"

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

static size_t waiting_at(int peer)
{
    int n = 0;
    assert_int_equal(ioctl(peer, FIONREAD, &n), 0);
    return (size_t)n;
}

static void put(int peer, const char *data, size_t len)
{
    assert_int_equal(send(peer, data, len, MSG_NOSIGNAL), len);
}

static void to_itself(struct channel *ch, struct channel_message *m, void *arg)
{
    struct iovec part = { (char *)(uintptr_t)m->text, m->len };
    (void)arg;
    assert_int_equal(channel_send(ch, &part, 1, 0, 0), -ENOBUFS);
}

/* Its queue is full, and a write would move the room that the line lies in: so there is none while it is at hand. */
static void full_while_a_line_is_at_hand(void **state)
{
    enum { BIG = 41000, LINES = 5, LEN = 5000 };
    static const struct ipc_settings settings = { .max_message = 100000,
                                                  .queue_bytes = LINES * (BIG + 1),
                                                  .queue_messages = 1000 };
    static const struct channel_owner own = { .keys = &keys, .message = to_itself, .ended = on_ended };
    static char big[BIG], line[LEN];
    struct world *w = *state;
    struct channel *ch;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &(int){ 1 << 20 }, sizeof(int));
    int memory = memfd_create("channel", MFD_CLOEXEC);
    assert_int_equal(channel_new(w->hub, fds[0], memory, &settings, &own, w, &ch), 0);
    memset(big, 'x', sizeof(big));
    memset(line, '1', sizeof(line));
    line[LEN - 1] = '\n';
    put(fds[1], line, LEN / 2); /* so that the rest of it comes in another turn, */
    turns(w);
    for (int i = 0; i < LINES; i++) /* in which there is much to write */
        assert_int_equal(channel_send(ch, &(struct iovec){ big, BIG }, 1, 0, 0), 0);
    put(fds[1], line + LEN / 2, LEN - LEN / 2);
    turns(w);
    assert_int_equal(waiting_at(fds[1]), LINES * (BIG + 1));
    channel_free(ch);
    close(fds[1]);
}

static void pass_on(struct channel *ch, struct channel_message *m, void *arg)
{
    struct iovec part = { (char *)(uintptr_t)m->text, m->len };
    (void)ch;
    assert_int_equal(channel_send(arg, &part, 1, 0, 0), 0);
}

/* One who reads what it is sent is not full because a turn brings more than its queue holds. */
static void more_in_a_turn_than_the_queue_holds(void **state)
{
    enum { LEN = 1000, LINES = 120, QUEUE = 60000 };
    static const struct ipc_settings settings = { .max_message = 4000, .queue_bytes = QUEUE, .queue_messages = 1000 };
    static const struct channel_owner relay = { .keys = &keys, .message = pass_on, .ended = on_ended };
    static char lines[LINES * LEN];
    struct world *w = *state;
    struct channel *to, *from;
    int out[2], in[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, out), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, in), 0);
    assert_int_equal(channel_new(w->hub, out[0], -1, &settings, &owner, w, &to), 0);
    assert_int_equal(channel_new(w->hub, in[0], -1, &settings, &relay, to, &from), 0);
    memset(lines, ' ', sizeof(lines));
    for (size_t end = LEN; end <= sizeof(lines); end += LEN)
        memcpy(lines + end - 3, "{}\n", 3);
    put(in[1], lines, sizeof(lines)); /* the first turn reads 16 KiB of it, the second all that is left */
    turns(w);
    assert_int_equal(waiting_at(out[1]), sizeof(lines));
    channel_free(from);
    channel_free(to);
    close(in[1]);
    close(out[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sending, setup, teardown),
        cmocka_unit_test_setup_teardown(long_lines, setup, teardown),
        cmocka_unit_test_setup_teardown(full_and_room, setup, teardown),
        cmocka_unit_test_setup_teardown(handles_out, setup, teardown),
        cmocka_unit_test_setup_teardown(handles_have_writes_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(our_end, setup, teardown),
        cmocka_unit_test_setup_teardown(full_while_a_line_is_at_hand, setup, teardown),
        cmocka_unit_test_setup_teardown(more_in_a_turn_than_the_queue_holds, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
