/* test_logfile.c - files of our own: rotation, sharing, names that move, full disks.
 * What is the daemon's own descriptor is in test_logfile_own.c. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "core/rotation.h"
#include "os/logfile.h"
#include "scratch.h"

static struct logfile_table *table;

static int setup(void **state)
{
    return scratch_enter(state) != 0 || logfile_table_new(&table) != 0;
}

static int teardown(void **state)
{
    logfile_table_free(table);
    return scratch_leave(state);
}

static struct logfile *opened(const char *name, uint64_t max_bytes, unsigned backups)
{
    struct logfile *f = NULL;
    assert_int_equal(logfile_open(table, name, max_bytes, backups, &f), 0);
    assert_non_null(f);
    return f;
}

static void put(struct logfile *f, const char *text)
{
    size_t written = 12345;
    assert_int_equal(logfile_write(f, text, strlen(text), &written), 0);
    assert_int_equal(written, strlen(text));
}

/* Until the file may look its name up again. */
static void next_second(void)
{
    struct timespec now, later;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    do {
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
        clock_gettime(CLOCK_MONOTONIC_COARSE, &later);
    } while (later.tv_sec == now.tv_sec);
}

static void test_append(void **state)
{
    (void)state;
    make_file("append.log", "old\n", 0644);
    struct logfile *f = opened("append.log", 0, 3);
    assert_true(logfile_is_file(f));
    assert_int_equal(logfile_room(f), SIZE_MAX);
    put(f, "new\n");
    put(f, "");
    assert_content("append.log", "old\nnew\n");
    logfile_unref(f);
    logfile_unref(NULL);
}

static void test_open_fails(void **state)
{
    (void)state;
    struct logfile *f = NULL;
    int fds = count_fds();
    assert_int_equal(logfile_open(table, "no/such/dir.log", 0, 0, &f), -ENOENT);
    assert_int_equal(logfile_open(table, ".", 0, 0, &f), -EISDIR);
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_int_equal(logfile_open(table, "fifo", 0, 0, &f), -ENXIO); /* at once, not when a reader comes */
    assert_null(f);
    assert_int_equal(count_fds(), fds);
}

static void test_rotation_at_line_ends(void **state)
{
    (void)state;
    struct logfile *f = opened("r.log", 10, 2);
    put(f, "12345\n");
    assert_int_equal(logfile_rotations(f), 0);
    put(f, "78901");
    assert_content("r.log", "12345\n78901"); /* past the limit, but within a line */
    put(f, "234\nnext\n");
    assert_content("r.log.1", "12345\n78901234\n");
    assert_content("r.log", "next\n");
    assert_int_equal(logfile_rotations(f), 1);
    put(f, "aaaaaaaaa\nbbbbbbbbb\nccccccccc\nd\n"); /* three in one write */
    assert_content("r.log", "d\n");
    assert_content("r.log.1", "ccccccccc\n");
    assert_content("r.log.2", "bbbbbbbbb\n");
    assert_null(content_of("r.log.3"));
    assert_int_equal(logfile_rotations(f), 4);
    logfile_unref(f);
}

static void test_rotation_of_what_was_there(void **state)
{
    (void)state;
    make_file("there.log", "0123456789\n", 0644);
    struct logfile *f = opened("there.log", 10, 1);
    put(f, "x\n");
    assert_content("there.log.1", "0123456789\nx\n");
    assert_content("there.log", "");
    logfile_unref(f);
}

/* A name of which nobody can tell whether a file has it (here: links that lead to each
 * other) might be one that has: it is not overwritten. */
static void test_what_may_be_there_is_not_overwritten(void **state)
{
    (void)state;
    struct logfile *f = opened("l.log", 10, 3);
    assert_int_equal(symlink("l.log.1", "l.log.1"), 0);
    put(f, "0123456789\n");
    put(f, "0123456789\n");
    assert_content("l.log", "0123456789\n0123456789\n");
    assert_int_equal(unlink("l.log.1"), 0);
    put(f, "x\n");
    assert_content("l.log.1", "0123456789\n0123456789\nx\n");
    assert_content("l.log", "");
    logfile_unref(f);
}

