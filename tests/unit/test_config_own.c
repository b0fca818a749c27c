/* test_config_own.c - Drover's own keys about a start: what is read, printed, refused. */
#include "base/buf.h"
#include "cmocka_all.h"
#include "config/option.h"
#include "memory_world.h"

struct loaded {
    struct config *c;
    struct diagnostics d;
    int result;
};

/* A native file with one program, whose section goes on with `keys`. */
static struct loaded load_kind(const char *head, const char *keys)
{
    char text[4096];
    struct loaded l = { 0 };
    snprintf(text, sizeof text, "%s[program:a]\ncommand=x y\n%s\n", head, keys);
    const struct memory_file files[] = { { "/etc/x/main.conf", text, 0, 0 },
                                         { "/env/a", "# one\n\nA=1\nexport B = 2\n", 0, 0 },
                                         { "/env/b", "A=first\nB=\"q \\\" \\$x\"\n C='s \\ ' \r\nA=second  \n", 0, 0 },
                                         { "/env/c", "A=c\nD=d=d\nB=c", 0, 0 },
                                         { "/env/bad", "A=1\nB=\"open\n", 0, 0 },
                                         { 0 } };
    struct config_world world = memory_world(files);
    l.result = config_load(&world, "/etc/x/main.conf", &l.c, &l.d);
    return l;
}

static struct loaded load(const char *keys)
{
    return load_kind("[droverd]\n", keys);
}

static const struct program *program_of(const struct loaded *l)
{
    for (size_t i = 0; i < l->d.n; i++)
        if (l->result < 0)
            print_error("%s\n", l->d.list[i].text);
    assert_int_equal(l->result, 0);
    return &l->c->groups[0].programs[0];
}

static void done(struct loaded *l)
{
    config_unref(l->c);
    diagnostics_clear(&l->d);
}

static void check_value(const char *key, const char *value, const char *printed)
{
    char keys[512];
    snprintf(keys, sizeof keys, "%s=%s", key, value);
    struct loaded l = load(keys);
    _cleanup_buf_ struct buf out = BUF_INIT(4096);
    assert_true(option_print(&options_program, option_find(&options_program, key), program_of(&l), &out));
    assert_string_equal(out.data, printed);
    snprintf(keys, sizeof keys, "%s=%s", key, printed); /* what is printed means the same */
    struct loaded again = load(keys);
    assert_true(program_equal(program_of(&l), program_of(&again)));
    struct loaded none = load("");
    bool fallback = option_find(&options_program, key)->fallback != NULL;
    assert_int_equal(program_equal(program_of(&l), program_of(&none)),
                     fallback && strcmp(printed, option_find(&options_program, key)->fallback) == 0);
    done(&l);
    done(&again);
    done(&none);
}

/* However long the lists are that a key holds, a difference at their end is one. */
static void long_lists(void **state)
{
    static const char *const keys[] = { "send_to", "accept_from", "control" };
    char one[2048], other[sizeof one + 8];
    (void)state;
    for (size_t i = 0; i < ELEMENTS(keys); i++) {
        int n = snprintf(one, sizeof one, "%s=first", keys[i]);
        for (int k = 0; k < 100; k++)
            n += snprintf(one + n, sizeof one - (size_t)n, ",program_%d", k);
        snprintf(other, sizeof other, "%s,last", one);
        struct loaded a = load(one), same = load(one), b = load(other);
        assert_true(program_equal(program_of(&a), program_of(&same)));
        assert_false(program_equal(program_of(&a), program_of(&b)));
        done(&a);
        done(&same);
        done(&b);
    }
}

