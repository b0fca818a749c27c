/* test_logmove.c - moves that are left half done, and by whom they are finished.
 * That it holds at any instant is tests/fault/logs' matter. */
#include "cmocka_all.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "os/logmove.h"
#include "os/logmove_give.h"
#include "scratch.h"
#include "supervisor/capture.h"

static struct logfile_table *table;
static struct mover *mover;
static int ends[2];

static int begin(void **state)
{
    (void)state;
    return pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 || logfile_table_new(&table) < 0 || mover_new(-1, &mover) < 0;
}

static int end(void **state)
{
    (void)state;
    cleanup_close(&ends[0]);
    cleanup_close(&ends[1]);
    mover_free(mover);
    logfile_table_free(table);
    return 0;
}

static void say(const char *text)
{
    assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
}

static int waiting(int fd)
{
    int n = -1;
    assert_int_equal(ioctl(fd, FIONREAD, &n), 0);
    return n;
}

/* Somebody else with the same memory and pipes. */
static struct mover *successor(void)
{
    struct mover *m = NULL;
    int fds[2];
    mover_scratch(mover, 0, fds);
    assert_int_equal(mover_new(dup(mover_memory(mover)), &m), 0);
    mover_adopt(m, 0, (int[2]){ dup(fds[0]), dup(fds[1]) });
    return m;
}

static void test_bytes_stay_until_the_end(void **state)
{
    (void)state;
    char data[100];
    struct move *v = NULL;
    int fds[2];
    assert_int_equal(mover_take(mover, ends[0], data, sizeof(data), 0, 0, &v), -EAGAIN);
    say("hello\n");
    assert_int_equal(mover_take(mover, ends[0], data, sizeof(data), 0, 0, &v), 6);
    assert_memory_equal(data, "hello\n", 6);
    mover_scratch(mover, 0, fds);
    assert_int_equal(waiting(ends[0]), 0);
    assert_int_equal(waiting(fds[0]), 6);
    mover_end(mover, &v, NULL, 0, 0);
    assert_int_equal(waiting(fds[0]), 0);
    cleanup_close(&ends[1]);
    assert_int_equal(mover_take(mover, ends[0], data, sizeof(data), 0, 0, &v), 0);
}

static void test_slots_run_out(void **state)
{
    (void)state;
    char data[100];
    struct move *moves[MOVER_TAKES] = { NULL }, *none = NULL, *seventh;
    for (int i = 0; i < MOVER_TAKES; i++) {
        say("x");
        assert_int_equal(mover_take(mover, ends[0], data, sizeof(data), 0, 0, &moves[i]), 1);
    }
    say("y");
    assert_int_equal(mover_take(mover, ends[0], data, sizeof(data), 0, 0, &none), -ENOBUFS);
    assert_int_equal(waiting(ends[0]), 1); /* untouched */
    seventh = moves[7];
    mover_end(mover, &moves[7], NULL, 0, 0);
    assert_int_equal(mover_take(mover, ends[0], data, sizeof(data), 0, 0, &none), 1);
    assert_ptr_equal(none, seventh);
}

static struct loop *loop;
static uint64_t dropped;
static bool dies, leaves; /* when its log is full */

static bool on_watched(struct stream *s, void *arg)
{
    (void)s;
    (void)arg;
    return true;
}

static void on_bytes(struct stream *s, const char *data, size_t len, void *arg)
{
    (void)s;
    (void)data;
    (void)len;
    (void)arg;
}

static void on_report(struct stream *s, const struct stream_report *r, void *arg)
{
    (void)s;
    (void)arg;
    if (strcmp(r->reason, "full") == 0 && dies)
        _exit(0);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY });
    if (leaves && strcmp(r->reason, "full") == 0)
        say("behind it\n");
    if (leaves || strcmp(r->reason, "recovered") == 0)
        loop_stop(loop);
}

static void on_dropped(struct stream *s, uint64_t bytes, void *arg)
{
    (void)s;
    (void)arg;
    dropped += bytes;
}