static void test_no_backups(void **state)
{
    (void)state;
    struct logfile *f = opened("none.log", 10, 0);
    put(f, "123456789\nab\n");
    assert_content("none.log", "ab\n");
    assert_null(content_of("none.log.1"));
    assert_int_equal(logfile_rotations(f), 1);
    logfile_unref(f);
}

static void test_endless_line(void **state)
{
    (void)state;
    struct logfile *f = opened("endless.log", 100, 1);
    char block[1000];
    memset(block, 'x', sizeof(block));
    size_t written, total = 0;
    while (logfile_rotations(f) == 0 && total < 10 * (size_t)ROTATION_SLACK) {
        assert_int_equal(logfile_write(f, block, sizeof(block), &written), 0);
        total += written;
    }
    struct stat st;
    assert_int_equal(stat("endless.log.1", &st), 0);
    assert_int_equal(st.st_size, 100 + ROTATION_SLACK);
    logfile_unref(f);
}

/* A name in a directory that we may not write: the file cannot be cut, and must not
 * hold us up, nor lose a byte. */
static int cannot_rotate(void)
{
    struct logfile *f = NULL;
    char block[4096];
    size_t written, total = 0;
    if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
        return 2;
    if (logfile_open(table, "closed/x.log", 100, 2, &f) != 0)
        return 3;
    memset(block, 'x', sizeof(block));
    alarm(60);
    for (int i = 0; i < 40; i++) {
        block[100] = i % 2 ? '\n' : 'x';
        if (logfile_write(f, block, sizeof(block), &written) != 0 || written != sizeof(block))
            return 4;
        total += written;
    }
    struct stat st;
    return stat("closed/x.log", &st) < 0 || (size_t)st.st_size != total ? 5 : 0;
}

