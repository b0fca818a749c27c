/* test_log.c - the form of a line, escapes, levels, rotation, and sinks that fail. */
#include "cmocka_all.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <regex.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/log.h"

static unsigned renames;

int rename(const char *from, const char *to)
{
    renames++;
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

static char dir[64];
static char path[96];

static int setup(void **state)
{
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/drover-log.XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/log", dir);
    return 0;
}

static const char *numbered(unsigned n)
{
    static char name[128];
    snprintf(name, sizeof(name), "%s.%u", path, n);
    return name;
}

static int teardown(void **state)
{
    (void)state;
    log_close();
    unlink(path);
    for (unsigned i = 1; i < 5; i++)
        unlink(numbered(i));
    return rmdir(dir);
}

static const char *content(const char *name)
{
    static char text[200000];
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void open_log(uint64_t max_bytes, unsigned backups)
{
    struct log_options o = { .path = path, .level = LOG_LEVEL_INFO, .max_bytes = max_bytes, .backups = backups };
    assert_int_equal(log_open(&o), 0);
}

static void assert_matches(const char *text, const char *pattern)
{
    regex_t re;
    assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
    if (regexec(&re, text, 0, NULL, 0) != 0)
        fail_msg("'%s' does not match '%s'", text, pattern);
    regfree(&re);
}

#define STAMP "[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2},[0-9]{3} "

static void test_form(void **state)
{
    (void)state;
    open_log(0, 0);
    errno = ENOENT;
    log_info("spawned: '%s' with pid %d", "web", 4711);
    assert_int_equal(errno, ENOENT);
    log_critical("bad: %m");
    log_debug("not seen");
    assert_matches(content(path),
                   "^" STAMP "INFO spawned: 'web' with pid 4711\n" STAMP "CRIT bad: No such file[^\n]*\n$");
    assert_string_equal(log_path(), path);
    assert_int_equal(log_get_level(), LOG_LEVEL_INFO);
}

static void test_one_event_is_one_line(void **state)
{
    (void)state;
    open_log(0, 0);
    log_warn("a\nb\tc\rd\033[31me\x7f \xc2\x9b gr\xc3\xbc\xc3\x9f");
    assert_matches(content(path),
                   "^" STAMP "WARN a\\\\nb\\\\tc\\\\rd\\\\x1b\\[31me\\\\x7f \\\\xc2\\\\x9b gr\xc3\xbc\xc3\x9f\n$");
}

static void test_long_messages_are_cut(void **state)
{
    (void)state;
    static char huge[100000];
    memset(huge, '\n', sizeof(huge) - 1);
    open_log(0, 0);
    log_info("%s", huge);
    memset(huge, 'x', sizeof(huge) - 1);
    log_info("%s", huge);
    log_info("%.2000s", huge);
    const char *text = content(path);
    assert_in_range(strcspn(text, "\n"), 32000, 66000);
    text = strchr(text, '\n') + 1;
    assert_in_range(strcspn(text, "\n"), 16000, 17000);
    text = strchr(text, '\n') + 1;
    assert_in_range(strcspn(text, "\n"), 2000, 2100);
}

static void test_rotation(void **state)
{
    (void)state;
    open_log(200, 2);
    for (int i = 0; i < 20; i++)
        log_info("line number %02d of twenty", i);
    assert_true(strlen(content(path)) < 200);
    assert_non_null(strstr(content(numbered(1)), "line number"));
    char first[8];
    snprintf(first, sizeof(first), "%.2s", strstr(content(numbered(1)), "number ") + 7);
    assert_true(strcmp(first, strstr(content(numbered(2)), "number ") + 7) > 0); /* .1 is the newer */
    assert_int_equal(access(numbered(3), F_OK), -1);
}

/* What we were started with may be a file too; it has no name that is ours. */
static void test_own_descriptor_is_not_rotated(void **state)
{
    char name[32];
    (void)state;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    snprintf(name, sizeof(name), "/dev/fd/%d", fd);
    struct log_options o = { .path = name, .level = LOG_LEVEL_INFO, .max_bytes = 100, .backups = 2 };
    assert_int_equal(log_open(&o), 0);
    renames = 0;
    for (int i = 0; i < 10; i++)
        log_info("a line of about fifty bytes, ten times over");
    assert_int_equal(renames, 0);
    assert_true(strlen(content(path)) > 500);
    close(fd);
    assert_int_equal(log_own_descriptor("/dev/stdout"), STDOUT_FILENO);
    assert_int_equal(log_own_descriptor("/dev/stderr"), STDERR_FILENO);
    assert_int_equal(log_own_descriptor("/dev/fd/"), -1);
    assert_int_equal(log_own_descriptor("/dev/fd/-1"), -1);
    assert_int_equal(log_own_descriptor("/dev/fd/7x"), -1);
    assert_int_equal(log_own_descriptor(path), -1);
}

static void test_rotation_without_backups_truncates(void **state)
{
    (void)state;
    open_log(200, 0);
    for (int i = 0; i < 20; i++)
        log_info("line number %02d of twenty", i);
    assert_true(strlen(content(path)) < 200);
    assert_int_equal(access(numbered(1), F_OK), -1);
}

static void test_reopen(void **state)
{
    (void)state;
    open_log(0, 0);
    log_info("before");
    rename(path, numbered(1));
    log_info("still before");
    assert_int_equal(log_reopen(), 0);
    log_info("after");
    assert_matches(content(numbered(1)), "before\n.*still before\n$");
    assert_matches(content(path), "INFO after\n$");
}

static void test_failures_are_survived(void **state)
{
    (void)state;
    struct log_options bad = { .path = "/no/such/directory/log", .level = LOG_LEVEL_DEBUG };
    open_log(0, 0);
    assert_int_equal(log_open(&bad), -ENOENT);
    log_info("the old sink is still there");
    assert_matches(content(path), "still there\n$");
    struct log_options full = { .path = "/dev/full", .level = LOG_LEVEL_INFO, .max_bytes = 10, .backups = 1 };
    assert_int_equal(log_open(&full), 0);
    for (int i = 0; i < 10; i++)
        log_info("nobody hears this");
    open_log(0, 0);
    log_info("heard");
    assert_matches(content(path), "10 lines before this one could not be written\\) heard\n$");
}

/* A reader that has stopped costs lines, not time. */
static void test_stuck_pipe(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    char name[32];
    snprintf(name, sizeof(name), "/dev/fd/%d", fds[1]);
    struct log_options o = { .path = name, .level = LOG_LEVEL_INFO, .max_bytes = 1, .backups = 3 };
    assert_int_equal(log_open(&o), 0);
    static char text[9000];
    memset(text, 'y', sizeof(text) - 1);
    for (int i = 0; i < 200; i++)
        log_info("%s", text); /* would hang here */
    char first[PIPE_BUF + 1] = "";
    assert_int_equal(read(fds[0], first, PIPE_BUF), PIPE_BUF);
    assert_int_equal(first[PIPE_BUF - 1], '\n');
    close(fds[0]);
    signal(SIGPIPE, SIG_IGN);
    log_info("nobody left");
    close(fds[1]);
}

static void test_echo(void **state)
{
    (void)state;
    struct log_options o = { .path = path, .level = LOG_LEVEL_INFO, .echo = true };
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    fflush(stdout);
    int saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_int_equal(log_open(&o), 0);
    dup2(fds[1], STDOUT_FILENO);
    log_info("twice");
    dup2(saved, STDOUT_FILENO);
    char text[128] = "";
    assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
    assert_string_equal(text, content(path));
    close(saved);
    close(fds[0]);
    close(fds[1]);
}

static void test_journal(void **state)
{
    (void)state;
    int fds[2];
    struct stat st;
    char name[64], text[256] = "";
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(fstat(fds[1], &st), 0);
    snprintf(name, sizeof(name), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", name, 1);
    snprintf(name, sizeof(name), "/dev/fd/%d", fds[1]);
    struct log_options o = { .path = name, .level = LOG_LEVEL_INFO };
    assert_int_equal(log_open(&o), 0);
    log_error("one\ntwo");
    log_hold(true);
    log_warn("three");
    log_hold(false);
    assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
    assert_string_equal(text, "<3>ERRO one\\ntwo\n<4>WARN three\n");
    o.path = path; /* and what is not the journal's is as ever */
    assert_int_equal(log_open(&o), 0);
    log_info("four");
    assert_true(content(path)[0] == '2');
    unsetenv("JOURNAL_STREAM");
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_form),
        TEST(test_one_event_is_one_line),
        TEST(test_long_messages_are_cut),
        TEST(test_rotation),
        TEST(test_own_descriptor_is_not_rotated),
        TEST(test_rotation_without_backups_truncates),
        TEST(test_reopen),
        TEST(test_failures_are_survived),
        TEST(test_stuck_pipe),
        TEST(test_echo),
        TEST(test_journal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
