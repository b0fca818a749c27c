/* test_channel.c - what comes through a channel: lines, descriptors, garbage, a pause, its end. */
#include "cmocka_all.h"

#include <fcntl.h>
#include <sys/resource.h>

#include "channel_bench.h"

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
        cmocka_unit_test_setup_teardown(pausing, setup, teardown),
        cmocka_unit_test_setup_teardown(their_end, setup, teardown),
        cmocka_unit_test_setup_teardown(last_words, setup, teardown),
        cmocka_unit_test_setup_teardown(freed_in_a_callback, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
