/* test_journal_full.c - a journal whose disk has no room: none at all, or none for more. */
#include "journal_bench.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

static struct rlimit limited(rlim_t size)
{
    struct rlimit old;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ .rlim_cur = size, .rlim_max = old.rlim_max }), 0);
    return old;
}

static void test_no_room_for_a_file(void **state)
{
    (void)state;
    struct journal *j = NULL;
    enum journal_origin origin;
    int fds = count_fds();
    struct rlimit old = limited(4096);
    int r = journal_open("journal", &today, &j, &origin);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(r, -EFBIG);
    assert_int_equal(access("journal", F_OK), -1);
    assert_int_equal(access("journal.new", F_OK), -1);
    assert_int_equal(count_fds(), fds);
    assert_int_equal(journal_add(NULL, "g", "web"), JOURNAL_NONE); /* and the daemon lives without */
    journal_commit(NULL, JOURNAL_NONE, &(struct journal_slot){ .pid = 1 });
    journal_remove(NULL, 0);
    assert_null(journal_get(NULL, 0));
    assert_int_equal(count(NULL, journal_next), 0);
}

struct more {
    int fd;
    int calls;
};

static void on_more(int fd, const char *path, void *arg)
{
    struct more *m = arg;
    assert_string_equal(path, "journal");
    if (m->fd >= 0)
        close(m->fd);
    m->fd = fd >= 0 ? dup(fd) : -1;
    m->calls++;
}

/* As many as go: the disk, and then the memory, is limited to 20 slots. */
static int fill(struct journal *j)
{
    char name[16];
    int n = 0;
    struct rlimit old = limited(4096 + 20 * JOURNAL_SLOT_SIZE);
    do
        snprintf(name, sizeof(name), "p%d", n);
    while (journal_add(j, "g", name) != JOURNAL_NONE && n++ < 100);
    setrlimit(RLIMIT_FSIZE, &old);
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "p%d", i);
        put(j, name, i + 1);
    }
    return n;
}

/* Each with what it was given, in the slot of its number. */
static void assert_filled(const struct journal *j, int n)
{
    char name[16];
    assert_int_equal(count(j, journal_next), n);
    assert_int_equal(count(j, journal_next_damaged), 0);
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "p%d", i);
        assert_int_equal(journal_find(j, "g", name), i);
        assert_int_equal(journal_get(j, (uint32_t)i)->pid, i + 1);
    }
}

static void test_no_room_for_more(void **state)
{
    (void)state;
    struct more more = { .fd = -1 };
    struct journal *j = open_as(&today, JOURNAL_FRESH);
    journal_on_more(j, on_more, &more);
    int fds = count_fds(), n = fill(j);
    assert_int_equal(n, 40); /* half of them in memory */
    assert_int_equal(more.calls, 1);
    assert_true(more.fd >= 0);
    assert_filled(j, n);
    assert_int_equal(journal_reserve(j, 0), 0); /* there is room again */
    assert_int_equal(more.calls, 2);
    assert_int_equal(more.fd, -1);
    assert_int_equal(count_fds(), fds);
    assert_filled(j, n);
    journal_close(j);
    j = open_as(&today, JOURNAL_RECOVERED);
    assert_filled(j, n);
    journal_close(j);
}

/* What a supervisor that was killed leaves, for which there was no room on the disk. */
static int leave(struct more *more, struct journal **ret)
{
    more->fd = -1;
    more->calls = 0;
    *ret = open_as(&today, JOURNAL_FRESH);
    journal_on_more(*ret, on_more, more);
    return fill(*ret);
}

static void test_more_is_taken_by_its_descriptor(void **state)
{
    (void)state;
    struct more more;
    struct journal *j, *again;
    int n = leave(&more, &j);
    int held = dup(journal_fd(j));
    journal_close(j);
    assert_int_equal(journal_take(held, "journal", &today, &again), 0);
    assert_int_equal(count(again, journal_next), 20);
    assert_int_equal(journal_take_more(again, dup(more.fd)), 0);
    assert_filled(again, n);
    assert_int_equal(journal_reserve(again, 0), 0);
    assert_filled(again, n);
    assert_int_equal(journal_take_more(again, dup(more.fd)), -EBADMSG); /* it is over */
    assert_filled(again, n);
    journal_close(again);
    close(more.fd);
}

/* Killed while they were moved to the disk: the file has some of them, as they were then. */
static void test_killed_before_more_was_over(void **state)
{
    (void)state;
    struct more more;
    struct journal *j, *again;
    int n = leave(&more, &j);
    int held = dup(journal_fd(j));
    assert_int_equal(posix_fallocate(held, 0, (off_t)journal_file_size(60)), 0);
    assert_int_equal(pwrite(held, "half a slot", 11, (off_t)journal_file_size(20)), 11);
    journal_close(j);
    assert_int_equal(journal_take(held, "journal", &today, &again), 0);
    assert_int_equal(journal_take_more(again, dup(more.fd)), 0);
    assert_filled(again, n);
    assert_int_equal(journal_reserve(again, 0), 0);
    assert_filled(again, n);
    journal_close(again);
    again = open_as(&today, JOURNAL_RECOVERED);
    assert_filled(again, n);
    journal_close(again);
    close(more.fd);
}

static void test_more_of_another_journal(void **state)
{
    (void)state;
    struct more more;
    struct journal *j, *other;
    leave(&more, &j);
    assert_int_equal(journal_memory(&today, &other), 0);
    assert_int_equal(journal_take_more(other, dup(more.fd)), -EBADMSG);
    assert_int_equal(journal_take_more(other, open("/dev/null", O_RDWR | O_CLOEXEC)), -EBADMSG);
    assert_int_equal(pwrite(more.fd, "\xff\xff\xff\xff", 4, 16), 4); /* from beyond the file on */
    assert_int_equal(journal_take_more(j, dup(more.fd)), -EBADMSG);
    journal_close(other);
    journal_close(j);
    close(more.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_no_room_for_a_file, clean),
        cmocka_unit_test_setup(test_no_room_for_more, clean),
        cmocka_unit_test_setup(test_more_is_taken_by_its_descriptor, clean),
        cmocka_unit_test_setup(test_killed_before_more_was_over, clean),
        cmocka_unit_test_setup(test_more_of_another_journal, clean),
    };
    return cmocka_run_group_tests_name("journal_full", tests, scratch_enter, scratch_leave);
}
