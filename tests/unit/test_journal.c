/* test_journal.c - what a daemon finds of the one before it, and what it refuses. */
#include "journal_bench.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* -- what is kept ------------------------------------------------------------------ */

static void test_it_is_found_again(void **state)
{
    (void)state;
    char name[JOURNAL_NAME_MAX + 1];
    struct journal *j = open_as(&today, JOURNAL_FRESH);
    uint32_t web = put(j, "web", 100), db = put(j, "db", 200);
    put(j, "web", 101);
    journal_set_sequence(j, 12345);
    journal_close(j);
    j = open_as(&today, JOURNAL_RECOVERED);
    assert_int_equal(journal_sequence(j), 12345);
    assert_int_equal(journal_find(j, "g", "web"), web);
    assert_int_equal(journal_find(j, "g", "db"), db);
    assert_int_equal(journal_find(j, "g", "none"), JOURNAL_NONE);
    assert_int_equal(journal_find(j, "gw", "eb"), JOURNAL_NONE);
    assert_int_equal(journal_get(j, web)->pid, 101);
    assert_string_equal(journal_get(j, db)->auto_log[0], "five");
    journal_name(j, db, name);
    assert_string_equal(name, "g:db");
    assert_int_equal(count(j, journal_next), 2);
    journal_close(j);
    struct stat st;
    assert_int_equal(stat("journal", &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_a_slot_is_given_away_again(void **state)
{
    (void)state;
    struct journal *j = open_as(&today, JOURNAL_FRESH);
    uint32_t web = put(j, "web", 100);
    put(j, "db", 200);
    journal_remove(j, web);
    assert_null(journal_get(j, web));
    assert_int_equal(journal_find(j, "g", "web"), JOURNAL_NONE);
    assert_int_equal(journal_add(j, "g", "new"), web);
    assert_int_equal(journal_get(j, web)->pid, 0); /* nothing of its predecessor */
    journal_close(j);
    j = open_as(&today, JOURNAL_RECOVERED);
    assert_int_equal(journal_find(j, "g", "web"), JOURNAL_NONE);
    assert_int_equal(journal_get(j, journal_find(j, "g", "new"))->pid, 0);
    assert_int_equal(journal_get(j, journal_find(j, "g", "db"))->pid, 200);
    journal_close(j);
}

static void test_long_names_are_told_apart(void **state)
{
    (void)state;
    char a[1000], b[1000], name[JOURNAL_NAME_MAX + 1];
    memset(a, 'x', sizeof(a));
    a[999] = '\0';
    memcpy(b, a, sizeof(b));
    b[998] = 'y';
    struct journal *j = open_as(&today, JOURNAL_FRESH);
    uint32_t i = put(j, a, 1), k = put(j, b, 2);
    assert_int_not_equal(i, k);
    assert_int_equal(journal_get(j, journal_find(j, "g", b))->pid, 2);
    journal_name(j, i, name);
    assert_int_equal(strlen(name), JOURNAL_NAME_MAX);
    assert_memory_equal(name, "g:xxx", 5);
    journal_close(j);
}

static void test_ten_thousand(void **state)
{
    (void)state;
    char name[16];
    struct journal *j = open_as(&today, JOURNAL_FRESH);
    for (int n = 0; n < 10000; n++) {
        snprintf(name, sizeof(name), "p%d", n);
        if (n == 5000)
            assert_int_equal(journal_reserve(j, 8000), 0);
        put(j, name, n + 1);
    }
    journal_close(j);
    j = open_as(&today, JOURNAL_RECOVERED);
    assert_int_equal(count(j, journal_next), 10000);
    for (int n = 0; n < 10000; n++) {
        snprintf(name, sizeof(name), "p%d", n);
        assert_int_equal(journal_get(j, journal_find(j, "g", name))->pid, n + 1);
    }
    journal_close(j);
}

/* In strict mode a system call other than read, write and exit is death. */
static void test_a_commit_makes_no_system_call(void **state)
{
    (void)state;
    if (under_valgrind())
        skip(); /* which makes some of its own */
    struct journal *j = open_as(&today, JOURNAL_FRESH);
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        journal_close(j); /* whose memory is not for children */
        j = open_as(&today, JOURNAL_RECOVERED);
        struct journal_slot s = slot_of(3);
        uint32_t i = journal_add(j, "g", "web");
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0)
            _exit(77);
        for (int n = 0; n < 10; n++)
            journal_commit(j, i, &s);
        journal_set_sequence(j, 10);
        syscall(SYS_exit, 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    journal_close(j);
    if (status == 77 << 8)
        skip();
    assert_int_equal(status, 0);
}

static void test_children_do_not_have_it(void **state)
{
    (void)state;
    struct journal *j = open_as(&today, JOURNAL_FRESH);
    const struct journal_slot *s = journal_get(j, put(j, "web", 100));
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        _exit(*(const volatile int32_t *)&s->pid);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(!WIFEXITED(status) || WEXITSTATUS(status) != 100);
    journal_close(j);
}

/* -- what is not taken over ---------------------------------------------------------- */

static void test_of_another_boot(void **state)
{
    (void)state;
    struct identity_era yesterday = today;
    yesterday.boot[15] ^= 1;
    struct journal *j = open_as(&yesterday, JOURNAL_FRESH);
    put(j, "web", 100);
    journal_close(j);
    j = open_as(&today, JOURNAL_OTHER_ERA);
    assert_int_equal(count(j, journal_next), 0);
    journal_close(j);
    struct identity_era container = today;
    container.pid_namespace++;
    journal_close(open_as(&container, JOURNAL_OTHER_ERA));
    journal_close(open_as(&container, JOURNAL_RECOVERED));
}

static void flip(off_t at)
{
    unsigned char byte;
    _cleanup_close_ int fd = open("journal", O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0xff;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static void test_header_byte_by_byte(void **state)
{
    (void)state;
    journal_close(open_as(&today, JOURNAL_FRESH));
    for (off_t at = 0; at < 4096; at++) {
        struct journal *j = open_as(&today, JOURNAL_RECOVERED);
        journal_set_sequence(j, 1000 + (uint64_t)at);
        uint32_t i = put(j, "web", (int32_t)at);
        journal_close(j);
        flip(at);
        j = open_as(&today, JOURNAL_RECOVERED);
        assert_int_equal(journal_find(j, "g", "web"), i);
        assert_int_equal(journal_get(j, i)->pid, at);
        assert_int_equal(journal_sequence(j), 1000 + at);
        journal_close(j);
    }
}

static void test_both_headers_damaged(void **state)
{
    (void)state;
    journal_close(open_as(&today, JOURNAL_FRESH));
    flip(40);
    flip(1024 + 40);
    journal_close(open_as(&today, JOURNAL_DAMAGED));
    assert_int_equal(access("journal.refused", F_OK), 0);
    journal_close(open_as(&today, JOURNAL_RECOVERED));
    flip(8); /* its version, in both */
    flip(1024 + 8);
    journal_close(open_as(&today, JOURNAL_OTHER_VERSION));
    assert_int_equal(truncate("journal", 5000), 0);
    journal_close(open_as(&today, JOURNAL_DAMAGED));
    assert_int_equal(truncate("journal", 0), 0);
    journal_close(open_as(&today, JOURNAL_DAMAGED));
}

/* After a flip the slot either is as it was or is refused, and its neighbours are well. */
static void test_slot_byte_by_byte(void **state)
{
    (void)state;
    int refused = 0, named = 0, known = 0, last = 0;
    for (off_t at = 0; at < JOURNAL_SLOT_SIZE; at++) {
        char name[JOURNAL_NAME_MAX + 1];
        struct journal *j = open_as(&today, at == 0 ? JOURNAL_FRESH : JOURNAL_RECOVERED);
        put(j, "before", 99);
        uint32_t i = put(j, "web", 100);
        put(j, "web", 101);
        put(j, "after", 102);
        assert_int_equal(i, 1);
        journal_close(j);
        flip(4096 + JOURNAL_SLOT_SIZE + at);
        j = open_as(&today, JOURNAL_RECOVERED);
        assert_int_equal(journal_get(j, journal_find(j, "g", "before"))->pid, 99);
        assert_int_equal(journal_get(j, journal_find(j, "g", "after"))->pid, 102);
        uint32_t bad = 0;
        if (journal_next_damaged(j, &bad)) {
            refused++;
            assert_int_equal(bad, i);
            assert_int_equal(count(j, journal_next_damaged), 1);
            assert_int_equal(journal_find(j, "g", "web"), JOURNAL_NONE);
            assert_int_not_equal(journal_add(j, "g", "other"), i);
            journal_remove(j, journal_find(j, "g", "other"));
            journal_name(j, i, name);
            named += strcmp(name, "g:web") == 0;
            const struct journal_slot *s = journal_get(j, i);
            known += s != NULL;
            if (s != NULL)
                assert_in_range(s->pid, 100, 101);
            assert_int_equal(journal_reserve(j, 20), 0); /* nor does growth forget */
            assert_int_equal(count(j, journal_next_damaged), 1);
            assert_false(journal_mend(j, "g", "after"));
            assert_true(journal_mend(j, "g", "web"));
            assert_int_equal(journal_find(j, "g", "web"), i);
            last += journal_get(j, i)->pid == 101;
            journal_close(j);
            j = open_as(&today, JOURNAL_RECOVERED);
            assert_int_equal(count(j, journal_next_damaged), 0);
            assert_in_range(journal_get(j, journal_find(j, "g", "web"))->pid, 100, 101);
            journal_remove(j, i);
        } else {
            assert_int_equal(journal_get(j, journal_find(j, "g", "web"))->pid, 101);
            journal_remove(j, i);
        }
        assert_int_equal(count(j, journal_next_damaged), 0);
        journal_close(j);
    }
    /* the word, the head and one of the copies */
    assert_int_equal(refused, 8 + 88 + 144 - 4); /* and a newborn's pid is nobody's */
    assert_int_equal(named, 8 + 144 - 4);
    assert_int_equal(known, refused);
    assert_int_equal(last, 8 + 88); /* of a damaged copy the other is the one before */
}

/* Whose it was is all that is left. */
static void test_both_copies_of_a_slot_damaged(void **state)
{
    (void)state;
    struct journal *j = open_as(&today, JOURNAL_FRESH);
    uint32_t i = put(j, "web", 100);
    put(j, "web", 101);
    journal_close(j);
    flip(4096 + 96 + 50);
    flip(4096 + 96 + 144 + 50);
    j = open_as(&today, JOURNAL_RECOVERED);
    assert_null(journal_get(j, i));
    assert_true(journal_mend(j, "g", "web"));
    assert_false(journal_mend(j, "g", "web"));
    assert_int_equal(journal_find(j, "g", "web"), i);
    assert_int_equal(journal_get(j, i)->pid, 0);
    put(j, "web", 102);
    journal_close(j);
    j = open_as(&today, JOURNAL_RECOVERED);
    assert_int_equal(journal_get(j, journal_find(j, "g", "web"))->pid, 102);
    journal_close(j);
}

static void test_a_newborn_is_noted_beside_what_a_slot_holds(void **state)
{
    (void)state;
    struct journal *j = open_as(&today, JOURNAL_FRESH);
    uint32_t i = put(j, "web", 0);
    assert_int_equal(*journal_newborn(j, i), 0);
    *journal_newborn(j, i) = 4711;
    journal_close(j);
    j = open_as(&today, JOURNAL_RECOVERED);
    assert_int_equal(count(j, journal_next_damaged), 0);
    assert_int_equal(journal_get(j, i)->pid, 0);
    assert_int_equal(*journal_newborn(j, i), 4711);
    for (int n = 0; n < 2; n++) {
        put(j, "web", 4711);
        assert_int_equal(*journal_newborn(j, i), 0);
    }
    assert_null(journal_newborn(NULL, 0));
    assert_null(journal_newborn(j, i + 1));
    journal_close(j);
}

/* While it is open, and by somebody else's hand. */
static void test_a_slot_whose_key_is_damaged_is_given_away_all_the_same(void **state)
{
    (void)state;
    struct journal *j = open_as(&today, JOURNAL_FRESH);
    for (int n = 0; n < 8; n++) {
        char name[8];
        snprintf(name, sizeof(name), "p%d", n);
        put(j, name, 100);
    }
    for (uint32_t i = 0; i < 8; i++) {
        flip(4096 + (off_t)i * JOURNAL_SLOT_SIZE + 8);
        journal_remove(j, i);
        assert_int_equal(count(j, journal_next), 7 - i);
    }
    assert_int_equal(journal_add(j, "g", "new"), 7);
    assert_int_equal(journal_find(j, "g", "new"), 7);
    journal_close(j);
}

static void test_a_strange_file_is_refused(void **state)
{
    (void)state;
    struct journal *j = NULL;
    enum journal_origin origin;
    assert_int_equal(symlink("elsewhere", "journal"), 0);
    assert_int_equal(journal_open("journal", &today, &j, &origin), -EPERM);
    assert_int_equal(unlink("journal"), 0);
    assert_int_equal(mkfifo("journal", 0600), 0);
    assert_int_equal(journal_open("journal", &today, &j, &origin), -EPERM);
    assert_int_equal(unlink("journal"), 0);
    make_file("journal", "", 0666);
    assert_int_equal(journal_open("journal", &today, &j, &origin), -EPERM);
    assert_null(j);
}

static void test_taken_by_its_descriptor(void **state)
{
    (void)state;
    char name[16];
    for (int in_memory = 0; in_memory < 2; in_memory++) {
        struct journal *j = NULL, *again = NULL;
        if (in_memory)
            assert_int_equal(journal_memory(&today, &j), 0);
        else
            j = open_as(&today, JOURNAL_FRESH);
        unlink("journal");
        for (int n = 0; n < 50; n++) { /* it grows, too */
            snprintf(name, sizeof(name), "p%d", n);
            put(j, name, n + 1);
        }
        int fd = dup(journal_fd(j));
        journal_close(j);
        assert_int_equal(journal_take(dup(fd), "journal", &(struct identity_era){ .boot = { 9 } }, &again), -EBADMSG);
        assert_int_equal(journal_take(fd, "journal", &today, &again), 0);
        assert_int_equal(count(again, journal_next), 50);
        assert_int_equal(journal_get(again, journal_find(again, "g", "p49"))->pid, 50);
        journal_end(again);
    }
    struct journal *none = NULL;
    assert_int_equal(journal_take(open("/dev/null", O_RDWR | O_CLOEXEC), "journal", &today, &none), -EPERM);
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_it_is_found_again, clean),
        cmocka_unit_test_setup(test_a_slot_is_given_away_again, clean),
        cmocka_unit_test_setup(test_long_names_are_told_apart, clean),
        cmocka_unit_test_setup(test_ten_thousand, clean),
        cmocka_unit_test_setup(test_a_commit_makes_no_system_call, clean),
        cmocka_unit_test_setup(test_children_do_not_have_it, clean),
        cmocka_unit_test_setup(test_of_another_boot, clean),
        cmocka_unit_test_setup(test_header_byte_by_byte, clean),
        cmocka_unit_test_setup(test_both_headers_damaged, clean),
        cmocka_unit_test_setup(test_slot_byte_by_byte, clean),
        cmocka_unit_test_setup(test_both_copies_of_a_slot_damaged, clean),
        cmocka_unit_test_setup(test_a_newborn_is_noted_beside_what_a_slot_holds, clean),
        cmocka_unit_test_setup(test_a_slot_whose_key_is_damaged_is_given_away_all_the_same, clean),
        cmocka_unit_test_setup(test_a_strange_file_is_refused, clean),
        cmocka_unit_test_setup(test_taken_by_its_descriptor, clean),
    };
    return cmocka_run_group_tests_name("journal", tests, scratch_enter, scratch_leave);
}
