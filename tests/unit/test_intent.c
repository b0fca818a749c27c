/* test_intent.c - what operators asked for: over restarts, kills, damage and full disks. */
#include "cmocka_all.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "os/intent.h"
#include "scratch.h"

static int clean(void **state)
{
    (void)state;
    unlink("intent");
    unlink("intent.new");
    return 0;
}

static struct intent *opened(unsigned damaged)
{
    struct intent *it = NULL;
    unsigned n = 99;
    assert_int_equal(intent_open("intent", &it, &n), 0);
    assert_int_equal(n, damaged);
    return it;
}

static void note(struct intent *it, const char *name, bool stopped)
{
    assert_int_equal(intent_note(it, "g", name, stopped, 1732240000), 0);
    assert_int_equal(intent_sync(it), 0);
}

static void test_remembered(void **state)
{
    (void)state;
    struct intent *it = opened(0);
    assert_false(intent_is_stopped(it, "g", "web"));
    note(it, "web", true);
    note(it, "db", true);
    note(it, "a name", true);
    note(it, "db", false);
    intent_close(it);
    it = opened(0);
    assert_true(intent_is_stopped(it, "g", "web"));
    assert_true(intent_is_stopped(it, "g", "a name"));
    assert_false(intent_is_stopped(it, "g", "db"));
    assert_false(intent_is_stopped(it, "h", "web"));
    intent_close(it);
    struct stat st;
    assert_int_equal(stat("intent", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_the_same_again_costs_nothing(void **state)
{
    (void)state;
    struct stat st, later;
    struct intent *it = opened(0);
    note(it, "web", false);
    assert_int_equal(stat("intent", &st), -1);
    note(it, "web", true);
    assert_int_equal(stat("intent", &st), 0);
    note(it, "web", true);
    assert_int_equal(stat("intent", &later), 0);
    assert_int_equal(later.st_size, st.st_size);
    intent_close(it);
}

static void test_it_does_not_grow(void **state)
{
    (void)state;
    struct stat st;
    struct intent *it = opened(0);
    for (int i = 0; i < 2000; i++)
        note(it, "web", i % 2 == 0);
    note(it, "db", true);
    assert_int_equal(stat("intent", &st), 0);
    assert_in_range(st.st_size, 1, 100 * 70);
    intent_close(it);
    it = opened(0);
    assert_false(intent_is_stopped(it, "g", "web"));
    assert_true(intent_is_stopped(it, "g", "db"));
    intent_close(it);
}

static void test_one_holder(void **state)
{
    (void)state;
    struct intent *it = opened(0), *other = NULL;
    unsigned damaged;
    note(it, "web", true);
    assert_int_equal(intent_open("intent", &other, &damaged), -EWOULDBLOCK);
    for (int i = 0; i < 200; i++) /* also after it was made anew */
        note(it, "web", i % 2 == 0);
    assert_int_equal(intent_open("intent", &other, &damaged), -EWOULDBLOCK);
    intent_close(it);
    assert_int_equal(symlink("intent", "intent.link"), 0);
    assert_int_equal(intent_open("intent.link", &other, &damaged), -EPERM);
    assert_int_equal(unlink("intent.link"), 0);
    assert_int_equal(chmod("intent", 0622), 0);
    assert_int_equal(intent_open("intent", &other, &damaged), -EPERM);
    assert_null(other);
}

/* Each byte in turn: the line that it is in is passed over, the others hold. */
static void test_byte_by_byte(void **state)
{
    (void)state;
    struct intent *it = opened(0);
    note(it, "a", true);
    note(it, "b", true);
    note(it, "c", true);
    intent_close(it);
    _cleanup_free_ char *text = content_of("intent");
    size_t len = strlen(text) / 3;
    for (size_t at = len; at < 2 * len; at++) {
        _cleanup_free_ char *bad = strdup(text);
        bad[at] ^= 0x01;
        unlink("intent");
        make_file("intent", bad, 0600);
        it = NULL;
        unsigned damaged = 0;
        assert_int_equal(intent_open("intent", &it, &damaged), 0);
        bool ended = at == 2 * len - 1; /* its line end: two lines become one */
        assert_true(damaged >= 1);
        assert_true(intent_is_stopped(it, "g", "a"));
        assert_false(intent_is_stopped(it, "g", "b"));
        assert_int_equal(intent_is_stopped(it, "g", "c"), !ended);
        assert_int_equal(intent_sync(it), 0); /* which makes it whole */
        intent_close(it);
        intent_close(opened(0));
    }
}

static void test_a_line_that_was_cut(void **state)
{
    (void)state;
    struct intent *it = opened(0);
    note(it, "a", true);
    note(it, "b", true);
    intent_close(it);
    struct stat st;
    assert_int_equal(stat("intent", &st), 0);
    assert_int_equal(truncate("intent", st.st_size - 3), 0);
    it = opened(1);
    assert_true(intent_is_stopped(it, "g", "a"));
    assert_false(intent_is_stopped(it, "g", "b"));
    note(it, "c", true);
    intent_close(it);
    it = opened(0);
    assert_true(intent_is_stopped(it, "g", "a"));
    assert_true(intent_is_stopped(it, "g", "c"));
    intent_close(it);
}

static void test_a_full_disk(void **state)
{
    (void)state;
    struct rlimit old;
    struct intent *it = opened(0);
    note(it, "a", true);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ .rlim_cur = 50, .rlim_max = old.rlim_max }), 0);
    assert_int_equal(intent_note(it, "g", "b", true, 0), 0);
    int r = intent_sync(it), again = intent_sync(it);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(r, -EFBIG);
    assert_int_equal(again, -EFBIG); /* it is not forgotten that it is missing */
    assert_true(intent_is_stopped(it, "g", "b"));
    assert_int_equal(intent_sync(it), 0); /* there is room again */
    intent_close(it);
    it = opened(0);
    assert_true(intent_is_stopped(it, "g", "a"));
    assert_true(intent_is_stopped(it, "g", "b"));
    intent_close(it);
}