static const struct stream_owner owner = {
    .watched = on_watched, .output = on_bytes, .logged = on_bytes, .report = on_report, .dropped = on_dropped
};

/* Another process's stream for the same pipe and log, as it is made and ended at once. */
static void succeed(const char *path, enum log_format format)
{
    struct stream_options o = { .format = format, .process = "g:p" };
    struct stream *s = NULL;
    struct logfile *f = NULL;
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(capture_new(loop, successor(), &o.capture), 0);
    assert_int_equal(logfile_open(table, path, 0, 9, &f), 0);
    assert_int_equal(stream_new(loop, dup(ends[0]), 1, f, &o, &owner, NULL, &s), 0);
    assert_null(s->stash);
    stream_free(s);
    capture_free(o.capture);
    loop_free(loop);
}

/* Left behind `done` bytes of it: the rest, and only that, is written. */
static void finished_after(size_t done, bool rotated)
{
    char data[100];
    struct move *v = NULL;
    struct logfile *f = NULL;
    size_t written;
    say("one\ntwo\nthree\n");
    assert_int_equal(mover_take(mover, ends[0], data, sizeof(data), 0, 0, &v), 14);
    assert_int_equal(logfile_open(table, "left.log", rotated ? 4 : 0, 9, &f), 0);
    logfile_set_move(f, v);
    assert_int_equal(logfile_write(f, data, done, &written), 0);
    logfile_set_move(f, NULL);
    logfile_unref(f); /* and now it dies */
    succeed("left.log", LOG_FORMAT_RAW);
}

static void test_finished_by_a_successor(void **state)
{
    (void)state;
    finished_after(0, false);
    assert_content("left.log", "one\ntwo\nthree\n");
    assert_int_equal(unlink("left.log"), 0);
}

static void test_what_is_written_is_not_written_again(void **state)
{
    (void)state;
    make_file("left.log", "before\n", 0644);
    finished_after(6, false);
    assert_content("left.log", "before\none\ntwo\nthree\n");
    assert_int_equal(unlink("left.log"), 0);
}

static void test_nor_what_was_rotated(void **state)
{
    (void)state;
    finished_after(10, true);
    assert_content("left.log.2", "one\n");
    assert_content("left.log.1", "two\n");
    assert_content("left.log", "three\n");
}

static void test_all_was_written(void **state)
{
    (void)state;
    finished_after(14, false);
    assert_content("left.log", "three\none\ntwo\nthree\n"); /* of the test before */
}

/* -- a stream whose log is full ------------------------------------------------- */

/* In a process of its own: 6 bytes go into the log, the disk is full, and there is
 * room again, or the process dies. */
static void full(const char *path)
{
    struct stream *s = NULL;
    struct logfile *f = NULL;
    struct stream_options o = { 0 };
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 6, RLIM_INFINITY });
    if (loop_new(&loop) < 0 || capture_new(loop, mover, &o.capture) < 0 || logfile_open(table, path, 0, 0, &f) < 0 ||
        stream_new(loop, ends[0], 1, f, &o, &owner, NULL, &s) < 0)
        _exit(2);
    loop_run(loop);
    if (leaves)
        stream_free(s);
    _exit((leaves || s->stash == NULL) && dropped == 0 ? 0 : 3);
}

