/* test_loop.c - turns, order, timers, deferred work, and what may be done inside a callback. */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "loop_bench.h"

/* The kernel has no room: this many calls fail. */
static int epoll_fails, epoll_error;

int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
    if (epoll_fails > 0 && op != EPOLL_CTL_DEL) {
        epoll_fails--;
        errno = epoll_error;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, epfd, op, fd, event);
}

/* Waits in the set itself, rather than with libevent. */
static unsigned short_waits;

int epoll_wait(int epfd, struct epoll_event *events, int n, int timeout)
{
    short_waits += timeout == 5;
    return (int)syscall(SYS_epoll_pwait, epfd, events, n, timeout, NULL, 8);
}

struct probe {
    struct loop *loop;
    struct loop_io event;
    struct loop_timer timer;
    struct loop_signal signal;
    struct loop_work work;
    unsigned calls, again;
    unsigned what;
    usec_t at;
    char *order; /* appends its mark here */
    char mark;
    int fds[2];
    struct probe *other;
};

static int setup(void **state)
{
    struct loop *l = NULL;
    assert_int_equal(loop_new(&l), 0);
    *state = l;
    return 0;
}

static int teardown(void **state)
{
    loop_free(*state);
    return 0;
}

static void note(struct probe *p)
{
    p->calls++;
    if (p->order != NULL) {
        size_t n = strlen(p->order);
        p->order[n] = p->mark;
        p->order[n + 1] = '\0';
    }
}

static void on_io(int fd, unsigned what, void *arg)
{
    struct probe *p = arg;
    char byte;
    p->what |= what;
    if (what & LOOP_READ) {
        ssize_t n = read(fd, &byte, 1);
        (void)n;
    }
    note(p);
}

static void probe_open(struct probe *p, struct loop *l)
{
    *p = (struct probe){ .loop = l };
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, p->fds), 0);
}

static void probe_close(struct probe *p)
{
    loop_io_clear(&p->event);
    close(p->fds[0]);
    close(p->fds[1]);
}

static void test_read_and_write(void **state)
{
    struct loop *l = *state;
    struct probe p;
    probe_open(&p, l);
    assert_int_equal(loop_io_set(l, &p.event, p.fds[0], LOOP_READ, LOOP_DATA, on_io, &p), 0);
    run_for(l, 2000);
    assert_int_equal(p.calls, 0);
    assert_int_equal(write(p.fds[1], "ab", 2), 2);
    RUN_UNTIL(l, p.calls >= 2);
    run_for(l, 2000);
    assert_int_equal(p.calls, 2); /* level-triggered: a byte a turn */
    assert_int_equal(p.what, LOOP_READ);
    assert_int_equal(loop_io_set(l, &p.event, p.fds[0], LOOP_WRITE, LOOP_DATA, on_io, &p), 0);
    RUN_UNTIL(l, p.what & LOOP_WRITE);
    unsigned calls = p.calls;
    assert_int_equal(loop_io_set(l, &p.event, p.fds[0], 0, LOOP_DATA, on_io, &p), 0);
    assert_int_equal(write(p.fds[1], "c", 1), 1);
    run_for(l, 2000);
    assert_int_equal(p.calls, calls); /* silent */
    probe_close(&p);
}

static void test_without_room_it_is_watched_later(void **state)
{
    static const int errors[] = { ENOMEM, ENOSPC };
    struct loop *l = *state;
    struct probe p;
    for (unsigned i = 0; i < 2; i++) {
        probe_open(&p, l);
        epoll_error = errors[i];
        epoll_fails = 2;
        assert_int_equal(loop_io_set(l, &p.event, p.fds[0], LOOP_READ, LOOP_DATA, on_io, &p), 0);
        assert_int_equal(write(p.fds[1], "a", 1), 1);
        run_for(l, 2000);
        RUN_UNTIL(l, p.calls > 0);
        RUN_UNTIL(l, epoll_fails == 0); /* the timer, and another */
        epoll_fails = 1;                /* a change of what is watched */
        assert_int_equal(loop_io_set(l, &p.event, p.fds[0], LOOP_READ | LOOP_WRITE, LOOP_DATA, on_io, &p), 0);
        assert_int_equal(loop_io_set(l, &p.event, p.fds[0], LOOP_READ, LOOP_DATA, on_io, &p), 0);
        assert_int_equal(write(p.fds[1], "b", 1), 1);
        RUN_UNTIL(l, p.calls > 1);
        assert_int_equal(p.calls, 2);
        epoll_fails = 1; /* and one that is cleared meanwhile */
        assert_int_equal(loop_io_set(l, &p.event, p.fds[0], LOOP_READ | LOOP_WRITE, LOOP_DATA, on_io, &p), 0);
        probe_close(&p);
        run_for(l, 150000);
        assert_int_equal(p.calls, 2);
    }
}