/* Every other wish is taken back, so that the file is made anew now and then. */
static void wish_for_ever(int say)
{
    struct intent *it = NULL;
    unsigned damaged;
    char name[16];
    int i = 0;
    if (intent_open("intent", &it, &damaged) < 0)
        _exit(1);
    for (;; i++) {
        snprintf(name, sizeof(name), "p%d", i);
        if (intent_note(it, "g", "web", i % 2 == 0, 1) < 0 ||
            (i % 10 == 0 && intent_note(it, "g", name, true, 1) < 0) || intent_sync(it) < 0 ||
            write(say, &i, sizeof(i)) != sizeof(i))
            _exit(2);
    }
}

/* What a writer had on the disk before it was killed holds. */
static void test_killed_at_any_instant(void **state)
{
    (void)state;
    uint32_t seed = (uint32_t)time(NULL);
    print_message("SEED=%u\n", seed);
    for (int n = 0; n < 100; n++) {
        int fds[2], status, said, last = -1;
        clean(NULL);
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        pid_t pid = fork();
        if (pid == 0)
            wish_for_ever(fds[1]);
        close(fds[1]);
        seed = seed * 1664525 + 1013904223;
        nanosleep(&(struct timespec){ .tv_nsec = (long)(seed >> 8) % 10000000 }, NULL);
        kill(pid, SIGKILL);
        while (read(fds[0], &said, sizeof(said)) == sizeof(said))
            last = said;
        close(fds[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        struct intent *it = NULL;
        unsigned damaged;
        char name[16];
        assert_int_equal(intent_open("intent", &it, &damaged), 0);
        assert_true(damaged <= 1); /* the line under way */
        for (int i = 0; i <= last; i += 10) {
            snprintf(name, sizeof(name), "p%d", i);
            assert_true(intent_is_stopped(it, "g", name));
        }
        intent_close(it);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_remembered, clean),
        cmocka_unit_test_setup(test_the_same_again_costs_nothing, clean),
        cmocka_unit_test_setup(test_it_does_not_grow, clean),
        cmocka_unit_test_setup(test_one_holder, clean),
        cmocka_unit_test_setup(test_byte_by_byte, clean),
        cmocka_unit_test_setup(test_a_line_that_was_cut, clean),
        cmocka_unit_test_setup(test_a_full_disk, clean),
        cmocka_unit_test_setup(test_killed_at_any_instant, clean),
    };
    return cmocka_run_group_tests_name("intent", tests, scratch_enter, scratch_leave);
}