static void run_full(const char *path)
{
    char data[100];
    struct move *v = NULL;
    int status = -1;
    say("x"); /* makes the scratch pipe, so that it is there when the process has gone */
    assert_int_equal(mover_take(mover, ends[0], data, sizeof(data), 0, 0, &v), 1);
    mover_end(mover, &v, NULL, 0, 0);
    say("12345\n6789\n");
    pid_t pid = fork();
    if (pid == 0)
        full(path);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_full_and_room_again(void **state)
{
    (void)state;
    dies = false;
    run_full("full.log");
    assert_content("full.log", "12345\n6789\n");
    succeed("full.log", LOG_FORMAT_RAW);
    assert_content("full.log", "12345\n6789\n");
}

/* There is room, but the next try does not come any more: its job has ended, and so does the daemon. */
static void test_full_and_left(void **state)
{
    (void)state;
    leaves = true;
    run_full("left-full.log");
    leaves = false;
    assert_content("left-full.log", "12345\n6789\nbehind it\n");
}

static void test_full_and_dead(void **state)
{
    (void)state;
    dies = true;
    run_full("dead.log");
    make_file("dead.log", "12345\nof another\n", 0644);
    succeed("dead.log", LOG_FORMAT_RAW);
    assert_content("dead.log", "12345\nof another\n6789\n");
}

/* -- lines that are rewritten --------------------------------------------------- */

#define WALL (UINT64_C(1700000000) * USEC_PER_SEC + 42)
#define TIME "2023-11-14T22:13:20.000042Z "

static void test_the_time_is_that_of_the_first_try(void **state)
{
    (void)state;
    char data[100];
    struct move *v = NULL;
    struct logfile *f = NULL;
    size_t written;
    say("one\ntwo\n");
    assert_int_equal(mover_take(mover, ends[0], data, sizeof(data), WALL, 0, &v), 8);
    assert_int_equal(logfile_open(table, "time.log", 0, 9, &f), 0);
    logfile_set_move(f, v);
    assert_int_equal(logfile_write(f, TIME "one\n" TIME, 60, &written), 0); /* amid the second */
    logfile_set_move(f, NULL);
    logfile_unref(f);
    succeed("time.log", LOG_FORMAT_TIMESTAMP);
    assert_content("time.log", TIME "one\n" TIME "two\n");
}

static void test_a_begun_line_is_gone_on_with(void **state)
{
    (void)state;
    char data[100];
    struct move *v = NULL;
    say("one\nbegin");
    assert_int_equal(mover_take(mover, ends[0], data, sizeof(data), WALL, 0, &v), 9);
    mover_end(mover, &v, "begin", 5, WALL);
    assert_non_null(v);
    say("ning\nand");
    assert_int_equal(mover_take(mover, ends[0], data, sizeof(data), WALL + 1, 0, &v), 8);
    assert_memory_equal(data, "ning\nand", 8); /* and nothing of it is written yet */
    succeed("begun.log", LOG_FORMAT_TIMESTAMP);
    assert_content("begun.log", TIME "beginning\n2023-11-14T22:13:20.000043Z and\n");
}

/* -- the direct way ------------------------------------------------------------- */

static void test_direct(void **state)
{
    (void)state;
    enum { MUCH = 40000 };
    static char much[MUCH];
    struct logfile *f = NULL;
    size_t written;
    memset(much, 'm', MUCH);
    assert_int_equal(logfile_open(table, "direct.log", MUCH + 100, 1, &f), 0);
    assert_int_equal(logfile_write(f, "a\n", 2, &written), 0);
    assert_int_equal(write(ends[1], much, MUCH), MUCH);
    assert_int_equal(logfile_splice(f, ends[0], 100), 0); /* not worth it */
    size_t n = logfile_splice(f, ends[0], MUCH);
    assert_int_equal(n + (size_t)waiting(ends[0]), MUCH);
    assert_true(n > 0);
    struct stat st;
    assert_int_equal(stat("direct.log", &st), 0);
    assert_int_equal(st.st_size, n + 2);
    assert_int_equal(logfile_splice(f, ends[0], MUCH), 0);     /* the file would have to be cut within it */
    assert_int_equal(logfile_write(f, "b\n", 2, &written), 0); /* and it is appended to as before */
    _cleanup_free_ char *content = content_of("direct.log");
    assert_memory_equal(content, "a\nmmm", 5);
    assert_string_equal(content + n + 1, "mb\n");
    logfile_unref(f);
}

/* -- little, without a pause --------------------------------------------------- */

static unsigned lines_said;
static bool was_gathered;

/* Each line brings the next, until the stream is being gathered. */
static void on_line(struct stream *s, const char *data, size_t len, void *arg)
{
    (void)data;
    (void)len;
    (void)arg;
    was_gathered |= s->gathered;
    if (was_gathered || lines_said == 100000) {
        loop_stop(loop);
        return;
    }
    lines_said++;
    say("line\n");
}

static void test_a_busy_stream_is_gathered(void **state)
{
    (void)state;
    static const struct stream_owner busy = {
        .watched = on_watched, .output = on_line, .logged = on_bytes, .report = on_report, .dropped = on_dropped
    };
    struct stream_options o = { 0 };
    struct stream *s = NULL;
    struct logfile *f = NULL;
    assert_int_equal(loop_new(&loop), 0);
    assert_int_equal(capture_new(loop, TAKE_PTR(mover), &o.capture), 0);
    assert_int_equal(logfile_open(table, "busy.log", 0, 0, &f), 0);
    assert_int_equal(stream_new(loop, TAKE_FD(ends[0]), 1, f, &o, &busy, NULL, &s), 0);
    lines_said = 1;
    say("line\n");
    assert_int_equal(loop_run(loop), 0);
    assert_true(was_gathered);
    assert_false(s->gathered); /* a line in a pause is little, and it is listened to again */
    assert_true(s->watched);
    stream_free(s);
    capture_free(o.capture);
    loop_free(loop);
    struct stat st;
    assert_int_equal(stat("busy.log", &st), 0);
    assert_int_equal(st.st_size, lines_said * 5);
}

static void test_what_nobody_asks_for_is_given_up(void **state)
{
    (void)state;
    char data[100];
    struct move *v = NULL;
    for (int i = 0; i < MOVER_TAKES; i++) {
        say("lost\n");
        v = NULL;
        assert_int_equal(mover_take(mover, ends[0], data, sizeof(data), 0, 0, &v), 5);
    }
    struct mover *m = NULL;
    assert_int_equal(mover_new(dup(mover_memory(mover)), &m), 0);
    for (unsigned i = 0; i < MOVER_SLOTS; i++) {
        int fds[2];
        mover_scratch(mover, i, fds);
        mover_adopt(m, i, (int[2]){ dup(fds[0]), dup(fds[1]) });
    }
    say("next\n");
    v = NULL;
    assert_int_equal(mover_take(m, ends[0], data, sizeof(data), 0, 0, &v), -ENOBUFS);
    mover_forget(m);
    assert_int_equal(mover_take(m, ends[0], data, sizeof(data), 0, 0, &v), 5);
    assert_memory_equal(data, "next\n", 5);
    mover_free(m);
}

/* -- the other way ------------------------------------------------------------------ */

static void test_given(void **state)
{
    (void)state;
    static char data[100000], back[100000];
    uint64_t given = 7;
    int fds[2];
    memset(data, 'g', sizeof(data));
    mover_scratch(mover, 0, fds);
    assert_int_equal(mover_give(mover, ends[1], "hello", 5, &given), 5);
    assert_int_equal(given, 12);
    assert_int_equal(waiting(fds[0]), 0);
    assert_int_equal(read(ends[0], back, sizeof(back)), 5);
    assert_memory_equal(back, "hello", 5);
    ssize_t n = 0, all = 0;
    while ((n = mover_give(mover, ends[1], data, sizeof(data), &given)) > 0)
        all += n;
    assert_int_equal(n, -EAGAIN);
    assert_int_equal(all, 65536); /* what a pipe holds */
    assert_int_equal(given, 12 + all);
    assert_int_equal(waiting(ends[0]), all);
    assert_int_equal(waiting(fds[0]), 0); /* what there was no room for is not kept */
    cleanup_close(&ends[0]);
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(mover_give(mover, ends[1], "hello", 5, &given), -EPIPE);
    assert_int_equal(given, 12 + all);
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
}

static void test_logs_that_are_full_do_not_keep_from_giving(void **state)
{
    (void)state;
    char data[100];
    uint64_t given = 0;
    for (int i = 0; i < MOVER_TAKES; i++) {
        struct move *v = NULL;
        say("x");
        assert_int_equal(mover_take(mover, ends[0], data, sizeof(data), 0, 0, &v), 1);
    }
    assert_int_equal(mover_give(mover, ends[1], "hello", 5, &given), 5);
    assert_int_equal(given, 5);
}

/* Byte `at` of what is given; it does not repeat within what a pipe holds. */
static char byte_at(uint64_t at)
{
    uint64_t x = at * UINT64_C(0x9e3779b97f4a7c15);
    return (char)(x >> 56);
}

/* Goes on behind what was given, until it is killed. */
_Noreturn static void give_on(int fd, uint64_t *given, unsigned seed)
{
    static char data[40000];
    struct mover *m = successor();
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* a test that fails does not */
    mover_resume_given(m, fd, given);
    mover_forget(m);
    for (;;) {
        size_t len = 1 + (size_t)rand_r(&seed) % sizeof(data);
        for (size_t i = 0; i < len; i++)
            data[i] = byte_at(*given + i);
        if (mover_give(m, fd, data, len, given) == -EAGAIN)
            sched_yield();
    }
}

static uint64_t check_some(int fd, uint64_t at, size_t size)
{
    static char data[70000];
    ssize_t n = read(fd, data, size); /* -1: there is nothing */
    for (ssize_t i = 0; i < n; i++)
        if (data[i] != byte_at(at + (uint64_t)i))
            fail_msg("byte %llu is not the one that was to come", (unsigned long long)(at + (uint64_t)i));
    return at + (uint64_t)(n > 0 ? n : 0);
}

/* Killed at any instant, by whom the next begins: whatever is read by a slow reader comes once. */
static void given_under_fire(int from, int to)
{
    uint64_t *given = mmap(NULL, sizeof(*given), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t at = 0;
    unsigned seed = 5;
    assert_ptr_not_equal(given, MAP_FAILED);
    for (unsigned i = 0; i < 300; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            give_on(to, given, i);
        for (uint64_t until = at + (uint64_t)rand_r(&seed) % 200000; at < until;) {
            assert_int_equal(poll(&(struct pollfd){ .fd = from, .events = POLLIN }, 1, 20000), 1);
            at = check_some(from, at, 1 + (size_t)rand_r(&seed) % 70000);
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
    }
    struct mover *m = successor();
    mover_resume_given(m, to, given);
    mover_free(m);
    for (uint64_t before = UINT64_MAX; before != at;) {
        before = at;
        at = check_some(from, at, 70000);
    }
    assert_int_equal(at, *given);
    munmap(given, sizeof(*given));
}

static void test_given_to_a_pipe_under_fire(void **state)
{
    (void)state;
    given_under_fire(ends[0], ends[1]);
}

static void test_given_to_a_socket_under_fire(void **state)
{
    (void)state;
    cleanup_close(&ends[0]);
    cleanup_close(&ends[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    given_under_fire(ends[0], ends[1]);
}

#define MOVE_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        MOVE_TEST(test_bytes_stay_until_the_end),
        MOVE_TEST(test_slots_run_out),
        MOVE_TEST(test_given),
        MOVE_TEST(test_logs_that_are_full_do_not_keep_from_giving),
        MOVE_TEST(test_given_to_a_pipe_under_fire),
        MOVE_TEST(test_given_to_a_socket_under_fire),
        MOVE_TEST(test_finished_by_a_successor),
        MOVE_TEST(test_what_is_written_is_not_written_again),
        MOVE_TEST(test_nor_what_was_rotated),
        MOVE_TEST(test_all_was_written),
        MOVE_TEST(test_full_and_room_again),
        MOVE_TEST(test_full_and_left),
        MOVE_TEST(test_full_and_dead),
        MOVE_TEST(test_the_time_is_that_of_the_first_try),
        MOVE_TEST(test_a_begun_line_is_gone_on_with),
        MOVE_TEST(test_what_nobody_asks_for_is_given_up),
        MOVE_TEST(test_direct),
        MOVE_TEST(test_a_busy_stream_is_gathered),
    };
    return cmocka_run_group_tests(tests, scratch_enter, scratch_leave);
}