/* key, what is written, what is printed of it */
static const char *const good[][3] = {
    { "limit_nofile", "1024:4096", "1024:4096" },
    { "limit_nofile", "64", "64" },
    { "limit_nproc", "infinity", "infinity" },
    { "limit_core", "0:infinity", "0:infinity" },
    { "limit_as", "2GB", "2147483648" },
    { "limit_stack", "8MB:16MB", "8388608:16777216" },
    { "limit_cpu", "1h", "3600" },
    { "limit_cpu", "30", "30" },
    { "limit_cpu", "1500ms", "2" },
    { "limit_rttime", "200ms", "200000" },
    { "limit_rttime", "5000", "5000" },
    { "limit_nice", "-5", "25" },
    { "limit_nice", "+5", "15" },
    { "limit_nice", "40", "40" },
    { "nice", "-20", "-20" },
    { "oom_score_adj", "1000", "1000" },
    { "ionice", "idle", "idle" },
    { "ionice", "Best-Effort", "best-effort:4" },
    { "ionice", "realtime:0", "realtime:0" },
    { "cpu_affinity", "5,0-2 7", "0-2,5,7" },
    { "cpu_affinity", "1023", "1023" },
    { "no_new_privileges", "yes", "true" },
    { "no_new_privileges", "no", "false" },
    { "capabilities", "CAP_NET_RAW, chown", "chown,net_raw" },
    { "capabilities", "none", "none" },
    { "shell", "true", "/bin/sh" },
    { "shell", "/bin/bash", "/bin/bash" },
    { "shell", "false", "false" },
    { "inherit_environment", "PATH, HOME", "PATH,HOME" },
    { "inherit_environment", "off", "false" },
    { "timeout", "90", "90" },
    { "timeout", "1500ms", "1.5" },
    { "timeout_signal", "sigint", "INT" },
    { "timeout_signal", "9", "KILL" },
    { "stdio", "ignore", "ignore, ignore, ignore" },
    { "stdio", "inherit,2, null,null,63", "inherit, 2, pipe, ignore, 63" },
    { "stdio", "< /in,>out , >>~/log", "</in, >out, >>/home/me/log" },
    { "stdio", "pipe", "pipe, pipe, pipe" },
    { "stdio", "null, null, null, pipe", "pipe, pipe, pipe, pipe" },
    { "stdio", "pipe,pipe,pipe,ipc", "pipe, pipe, pipe, ipc" },
    { "ipc", "yes", "true" },
    { "ipc", "json", "json" },
    { "ipc", "off", "false" },
    { "ipc_max_message", "64KB", "65536" },
    { "ipc_queue_bytes", "2MB", "2097152" },
    { "ipc_queue_messages", "5", "5" },
    { "ipc_wait", "1500ms", "1.5" },
    { "ipc_wait", "0", "0" },
    { "ipc_handles", "any", "any" },
    { "ipc_handles", "None", "none" },
    { "relay", "yes", "true" },
    { "send_to", "api, db", "api,db" },
    { "send_to", "", "" },
    { "accept_from", "*", "*" },
    { "accept_from", "*,web", "*,web" },
    { "control", "Read", "read" },
    { "control", "self", "self" },
    { "control", "all", "all" },
    { "control", "api, db", "api,db" },
    { "argv0", "-sh", "-sh" },
    { "uid", "app", "app" },
    { "uid", "1000", "1000" },
    { "gid", "4242", "4242" },
};

static void values(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(good); i++)
        check_value(good[i][0], good[i][1], good[i][2]);
}

/* each of these is one error */
static const char *const bad[] = {
    "limit_nofile=many",
    "limit_nofile=10:5",
    "limit_nofile=-1",
    "limit_nofile=1:",
    "limit_as=5 apples",
    "limit_cpu=infinitely",
    "limit_nice=41",
    "limit_nice=-21",
    "limit_nofile=1:2:3",
    "nice=20",
    "nice=x",
    "oom_score_adj=-1001",
    "ionice=best",
    "ionice=idle:3",
    "ionice=realtime:8",
    "ionice=best-effort:-1",
    "cpu_affinity=",
    "cpu_affinity=3-1",
    "cpu_affinity=1024",
    "cpu_affinity=-3",
    "cpu_affinity=1-",
    "no_new_privileges=maybe",
    "capabilities=fly",
    "capabilities=chown,,kill",
    "shell=bash",
    "inherit_environment=A B",
    "inherit_environment=1A",
    "uid=nobody-there",
    "uid=4242",
    "uid=-1",
    "uid=4294967295",
    "gid=nobody-there",
    "gid=4294967295",
    "groups=1",
    "uid=app\ngroups=nope",
    "user=app\nuid=0",
    "environment_file=/no",
    "environment_file=/env/bad",
    "environment_file=/env/a",
    "stdio=",
    "stdio=pipes",
    "stdio=64",
    "stdio=-1",
    "stdio=<",
    "stdio=ipc, ipc",
    "ipc=maybe",
    "ipc=advanced",
    "ipc_max_message=1000",
    "ipc_max_message=65MB",
    "ipc_max_message=many",
    "ipc_queue_bytes=-1",
    "ipc_queue_messages=0",
    "ipc_wait=61",
    "ipc_wait=soon",
    "ipc_handles=some",
    "relay=maybe",
    "send_to=a:b",
    "send_to=a,,b",
    "accept_from=@a",
    "control=",
    "control=a,$",
    "stdio=pipe,ipc\nredirect_stderr=true",
    "stdio=socket:x",
    "stdio=pipe,,pipe",
    "stdio=pipe,pipe,1\nredirect_stderr=true",
    "timeout=soon",
    "timeout_signal=BANG",
};