/* However long: nothing is as fast then, but all goes on. */
static void test_without_any_room_it_is_looked_at(void **state)
{
    struct loop *l = *state;
    enum { MANY = 200 };
    static struct probe p[MANY];
    epoll_error = ENOSPC;
    epoll_fails = 1 << 30;
    for (unsigned i = 0; i < MANY; i++) {
        probe_open(&p[i], l);
        assert_int_equal(loop_io_set(l, &p[i].event, p[i].fds[0], LOOP_READ, LOOP_CONTROL, on_io, &p[i]), 0);
    }
    assert_int_equal(write(p[0].fds[1], "a", 1), 1);
    assert_int_equal(write(p[MANY - 1].fds[1], "a", 1), 1);
    RUN_UNTIL(l, p[0].calls > 0 && p[MANY - 1].calls > 0);
    assert_int_equal(p[1].calls, 0);
    close(p[1].fds[1]); /* a hang-up */
    p[1].fds[1] = -1;
    RUN_UNTIL(l, p[1].calls > 0);
    loop_io_clear(&p[1].event);
    assert_int_equal(loop_io_set(l, &p[2].event, p[2].fds[0], LOOP_WRITE, LOOP_DATA, on_io, &p[2]), 0);
    RUN_UNTIL(l, p[2].what & LOOP_WRITE);
    epoll_fails = 0;
    unsigned calls = p[0].calls;
    assert_int_equal(write(p[0].fds[1], "b", 1), 1);
    RUN_UNTIL(l, p[0].calls > calls);
    for (unsigned i = 0; i < MANY; i++)
        probe_close(&p[i]);
}

/* Not even for the first: then the loop does without. */
static void test_a_loop_without_any_room(void **state)
{
    (void)state;
    struct loop *l = NULL;
    struct probe p;
    epoll_error = ENOSPC;
    epoll_fails = 1 << 30;
    assert_int_equal(loop_new(&l), 0);
    probe_open(&p, l);
    assert_int_equal(loop_io_set(l, &p.event, p.fds[0], LOOP_READ, LOOP_DATA, on_io, &p), 0);
    assert_int_equal(write(p.fds[1], "a", 1), 1);
    RUN_UNTIL(l, p.calls > 0);
    epoll_fails = 0;
    probe_close(&p);
    loop_free(l);
}

static void test_regular_file_is_an_error(void **state)
{
    struct loop *l = *state;
    struct probe p = { .loop = l };
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_int_equal(loop_io_set(l, &p.event, fd, LOOP_READ, LOOP_DATA, on_io, &p), -EPERM);
    loop_io_clear(&p.event);
    close(fd);
}

static void on_seen_once(int fd, unsigned what, void *arg)
{
    (void)fd;
    (void)what;
    struct probe *p = arg;
    p->calls++;
    loop_io_clear(&p->event);
}

static void test_all_zero_may_be_cleared(void **state)
{
    (void)state;
    struct loop_io io = { 0 };
    struct loop_timer timer = { 0 };
    struct loop_signal signal = { 0 };
    loop_io_clear(&io);
    loop_timer_clear(&timer);
    loop_signal_clear(&signal);
}

static void test_a_descriptor_is_watched_once(void **state)
{
    struct loop *l = *state;
    struct probe p;
    probe_open(&p, l);
    struct loop_io second = { 0 };
    assert_int_equal(loop_io_set(l, &p.event, p.fds[0], LOOP_READ, LOOP_DATA, on_io, &p), 0);
    assert_int_equal(loop_io_set(l, &second, p.fds[0], LOOP_READ, LOOP_DATA, on_io, &p), -EEXIST);
    assert_null(loop_of(&second));
    loop_io_clear(&p.event);
    assert_int_equal(loop_io_set(l, &second, p.fds[0], LOOP_READ, LOOP_DATA, on_io, &p), 0);
    loop_io_clear(&second);
    close(p.fds[0]);
    close(p.fds[1]);
}

