/* test_notifier.c - what the supervisor has to tell the manager while the guardian, which passes it on, has no room. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/notify.h"
#include "guardian/message.h"

static struct supervisor s;
static struct holder h;
static struct notifier *n;
static int guardian = -1;
static struct loop_io heard;
static char told[MESSAGE_BYTES];

static int set_up(void **state)
{
    (void)state;
    int pair[2];
    memset(&s, 0, sizeof(s));
    memset(&h, 0, sizeof(h));
    if (loop_new(&s.loop) < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return -1;
    guardian = pair[0];
    h.fd = pair[1];
    h.notify = true;
    alarm(60); /* where nothing comes the loop turns for ever */
    return notifier_new(&s, &h, &n);
}

static int tear_down(void **state)
{
    (void)state;
    alarm(0);
    notifier_free(n);
    loop_io_clear(&heard);
    loop_free(s.loop);
    holder_done(&h);
    cleanup_close(&guardian);
    cleanup_close(&h.fd);
    return 0;
}

static void on_heard(int fd, unsigned what, void *arg)
{
    (void)what, (void)arg;
    struct message_op op = { 0 };
    struct iovec iov[2] = { { &op, sizeof(op) }, { told, sizeof(told) - 1 } };
    ssize_t len = recvmsg(fd, &(struct msghdr){ .msg_iov = iov, .msg_iovlen = 2 }, 0);
    assert_true(len >= (ssize_t)sizeof(op));
    assert_int_equal(op.kind, MESSAGE_NOTIFY);
    told[(size_t)len - sizeof(op)] = '\0';
    loop_stop(s.loop);
}

/* The next message that the guardian is sent. */
static const char *next(void)
{
    assert_int_equal(loop_io_set(s.loop, &heard, guardian, LOOP_READ, LOOP_LIFE, on_heard, NULL), 0);
    assert_int_equal(loop_run(s.loop), 0);
    loop_io_clear(&heard);
    return told;
}

static void fill(void)
{
    while (send(h.fd, "x", 1, 0) == 1)
        continue;
    assert_int_equal(errno, EAGAIN);
}

static void empty(void)
{
    char x[2];
    while (recv(guardian, x, sizeof(x), 0) == 1)
        continue;
    assert_int_equal(errno, EAGAIN); /* nothing else was among them */
}

static void on_time(void *arg)
{
    (void)arg;
    loop_stop(s.loop);
}

/* So that what is to be tried again is tried, and refused. */
static void turn_for(usec_t time)
{
    struct loop_timer timer = { 0 };
    assert_int_equal(loop_timer_set(s.loop, &timer, loop_now(s.loop) + time, on_time, NULL), 0);
    assert_int_equal(loop_run(s.loop), 0);
    loop_timer_clear(&timer);
}

#define NOBODY "STATUS=0 processes: 0 running, 0 starting, 0 in backoff, 0 fatal\n"

static void test_told_at_once(void **state)
{
    (void)state;
    notifier_ready(n);
    assert_string_equal(next(), "READY=1\n" NOBODY);
    notifier_stopping(n);
    assert_string_equal(next(), "STOPPING=1\n" NOBODY);
    empty();
}

static void test_the_last_state_is_told_when_there_is_room(void **state)
{
    (void)state;
    fill();
    notifier_reloading(n);
    turn_for(50 * USEC_PER_MSEC);
    notifier_ready(n);
    notifier_changed(n);
    turn_for(600 * USEC_PER_MSEC); /* a status goes by, which says less */
    empty();
    assert_string_equal(next(), "READY=1\n" NOBODY);
    notifier_changed(n);
    assert_string_equal(next(), NOBODY); /* and nothing twice */
    empty();
}

static void test_a_status_is_not_kept(void **state)
{
    (void)state;
    fill();
    notifier_changed(n);
    turn_for(600 * USEC_PER_MSEC);
    empty();
    notifier_ready(n);
    assert_string_equal(next(), "READY=1\n" NOBODY);
    empty();
}

static void test_the_end_with_something_owed(void **state)
{
    (void)state;
    fill();
    notifier_stopping(n);
    turn_for(50 * USEC_PER_MSEC);
}

static void test_nobody_listens(void **state)
{
    (void)state;
    h.notify = false;
    notifier_reloading(n);
    notifier_ready(n);
    notifier_changed(n);
    empty();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_told_at_once),         TEST(test_the_last_state_is_told_when_there_is_room),
        TEST(test_a_status_is_not_kept), TEST(test_the_end_with_something_owed),
        TEST(test_nobody_listens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