static void refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        struct loaded l = load(bad[i]);
        if (l.result != -EINVAL || l.d.n_errors != 1)
            fail_msg("\"%s\" gave %d and %zu errors", bad[i], l.result, l.d.n_errors);
        done(&l);
        l = load_kind("[supervisord]\n", bad[i]); /* a file of supervisord's kind is no place for them either */
        assert_int_equal(l.result, -EINVAL);
        done(&l);
    }
}

static void identities(void **state)
{
    struct loaded l = load("uid=app\ngroups=5,root,5,2");
    const struct program *p = program_of(&l);
    (void)state;
    assert_true(p->has_identity);
    assert_int_equal(p->common->uid, 1000);
    assert_int_equal(p->common->gid, 1000);
    assert_string_equal(p->common->account, "app");
    assert_int_equal(p->common->n_groups, 3); /* sorted, each once */
    assert_int_equal(p->common->groups[0], 0);
    assert_int_equal(p->common->groups[1], 2);
    assert_int_equal(p->common->groups[2], 5);
    done(&l);
    l = load("uid=4242\ngid=app\ngroups=none");
    p = program_of(&l);
    assert_int_equal(p->common->uid, 4242);
    assert_int_equal(p->common->gid, 1000);
    assert_null(p->common->account);
    assert_int_equal(p->common->n_groups, 0);
    assert_non_null(p->common->groups_text);
    done(&l);
    l = load("user=app\nuid=1000\ngid=7");
    p = program_of(&l);
    assert_int_equal(p->common->uid, 1000);
    assert_int_equal(p->common->gid, 7);
    done(&l);
    l = load("gid=7"); /* the daemon's own user, in another group */
    p = program_of(&l);
    assert_int_equal(p->common->uid, 0);
    assert_int_equal(p->common->gid, 7);
    assert_string_equal(p->common->account, "root");
    done(&l);
    l = load("");
    assert_false(program_of(&l)->has_identity);
    assert_null(program_of(&l)->confinement);
    done(&l);
}

static void expect_variables(const struct program *p, const char *const *expected)
{
    size_t n = 0;
    for (; expected[n] != NULL; n++) {
        assert_non_null(p->file_variables[n]);
        assert_string_equal(p->file_variables[n], expected[n]);
    }
    assert_null(p->file_variables[n]);
}

static void environment_files(void **state)
{
    struct loaded l = load("environment_file=/env/b, -/env/missing, /env/c\nenvironment=D=\"own\"");
    static const char *const expected[] = { "A=c", "B=c", "C=s \\ ", NULL };
    static const char *const quoted[] = { "A=second", "B=q \" $x", "C=s \\ ", NULL };
    (void)state;
    expect_variables(program_of(&l), expected);
    done(&l);
    l = load("environment_file=/env/b");
    expect_variables(program_of(&l), quoted);
    struct loaded other = load("environment_file=/env/b\nenvironment=A=\"own\"");
    assert_false(program_equal(program_of(&l), program_of(&other)));
    done(&l);
    done(&other);
    l = load("environment_file=-/env/missing");
    assert_null(program_of(&l)->file_variables);
    done(&l);
}

static void expect_stdio(const char *keys, const char *printed, const char *warning)
{
    struct loaded l = load(keys);
    _cleanup_buf_ struct buf out = BUF_INIT(4096);
    assert_true(option_print(&options_program, option_find(&options_program, "stdio"), program_of(&l), &out));
    assert_string_equal(out.data, printed);
    assert_int_equal(l.d.n, warning != NULL ? 1 : 0);
    if (warning != NULL && strstr(l.d.list[0].text, warning) == NULL)
        fail_msg("%s", l.d.list[0].text);
    done(&l);
}