static void test_directory_is_not_ours(void **state)
{
    (void)state;
    assert_int_equal(mkdir("closed", 0755), 0);
    make_file("closed/x.log", "", 0666);
    assert_int_equal(chmod("closed", 0555), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(cannot_rotate());
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    chmod("closed", 0755);
    assert_int_equal(status, 0);
}

static void test_old_logs_survive_a_failed_rotation(void **state)
{
    (void)state;
    if (under_valgrind())
        skip(); /* it plays the limit of descriptors itself */
    make_file("keep.log.1", "one\n", 0644);
    make_file("keep.log.2", "two\n", 0644);
    next_second(); /* and not look the name up in the middle */
    struct logfile *f = opened("keep.log", 4, 5);
    struct rlimit before, none;
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 0; /* nothing can be opened */
    size_t written;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int r = logfile_write(f, "aaaa\nbbbb\ncccc\ndddd\neeee\nffff\n", 30, &written);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(r, 0);
    assert_int_equal(written, 30);
    put(f, "gggg\n");
    put(f, "hh");
    logfile_unref(f);
    _cleanup_free_ char *first = content_of("keep.log.2"), *second = content_of("keep.log.3");
    assert_non_null(first); /* moved on once, with the first attempt, and not once for every line */
    assert_non_null(second);
    assert_string_equal(first, "one\n");
    assert_string_equal(second, "two\n");
    assert_content("keep.log.1", "aaaa\nbbbb\ncccc\ndddd\neeee\nffff\ngggg\n");
    assert_content("keep.log", "hh");
}

static void test_sharing(void **state)
{
    (void)state;
    struct logfile *f = opened("shared.log", 10, 1), *same = opened("shared.log", 20, 1);
    assert_ptr_equal(f, same);
    put(f, "aaaaaaaaa\n");
    assert_int_equal(logfile_rotations(f), 0); /* the newest limit rules */
    put(same, "bbbbbbbbb\n");
    assert_content("shared.log.1", "aaaaaaaaa\nbbbbbbbbb\n");
    logfile_unref(f);
    put(same, "still\n");
    assert_content("shared.log", "still\n");
    logfile_unref(same);
}

/* Two names of one file, by either sort of link, have one writer. */
static void test_links(void **state)
{
    (void)state;
    assert_int_equal(mkdir("real", 0755), 0);
    assert_int_equal(symlink("real/file.log", "link.log"), 0); /* leads nowhere yet */
    struct logfile *f = opened("link.log", 6, 2);
    put(f, "aaaaa\nb\n");
    assert_content("real/file.log.1", "aaaaa\n"); /* rotated where it is */
    assert_content("real/file.log", "b\n");
    assert_content("link.log", "b\n");
    assert_null(content_of("link.log.1"));
    struct logfile *same = opened("real/file.log", 6, 2);
    assert_ptr_equal(same, f);
    assert_int_equal(link("real/file.log", "hard.log"), 0);
    int fds = count_fds();
    struct logfile *hard = opened("hard.log", 6, 2);
    assert_ptr_equal(hard, f);
    assert_int_equal(count_fds(), fds);
    put(hard, "c\n");
    assert_content("real/file.log", "b\nc\n");
    logfile_unref(hard);
    logfile_unref(same);
    put(f, "dd\n");
    assert_content("real/file.log.1", "b\nc\ndd\n");
    logfile_unref(f);
}

static void test_replaced_by_a_link(void **state)
{
    (void)state;
    struct logfile *f = opened("plain.log", 4, 2);
    put(f, "a\n");
    make_file("elsewhere.log", "", 0644);
    assert_int_equal(unlink("plain.log"), 0);
    assert_int_equal(symlink("elsewhere.log", "plain.log"), 0);
    next_second();
    put(f, "bbbb\nc\n");
    assert_content("elsewhere.log.1", "bbbb\n");
    assert_content("elsewhere.log", "c\n");
    assert_content("plain.log", "c\n");
    assert_int_equal(unlink("plain.log"), 0); /* now a device, and back */
    assert_int_equal(symlink("/dev/full", "plain.log"), 0);
    assert_int_equal(logfile_reopen_all(table), 0);
    size_t written;
    assert_int_equal(logfile_write(f, "d\n", 2, &written), -ENOSPC);
    assert_int_equal(unlink("plain.log"), 0);
    next_second();
    put(f, "e\n");
    assert_content("plain.log", "e\n");
    logfile_unref(f);
}

/* A shift that was cut short leaves a gap; the next one fills it, and costs none
 * of the older logs. */
static void test_a_gap_is_filled(void **state)
{
    (void)state;
    make_file("gap.log.1", "one\n", 0644);
    make_file("gap.log.3", "three\n", 0644);
    struct logfile *f = opened("gap.log", 5, 3);
    put(f, "zero\n");
    assert_content("gap.log.1", "zero\n");
    assert_content("gap.log.2", "one\n");
    assert_content("gap.log.3", "three\n");
    put(f, "next\n");
    assert_content("gap.log.3", "one\n");
    logfile_unref(f);
}

static void test_names_that_move(void **state)
{
    (void)state;
    struct logfile *f = opened("moves.log", 0, 1);
    put(f, "a\n");
    assert_int_equal(rename("moves.log", "moves.old"), 0);
    next_second();
    put(f, "b\n");
    assert_content("moves.old", "a\n");
    assert_content("moves.log", "b\n");
    assert_int_equal(unlink("moves.log"), 0);
    next_second();
    put(f, "c\n");
    assert_content("moves.log", "c\n");
    make_file("other", "other\n", 0644);
    assert_int_equal(rename("other", "moves.log"), 0); /* replaced */
    next_second();
    put(f, "d\n");
    assert_content("moves.log", "other\nd\n");
    logfile_unref(f);
}

static void test_truncated_from_outside(void **state)
{
    (void)state;
    struct logfile *f = opened("cut.log", 10, 1);
    put(f, "1234567");
    assert_int_equal(truncate("cut.log", 0), 0);
    next_second();
    put(f, "89a\n"); /* its size is what it has, not what we wrote */
    assert_int_equal(logfile_rotations(f), 0);
    assert_content("cut.log", "89a\n");
    logfile_unref(f);
}

static void test_reopen(void **state)
{
    (void)state;
    struct logfile *f = opened("reopen.log", 0, 0), *g = opened("x.log", 0, 0);
    put(f, "a\n");
    assert_int_equal(rename("reopen.log", "reopen.old"), 0);
    assert_int_equal(logfile_reopen_all(table), 0);
    put(f, "b\n"); /* at once, not only a second later */
    assert_content("reopen.old", "a\n");
    assert_content("reopen.log", "b\n");
    assert_int_equal(unlink("reopen.log"), 0);
    assert_int_equal(mkdir("reopen.log", 0755), 0);
    int fds = count_fds();
    assert_int_equal(logfile_reopen_all(table), 1);
    assert_int_equal(count_fds(), fds);
    put(f, "c\n"); /* goes on into the old one */
    logfile_unref(f);
    logfile_unref(g);
}

static void test_clear(void **state)
{
    (void)state;
    struct logfile *f = opened("clear.log", 10, 1);
    put(f, "1234567");
    assert_int_equal(logfile_clear(f), 0);
    assert_content("clear.log", "");
    put(f, "89a\n"); /* the count begins anew, at the file's start */
    assert_content("clear.log", "89a\n");
    assert_int_equal(logfile_rotations(f), 0);
    logfile_unref(f);
}

static void test_full_disk(void **state)
{
    (void)state;
    struct logfile *f = opened("/dev/full", 100, 1);
    size_t written = 77;
    assert_false(logfile_is_file(f));
    assert_int_equal(logfile_write(f, "abc\n", 4, &written), -ENOSPC);
    assert_int_equal(written, 0);
    assert_int_equal(logfile_clear(f), -EINVAL); /* nothing that could be cleared */
    logfile_unref(f);
}

/* A file that takes some bytes and no more, as a nearly full disk does. */
static int nearly_full(void)
{
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = { 6, 6 };
    struct logfile *f = NULL;
    size_t written = 77;
    if (setrlimit(RLIMIT_FSIZE, &limit) < 0 || logfile_open(table, "nearly.log", 0, 0, &f) != 0)
        return 2;
    if (logfile_write(f, "12345678", 8, &written) != -EFBIG || written != 6)
        return 3;
    return logfile_clear(f) == 0 && logfile_write(f, "78", 2, &written) == 0 && written == 2 ? 0 : 4;
}

static void test_part_of_it(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(nearly_full());
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_content("nearly.log", "78");
}

static void test_many(void **state)
{
    (void)state;
    enum { MANY = 500 }; /* more than the table has buckets */
    static struct logfile *files[MANY];
    char name[32], text[32];
    int fds = count_fds();
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof(name), "many-%d", i);
        files[i] = opened(name, 0, 0);
    }
    for (int i = 0; i < MANY; i++) {
        snprintf(text, sizeof(text), "%d\n", i);
        put(files[i], text);
    }
    for (int i = 0; i < MANY; i += 2)
        logfile_unref(files[i]);
    for (int i = 1; i < MANY; i += 2)
        logfile_unref(files[i]);
    assert_content("many-499", "499\n");
    assert_int_equal(count_fds(), fds);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_open_fails),
        cmocka_unit_test(test_rotation_at_line_ends),
        cmocka_unit_test(test_rotation_of_what_was_there),
        cmocka_unit_test(test_what_may_be_there_is_not_overwritten),
        cmocka_unit_test(test_no_backups),
        cmocka_unit_test(test_endless_line),
        cmocka_unit_test(test_directory_is_not_ours),
        cmocka_unit_test(test_old_logs_survive_a_failed_rotation),
        cmocka_unit_test(test_sharing),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_replaced_by_a_link),
        cmocka_unit_test(test_a_gap_is_filled),
        cmocka_unit_test(test_names_that_move),
        cmocka_unit_test(test_truncated_from_outside),
        cmocka_unit_test(test_reopen),
        cmocka_unit_test(test_clear),
        cmocka_unit_test(test_full_disk),
        cmocka_unit_test(test_part_of_it),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