/* More than are collected in one turn. */
static void test_a_thousand_are_all_told(void **state)
{
    struct loop *l = *state;
    enum { MANY = 1000 };
    static struct probe p[MANY];
    memset(p, 0, sizeof(p));
    for (int i = 0; i < MANY; i++) {
        p[i].loop = l;
        p[i].fds[0] = eventfd(1, EFD_CLOEXEC);
        if (p[i].fds[0] < 0) { /* fewer are allowed here than we wish for */
            assert_true(i > 600);
            break;
        }
        assert_int_equal(loop_io_set(l, &p[i].event, p[i].fds[0], LOOP_READ, LOOP_DATA, on_seen_once, &p[i]), 0);
    }
    for (int i = 0; i < MANY && p[i].fds[0] > 0; i++)
        RUN_UNTIL(l, p[i].calls > 0);
    run_for(l, 2000);
    for (int i = 0; i < MANY && p[i].fds[0] > 0; i++) {
        assert_int_equal(p[i].calls, 1);
        close(p[i].fds[0]);
    }
}

static void test_order_within_a_turn(void **state)
{
    struct loop *l = *state;
    static const enum loop_priority priorities[] = { LOOP_DATA, LOOP_CONTROL, LOOP_LIFE };
    static const char marks[] = "dcl";
    struct probe p[3];
    char order[16] = "";
    for (int i = 0; i < 3; i++) {
        probe_open(&p[i], l);
        p[i].order = order;
        p[i].mark = marks[i];
        assert_int_equal(write(p[i].fds[1], "x", 1), 1);
        assert_int_equal(loop_io_set(l, &p[i].event, p[i].fds[0], LOOP_READ, priorities[i], on_io, &p[i]), 0);
    }
    run_for(l, 2000);
    assert_string_equal(order, "cld");
    for (int i = 0; i < 3; i++)
        probe_close(&p[i]);
}

static void test_busy_control_starves_nobody(void **state)
{
    struct loop *l = *state;
    struct probe control, data;
    probe_open(&control, l);
    probe_open(&data, l);
    /* always writable, so ready in every turn */
    assert_int_equal(loop_io_set(l, &control.event, control.fds[0], LOOP_WRITE, LOOP_CONTROL, on_io, &control), 0);
    assert_int_equal(loop_io_set(l, &data.event, data.fds[0], LOOP_WRITE, LOOP_DATA, on_io, &data), 0);
    RUN_UNTIL(l, control.calls > 2);
    assert_in_range(data.calls, control.calls - 1, control.calls);
    probe_close(&control);
    probe_close(&data);
}

static void clear_other(int fd, unsigned what, void *arg)
{
    (void)fd, (void)what;
    struct probe *p = arg;
    note(p);
    loop_io_clear(&p->other->event);
    loop_io_clear(&p->event);
}

static void test_clearing_what_is_ready(void **state)
{
    struct loop *l = *state;
    struct probe a, b;
    probe_open(&a, l);
    probe_open(&b, l);
    a.other = &b;
    b.other = &a;
    loop_io_set(l, &a.event, a.fds[0], LOOP_WRITE, LOOP_LIFE, clear_other, &a);
    loop_io_set(l, &b.event, b.fds[0], LOOP_WRITE, LOOP_LIFE, clear_other, &b);
    run_for(l, 2000);
    assert_int_equal(a.calls + b.calls, 1);
    probe_close(&a);
    probe_close(&b);
}

static void free_itself(int fd, unsigned what, void *arg)
{
    (void)fd, (void)what;
    struct probe *p = arg;
    probe_close(p);
    free(p);
}

static void test_freeing_itself(void **state)
{
    struct loop *l = *state;
    struct probe *p = malloc(sizeof(*p));
    probe_open(p, l);
    loop_io_set(l, &p->event, p->fds[0], LOOP_WRITE, LOOP_LIFE, free_itself, p);
    run_for(l, 2000);
}