static void detached(void **state)
{
    (void)state;
    expect_stdio("detached=true", "ignore, log, log", NULL);
    expect_stdio("detached=false", "pipe, pipe, pipe", NULL);
    expect_stdio("detached=true\nstdio=ignore, >/a, log", "ignore, >/a, log", NULL);
    expect_stdio("detached=true\nstdio=pipe", "pipe, pipe, pipe", "main.conf:5: [program:a] stdio: has a pipe");
    expect_stdio("detached=true\nipc=true", "ignore, log, log", "main.conf:5: [program:a] ipc: makes a channel");
    expect_stdio("detached=true\nstdout_logfile_maxbytes=1MB", "ignore, log, log",
                 "main.conf:5: [program:a] stdout_logfile_maxbytes: does nothing");
    expect_stdio("detached=true\nlog_format=json", "ignore, log, log", "log_format: does nothing");
    expect_stdio("stdio=ignore, log, pipe\nstderr_logfile_maxbytes=1MB", "ignore, log, pipe", NULL);
    expect_stdio("stdio=ignore, pipe, log\nstderr_syslog=true", "ignore, pipe, log", "stderr_syslog: does nothing");
}

static uint64_t sum_of(const char *keys)
{
    struct loaded l = load(keys);
    uint64_t sum = program_sum(program_of(&l));
    done(&l);
    return sum;
}

/* As program_equal() says, but over two runs of the daemon. */
static void sums(void **state)
{
    (void)state;
    uint64_t plain = sum_of("umask=022\nnice=5");
    assert_int_equal(plain, sum_of("nice=5\n\numask=022"));
    assert_int_equal(plain, sum_of("nice = 5 ; as before\numask=022"));
    assert_int_not_equal(plain, sum_of("umask=022\nnice=6"));
    assert_int_not_equal(plain, sum_of("umask=022"));
    assert_int_not_equal(plain, sum_of("umask=022\nnice=5\nenvironment=A=1"));
    struct loaded l = load_kind("[droverd]\nenvironment=A=1\n", "umask=022\nnice=5");
    assert_int_equal(program_sum(program_of(&l)), sum_of("umask=022\nnice=5\nenvironment=A=1"));
    done(&l);
}

/* What is wrong is told in the order of the lines, and always with one where there is one. */
static void told_in_order(void **state)
{
    static const char *const places[] = { "/etc/x/main.conf:4: ", "/etc/x/main.conf:5: ", "/etc/x/main.conf:6: ",
                                          "/etc/x/main.conf:7: " };
    struct loaded l = load("nonsense=1\nuser=nobody-at-all\nautostart=maybe\ncomand=x");
    (void)state;
    assert_int_equal(l.d.n, ELEMENTS(places));
    for (size_t i = 0; i < ELEMENTS(places); i++)
        assert_memory_equal(l.d.list[i].text, places[i], strlen(places[i]));
    done(&l);
    l = load_kind("[droverd]\nexit_with=nobody\n", "");
    assert_string_equal(l.d.list[0].text, "/etc/x/main.conf:2: [droverd] exit_with: there is no process \"nobody\"; "
                                          "name a program, or group:process");
    done(&l);
}

/* An error in a native file; a warning where supervisord finds out at the start only. */
static void commands_that_are_none(void **state)
{
    static const char *const rows[] = { "command=sh -c \"echo", "command=echo 'a", "command=echo \\", "command=" };
    (void)state;
    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        struct loaded l = load(rows[i]);
        assert_int_equal(l.result, -EINVAL);
        assert_non_null(strstr(l.d.list[0].text, "main.conf:4: [program:a] command: "));
        done(&l);
        l = load_kind("[supervisord]\n", rows[i]);
        assert_int_equal(l.result, 0);
        assert_int_equal(l.d.n_warnings, 1);
        assert_non_null(strstr(l.d.list[0].text, "cannot be started"));
        done(&l);
    }
    struct loaded l = load("shell=true\ncommand=echo 'a");
    assert_int_equal(l.d.n, 0); /* whatever the shell makes of it */
    done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(told_in_order), cmocka_unit_test(commands_that_are_none),
        cmocka_unit_test(detached),      cmocka_unit_test(sums),
        cmocka_unit_test(values),        cmocka_unit_test(refusals),
        cmocka_unit_test(identities),    cmocka_unit_test(environment_files),
        cmocka_unit_test(long_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
