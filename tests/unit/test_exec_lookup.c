/* test_exec_lookup.c - which file a command names, and the line people read when it
 * cannot be run. */
#include "cmocka_all.h"

#include <errno.h>
#include <sys/wait.h>

#include "os/exec_lookup.h"
#include "scratch.h"

static int setup(void **state)
{
    if (scratch_enter(state) != 0 || mkdir("one", 0755) < 0 || mkdir("two", 0755) < 0 || mkdir("one/tool", 0755) < 0)
        return -1;
    make_file("two/tool", "#!/bin/sh\n", 0755);
    make_file("one/script", "#!/bin/sh\n", 0644);
    make_file("two/script", "#!/bin/sh\n", 0755);
    make_file("one/only", "x", 0644);
    make_file("here", "#!/bin/sh\n", 0755);
    return symlink("nowhere", "one/dangling");
}

static void test_lookup(void **state)
{
    (void)state;
    static const struct {
        const char *word, *path, *directory, *file;
        int error;
    } cases[] = {
        { "tool", "one:two", NULL, "two/tool", 0 }, /* a directory of that name is passed by */
        { "script", "one:two", NULL, "two/script", 0 },
        { "script", "two:one", NULL, "two/script", 0 },
        { "script", "one", NULL, NULL, -ENOEXEC },
        { "tool", "one", NULL, NULL, -EISDIR },
        { "nothing", "one:two", NULL, NULL, -ENOENT },
        { "only", "one:two", NULL, NULL, -ENOEXEC }, /* better than "not found" */
        { "dangling", "one", NULL, NULL, -ENOENT },
        { "here", ":one", NULL, "./here", 0 }, /* an empty element is the current directory */
        { "here", "one::two", NULL, "./here", 0 },
        { "here", "", NULL, NULL, -ENOENT },
        { "tool", "one:two", "two", "two/tool", 0 },
        { "two/tool", "", NULL, "two/tool", 0 }, /* a slash: PATH is not asked */
        { "./tool", NULL, "two", "./tool", 0 },  /* as seen from where it will run */
        { "./tool", NULL, NULL, NULL, -ENOENT },
        { "./tool", NULL, "one", NULL, -EISDIR },
        { "./tool", NULL, "no/such/directory", "./tool", 0 }, /* chdir will say it */
        { "one/", NULL, NULL, NULL, -EISDIR },
        { "/no/such", NULL, "one", NULL, -ENOENT },
        { "here/x", NULL, NULL, NULL, -ENOENT },
    };
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        char *file = NULL;
        int r = exec_lookup(cases[i].word, cases[i].path, cases[i].directory, &file);
        if (r != cases[i].error)
            fail_msg("%s along %s: %d", cases[i].word, cases[i].path, r);
        if (r == 0)
            assert_string_equal(file, cases[i].file);
        else
            assert_null(file); /* untouched */
        free(file);
    }
}

static void test_default_path(void **state)
{
    (void)state;
    _cleanup_free_ char *file = NULL;
    assert_int_equal(exec_lookup("sh", NULL, NULL, &file), 0);
    assert_int_equal(file[0], '/');
}

static void test_not_for_us(void **state)
{
    (void)state;
    make_file("private", "#!/bin/sh\n", 0700);
    pid_t pid = fork();
    if (pid == 0) {
        char *file = NULL;
        if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
            _exit(2);
        _exit(geteuid() == 65534 && exec_lookup("./private", NULL, NULL, &file) != -EACCES);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void assert_explained(enum spawn_stage stage, int error, const char *file, const char *expected)
{
    char line[300];
    exec_explain(stage, error, file, "/srv/app", "www", line, sizeof(line));
    assert_string_equal(line, expected);
}

static void test_explain(void **state)
{
    (void)state;
    make_file("bad", "#!/usr/bin/nod -x\n", 0755);
    make_file("dos", "#! /bin/sh\r\necho\r\n", 0755);
    make_file("closed", "#!/etc/passwd\n", 0755);
    make_file("plain", "echo\n", 0755);
    make_file("short", "#!", 0755);
    assert_explained(SPAWN_STAGE_EXEC, ENOENT, "bad", "exec bad: interpreter \"/usr/bin/nod\" not found");
    assert_explained(SPAWN_STAGE_EXEC, ENOENT, "dos",
                     "exec dos: interpreter \"/bin/sh\\r\" not found; the script has DOS line ends");
    assert_explained(SPAWN_STAGE_EXEC, EACCES, "closed",
                     "exec closed: interpreter \"/etc/passwd\" may not be executed");
    assert_explained(SPAWN_STAGE_EXEC, ENOEXEC, "plain",
                     "exec plain: no program for this machine; a script needs a #! line");
    assert_explained(SPAWN_STAGE_EXEC, ENOENT, "short", "exec short: No such file or directory (ENOENT)");
    assert_explained(SPAWN_STAGE_EXEC, ENOENT, "/no/such", "exec /no/such: No such file or directory (ENOENT)");
    assert_explained(SPAWN_STAGE_EXEC, E2BIG, "plain", "exec plain: Argument list too long (E2BIG)");
    assert_explained(SPAWN_STAGE_DIRECTORY, ENOENT, "x", "chdir /srv/app: No such file or directory (ENOENT)");
    assert_explained(SPAWN_STAGE_UID, EPERM, "x",
                     "setuid: cannot become user www: the daemon does not run as root (EPERM)");
    assert_explained(SPAWN_STAGE_LOOKUP, ENOEXEC, "x", "lookup x: the file has no execute permission (ENOEXEC)");
    assert_explained(SPAWN_STAGE_FORK, EAGAIN, "x", "fork x: Resource temporarily unavailable (EAGAIN)");
}

/* The head of a script is a stranger's bytes; and it need not be a file at all. */
static void test_strange_files(void **state)
{
    (void)state;
    char head[1001], line[80];
    memset(head, 'i', sizeof(head) - 1);
    head[sizeof(head) - 1] = '\0';
    memcpy(head, "#!/", 3);
    make_file("long", head, 0755);
    assert_int_equal(mkfifo("fifo", 0700), 0);
    alarm(60);
    exec_explain(SPAWN_STAGE_EXEC, ENOENT, "long", NULL, NULL, line, sizeof(line));
    assert_int_equal(strlen(line), sizeof(line) - 1);
    exec_explain(SPAWN_STAGE_EXEC, EACCES, "fifo", NULL, NULL, line, sizeof(line));
    assert_string_equal(line, "exec fifo: Permission denied (EACCES)");
    exec_explain(SPAWN_STAGE_GID, 9999, "x", NULL, NULL, line, sizeof(line));
    assert_string_equal(line, "setgid: cannot become user ?: Unknown error 9999 (?)");
    alarm(0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookup),  cmocka_unit_test(test_default_path),  cmocka_unit_test(test_not_for_us),
        cmocka_unit_test(test_explain), cmocka_unit_test(test_strange_files),
    };
    return cmocka_run_group_tests(tests, setup, scratch_leave);
}