static usec_t monotonic(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

static void on_timer(void *arg)
{
    struct probe *p = arg;
    p->at = monotonic();
    note(p);
    if (p->again > 0) {
        p->again--;
        loop_timer_set(p->loop, &p->timer, loop_now(p->loop) + 500, on_timer, p);
    }
}

static void test_timers(void **state)
{
    struct loop *l = *state;
    for (usec_t delay = 0; delay <= 7000; delay += 700) {
        struct probe p = { .loop = l };
        usec_t due = monotonic() + delay;
        assert_int_equal(loop_timer_set(l, &p.timer, due, on_timer, &p), 0);
        RUN_UNTIL(l, p.calls > 0);
        run_for(l, 3000);
        assert_int_equal(p.calls, 1);
        assert_true(p.at >= due); /* never early */
        loop_timer_clear(&p.timer);
    }
}

static void test_timer_moves_repeats_and_never(void **state)
{
    struct loop *l = *state;
    struct probe moved = { .loop = l }, repeats = { .loop = l, .again = 3 }, never = { .loop = l };
    struct probe past = { .loop = l };
    loop_timer_set(l, &moved.timer, loop_now(l) + 1000, on_timer, &moved);
    loop_timer_set(l, &moved.timer, loop_now(l) + 600 * USEC_PER_SEC, on_timer, &moved);
    loop_timer_set(l, &repeats.timer, loop_now(l) + 500, on_timer, &repeats);
    loop_timer_set(l, &never.timer, loop_now(l) + 500, on_timer, &never);
    loop_timer_set(l, &never.timer, USEC_INFINITY, on_timer, &never);
    loop_timer_set(l, &past.timer, 1, on_timer, &past);
    RUN_UNTIL(l, repeats.calls >= 4);
    run_for(l, 30000);
    assert_int_equal(moved.calls, 0);
    assert_int_equal(repeats.calls, 4);
    assert_int_equal(never.calls, 0);
    assert_int_equal(past.calls, 1);
    loop_timer_clear(&moved.timer);
    loop_timer_clear(&repeats.timer);
    loop_timer_clear(&never.timer);
    loop_timer_clear(&past.timer);
}

static void test_idle_loop_does_not_turn(void **state)
{
    struct loop *l = *state;
    struct probe far = { .loop = l }, quiet;
    probe_open(&quiet, l);
    loop_timer_set(l, &far.timer, loop_now(l) + 3600 * USEC_PER_SEC, on_timer, &far);
    loop_io_set(l, &quiet.event, quiet.fds[0], LOOP_READ, LOOP_DATA, on_io, &quiet);
    uint64_t before = loop_turns(l);
    run_for(l, 400 * USEC_PER_MSEC);
    assert_int_equal(loop_turns(l) - before, 1); /* the one that stopped it */
    loop_timer_clear(&far.timer);
    probe_close(&quiet);
}

static void on_ball(int fd, unsigned what, void *arg)
{
    struct probe *p = arg;
    on_io(fd, what, arg);
    if (p->again == 0)
        loop_stop(p->loop);
    else if (--p->again > 0)
        assert_int_equal(write(p->fds[1], "b", 1), 1);
    if (p->other != NULL)
        loop_timer_set(p->loop, &p->timer, loop_now(p->loop) + 9000, on_timer, p->other);
}

/* One at a time, as answers are that go to and fro. */
static unsigned short_waits_of(struct loop *l, struct probe *timed)
{
    struct probe p;
    probe_open(&p, l);
    p.again = 1000;
    p.other = timed;
    loop_io_set(l, &p.event, p.fds[0], LOOP_READ, LOOP_DATA, on_ball, &p);
    if (timed != NULL)
        loop_timer_set(l, &p.timer, loop_now(l) + 9000, on_timer, timed);
    short_waits = 0;
    assert_int_equal(write(p.fds[1], "bb", 2), 2);
    assert_int_equal(loop_run(l), 0);
    loop_timer_clear(&p.timer);
    probe_close(&p);
    return short_waits;
}

static void test_to_and_fro(void **state)
{
    struct loop *l = *state;
    struct probe timed = { .loop = l }, slow = { .loop = l };
    loop_timer_set(l, &slow.timer, loop_now(l) + 600 * USEC_PER_SEC, on_timer, &slow);
    assert_true(short_waits_of(l, NULL) > 100);
    assert_int_equal(short_waits_of(l, &timed), 0); /* a timer would be late */
    loop_timer_clear(&slow.timer);
}

static void on_work(void *arg)
{
    struct probe *p = arg;
    note(p);
    if (p->again > 0) {
        p->again--;
        loop_defer(p->loop, &p->work, on_work, p);
    } else if (p->other != NULL) {
        loop_undefer(p->loop, &p->other->work);
    } else {
        loop_stop(p->loop);
    }
}

static void test_deferred_work(void **state)
{
    struct loop *l = *state;
    char order[16] = "";
    struct probe c = { .loop = l, .order = order, .mark = 'c' };
    struct probe last = { .loop = l, .order = order, .mark = 'z', .again = 3 };
    struct probe a = { .loop = l, .order = order, .mark = 'a', .other = &c };
    loop_defer(l, &a.work, on_work, &a);
    loop_defer(l, &a.work, on_work, &a); /* once */
    loop_defer(l, &c.work, on_work, &c); /* taken back by a while the queue is run */
    loop_defer(l, &last.work, on_work, &last);
    uint64_t before = loop_turns(l);
    assert_int_equal(loop_run(l), 0);
    assert_string_equal(order, "azzzz");
    assert_int_equal(loop_turns(l) - before, 4); /* a turn each, none of which waited */
    loop_undefer(l, &last.work);
    loop_defer(l, &c.work, on_work, &c);
    loop_undefer(l, &c.work);
    loop_defer(l, &last.work, on_work, &last); /* the queue is whole after its end was taken off */
    assert_int_equal(loop_run(l), 0);
    assert_string_equal(order, "azzzzz");
}

static void on_signal(int signal, void *arg)
{
    struct probe *p = arg;
    p->what = (unsigned)signal;
    note(p);
}

static void test_signals(void **state)
{
    struct loop *l = *state;
    struct probe p = { .loop = l };
    assert_int_equal(loop_signal_set(l, &p.signal, SIGUSR1, on_signal, &p), 0);
    raise(SIGUSR1);
    RUN_UNTIL(l, p.calls > 0);
    run_for(l, 5000);
    assert_int_equal(p.calls, 1);
    assert_int_equal(p.what, SIGUSR1);
    raise(SIGUSR1);
    RUN_UNTIL(l, p.calls > 1);
    run_for(l, 5000);
    assert_int_equal(p.calls, 2);
    loop_signal_clear(&p.signal);
}

static void be_slow(void *arg)
{
    (void)arg;
    poll(NULL, 0, 30);
}

static void test_lag_and_now(void **state)
{
    struct loop *l = *state;
    struct probe p = { .loop = l };
    usec_t before = monotonic(), now = loop_now(l);
    assert_in_range(now, before, monotonic());
    run_for(l, 1000);
    assert_true(loop_lag_max(l) <= monotonic() - before - 1000); /* waiting is no lag */
    loop_timer_set(l, &p.timer, loop_now(l), be_slow, NULL);
    run_for(l, 1000);
    assert_true(loop_lag_max(l) >= 29000);
    loop_timer_clear(&p.timer);
}

static void test_descriptors_are_cloexec(void **state)
{
    (void)state;
    for (int fd = 3; fd < 64; fd++) {
        int flags = fcntl(fd, F_GETFD);
        char path[32], target[64] = "";
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (flags < 0 || readlink(path, target, sizeof(target) - 1) < 0 || strncmp(target, "anon_inode", 10) != 0)
            continue;
        assert_true(flags & FD_CLOEXEC);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_read_and_write),
        TEST(test_without_room_it_is_watched_later),
        TEST(test_without_any_room_it_is_looked_at),
        TEST(test_a_loop_without_any_room),
        TEST(test_regular_file_is_an_error),
        TEST(test_all_zero_may_be_cleared),
        TEST(test_a_descriptor_is_watched_once),
        TEST(test_a_thousand_are_all_told),
        TEST(test_order_within_a_turn),
        TEST(test_busy_control_starves_nobody),
        TEST(test_clearing_what_is_ready),
        TEST(test_freeing_itself),
        TEST(test_timers),
        TEST(test_timer_moves_repeats_and_never),
        TEST(test_idle_loop_does_not_turn),
        TEST(test_to_and_fro),
        TEST(test_deferred_work),
        TEST(test_signals),
        TEST(test_lag_and_now),
        TEST(test_descriptors_are_cloexec),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
