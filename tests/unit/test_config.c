/* test_config.c - loading: what comes out, what is said, what is compared.
 *
 * How supervisord's own files are read is proved by tests/corpus; here is what
 * Drover adds: native files, its own keys, all errors at once with their places,
 * bounds, overrides, and text for people. */
#include "base/buf.h"
#include "cmocka_all.h"
#include "config/print.h"
#include "memory_world.h"

struct loaded {
    struct config *c;
    struct diagnostics d;
    int result;
};

static struct loaded load_files(const struct memory_file *files, const struct config_override *overrides)
{
    struct loaded l = { 0 };
    struct config_world world = memory_world(files);
    l.result = config_load_with(&world, "/etc/x/main.conf", overrides, &l.c, &l.d);
    return l;
}

static struct loaded load(const char *text)
{
    const struct memory_file files[] = { { "/etc/x/main.conf", text, 0, 0 }, { 0 } };
    return load_files(files, NULL);
}

static void done(struct loaded *l)
{
    config_unref(l->c);
    diagnostics_clear(&l->d);
}

static bool told(const struct loaded *l, const char *text)
{
    for (size_t i = 0; i < l->d.n; i++)
        if (strcmp(l->d.list[i].text, text) == 0)
            return true;
    for (size_t i = 0; i < l->d.n; i++)
        print_message("said: %s\n", l->d.list[i].text);
    return false;
}

static void native_is_strict(void **state)
{
    struct loaded l = load("[droverd]\nlogfil=x\n[progam:a]\n[program:b]\ncommand=x\nautorstart=1\n");
    (void)state;
    assert_int_equal(l.result, -EINVAL);
    assert_null(l.c);
    assert_int_equal(l.d.n_errors, 3);
    assert_true(told(&l, "/etc/x/main.conf:2: [droverd] logfil: there is no key \"logfil\"; did you mean logfile"));
    assert_true(told(&l, "/etc/x/main.conf:3: [progam:a]: there is no section \"progam:a\"; did you mean program"));
    assert_true(
        told(&l, "/etc/x/main.conf:6: [program:b] autorstart: there is no key \"autorstart\"; did you mean autostart"));
    done(&l);
    l = load("[supervisord]\nlogfil=x\n[progam:a]\n");
    assert_int_equal(l.result, 0);
    assert_int_equal(l.d.n_warnings, 2);
    assert_true(told(&l, "/etc/x/main.conf:2: [supervisord] logfil: there is no key \"logfil\", so it is ignored; did "
                         "you mean logfile"));
    done(&l);
    l = load("[supervisord]\n[droverd]\n");
    assert_int_equal(l.d.n_errors, 1);
    done(&l);
}

static void all_errors_of_all_files(void **state)
{
    const struct memory_file files[] = {
        { "/etc/x/main.conf",
          "[droverd]\nminfds=many\n[include]\nfiles=d/*.conf\n[program:a]\nuser=nobody\ncommand=x\n", 0, 0 },
        { "/etc/x/d/b.conf", "[program:b]\ncommand=%(nope)s\nstdout_logfile=/missing/x\n", 0, 0 },
        { "/etc/x/d/c.conf", "[program:c]\njunk\nstopsignal=FOO\n", 0, 0 },
        { "/etc/x/d/e.conf", "", 0, -EACCES },
        { 0 },
    };
    struct loaded l = load_files(files, NULL);
    (void)state;
    assert_int_equal(l.result, -EINVAL);
    assert_true(
        told(&l, "/etc/x/main.conf:2: [droverd] minfds: \"many\" is not a number; write digits only, such as 1024"));
    assert_true(told(&l,
                     "/etc/x/main.conf:6: [program:a] user: there is no user \"nobody\" on this system; create it, or "
                     "name another"));
    assert_true(told(&l, "/etc/x/d/b.conf:3: [program:b] stdout_logfile: there is no directory /missing; create it, or "
                         "name another"));
    assert_true(told(&l,
                     "/etc/x/d/c.conf:3: [program:c] stopsignal: \"FOO\" is no signal; write a name such as TERM, or a "
                     "ladder such as TERM:10, INT:5, KILL"));
    assert_true(told(&l, "/etc/x/d/e.conf: cannot be read: Permission denied"));
    done(&l);
}

static void own_keys(void **state)
{
    struct loaded l = load("[droverd]\n[program:a]\ncommand=x\nautorestart=on-signal\nexitcodes=0,SIGTERM, hup\n"
                           "startretries=infinity\nstopsignal=TERM:2, INT\nstopwaitsecs=5\nstartsecs=1500ms\n"
                           "restart_delay=10ms\nrestart_factor=1.5\nrestart_jitter=0\ndescription=the one\n"
                           "log_format=JSON\nlog_overflow=drop\n");
    (void)state;
    assert_int_equal(l.result, 0);
    const struct program *p = &l.c->groups[0].programs[0];
    assert_int_equal(p->autorestart, RESTART_ON_SIGNAL);
    assert_int_equal(p->n_exitcodes, 3);
    assert_true(p->exitcodes[1].signal && p->exitcodes[1].value == 15 && !p->exitcodes[0].signal);
    assert_true(p->startretries == STARTRETRIES_INFINITY);
    assert_int_equal(p->n_ladder, 3);
    assert_true(p->ladder[0].signal == 15 && p->ladder[0].wait == 2 * USEC_PER_SEC);
    assert_true(p->ladder[1].signal == 2 && p->ladder[1].wait == 5 * USEC_PER_SEC);
    assert_int_equal(p->ladder[2].signal, 9);
    assert_true(p->startsecs == 1500000 && p->common->restart_reset == 1500000 && p->common->restart_delay == 10000);
    assert_true(p->common->restart_factor == 1.5 && p->common->restart_jitter == 0);
    assert_true(p->common->restart_interval == 100000 && p->common->restart_delay_max == 60 * USEC_PER_SEC);
    assert_string_equal(p->common->description, "the one");
    assert_true(p->common->log_format == LOG_FORMAT_JSON && p->common->log_overflow == LOG_OVERFLOW_DROP);
    done(&l);
}

static void defaults_by_kind(void **state)
{
    struct loaded l = load("[supervisord]\n[program:a]\ncommand=x\n");
    (void)state;
    const struct program *p = &l.c->groups[0].programs[0];
    assert_true(p->common->restart_factor == 0 && p->common->restart_jitter == 0 &&
                p->common->restart_delay_max == USEC_INFINITY);
    assert_true(p->common->restart_delay == USEC_PER_SEC);
    assert_int_equal(p->n_ladder, 2);
    assert_true(p->ladder[0].signal == 15 && p->ladder[0].wait == 10 * USEC_PER_SEC && p->ladder[1].signal == 9);
    assert_int_equal(p->common->umask, -1);
    assert_null(p->common->user);
    assert_int_equal(p->out.target, LOG_TARGET_AUTO);
    done(&l);
    l = load("[droverd]\n[program:a]\ncommand=x\n");
    p = &l.c->groups[0].programs[0];
    assert_true(p->common->restart_factor == 2 && p->common->restart_jitter == 0.1);
    done(&l);
}

static void numbers_out_of_range(void **state)
{
    struct loaded l = load("[supervisord]\n[program:a]\ncommand=x\nstartretries=-1\n");
    _cleanup_buf_ struct buf value = BUF_INIT(1000);
    struct option_value v;
    (void)state;
    assert_int_equal(l.result, 0);
    assert_int_equal(l.c->groups[0].programs[0].startretries, 0);
    assert_int_equal(l.d.n_warnings, 1);
    for (size_t i = 0; config_option_value(&l.c->groups[0].programs[0], i, &v, &value); i++)
        if (strcmp(v.name, "startretries") == 0) {
            assert_string_equal(value.data, "-1");
            assert_int_equal(v.line, 4);
        }
    done(&l);
    l = load("[droverd]\n[program:a]\ncommand=x\nstartretries=-1\n");
    assert_int_equal(l.result, -EINVAL);
    done(&l);
}

static void quotes_are_cut(void **state)
{
    struct loaded l = load("[supervisord]\n[program:a]\ncommand=sh -c \"a ; b\"\n");
    (void)state;
    assert_int_equal(l.result, 0);
    assert_string_equal(l.c->groups[0].programs[0].command, "sh -c \"a");
    assert_int_equal(l.d.n_warnings, 2);
    assert_non_null(strstr(l.d.list[0].text, "/etc/x/main.conf:3: command: "));
    assert_non_null(strstr(l.d.list[1].text, "a quotation is not closed"));
    done(&l);
}

static void equality(void **state)
{
    static const char *const variants[] = {
        "[supervisord]\n[program:a]\ncommand=x\n",
        "[supervisord]\n\n\n[program:a]\n;moved\ncommand = x\nautostart=true\nstopsignal=SIGTERM\n",
        "[supervisord]\n[program:a]\ncommand=y\n",
        "[supervisord]\n[program:a]\ncommand=x\nautostart=false\n",
        "[supervisord]\n[program:a]\ncommand=x\nenvironment=A=1\n",
        "[supervisord]\nenvironment=A=1\n[program:a]\ncommand=x\n",
        "[supervisord]\n[program:a]\ncommand=x\nstopwaitsecs=11\n",
        "[supervisord]\n[program:a]\ncommand=x\nstopsignal=TERM:3\n",
        "[supervisord]\n[program:a]\ncommand=x\nexitcodes=SIGTERM\n",
        "[supervisord]\n[program:a]\ncommand=x\nstderr_logfile=NONE\n",
        "[supervisord]\n[program:a]\ncommand=x\nuser=app\n",
        "[supervisord]\n[program:a]\ncommand=x\nrestart_jitter=0.5\n",
        "[supervisord]\n[program:a]\ncommand=x\npriority=1\n",
    };
    struct loaded first = load(variants[0]);
    (void)state;
    for (size_t i = 0; i < ELEMENTS(variants); i++) {
        struct loaded l = load(variants[i]);
        assert_int_equal(l.result, 0);
        assert_int_equal(program_equal(&first.c->groups[0].programs[0], &l.c->groups[0].programs[0]), i < 2);
        assert_int_equal(group_equal(&first.c->groups[0], &l.c->groups[0]), i < 2);
        done(&l);
    }
    done(&first);
}

static void overrides(void **state)
{
    const struct memory_file files[] = { { "/etc/x/main.conf", "[supervisord]\nloglevel=info\nminfds=5\n", 0, 0 },
                                         { 0 } };
    const struct config_override good[] = {
        { "loglevel", "debug", "-e" },
        { "logfile", "~/100%", "-l" },
        { "nodaemon", "true", "-n" },
        { 0 },
    };
    const struct config_override bad[] = { { "minfds", "few", "-a" }, { 0 } };
    struct loaded l = load_files(files, good);
    (void)state;
    assert_int_equal(l.result, 0);
    assert_int_equal(l.c->daemon.loglevel, 4);
    assert_true(l.c->daemon.nodaemon);
    assert_int_equal(l.c->daemon.minfds, 5);
    assert_string_equal(l.c->daemon.logfile, "/home/me/100%");
    done(&l);
    l = load_files(files, bad);
    assert_int_equal(l.result, -EINVAL);
    assert_true(told(&l, "command line: -a: \"few\" is not a number; write digits only, such as 1024"));
    done(&l);
}

static void includes(void **state)
{
    const struct memory_file files[] = {
        { "/etc/x/main.conf",
          "[supervisord]\n[include]\nfiles = *.conf d/*.conf none/*\n[program:a]\ncommand=%(here)s\n", 0, 0 },
        { "/etc/x/d/b.conf", "[program:b]\ncommand=%(here)s\n[include]\nfiles=d/*.conf\n", 0, 0 },
        { "/etc/x/d/c.conf", "", 0, -ENOENT },
        { 0 },
    };
    struct loaded l = load_files(files, NULL);
    (void)state;
    assert_int_equal(l.result, 0);
    assert_int_equal(l.c->n_files, 4);
    assert_int_equal(l.c->n_include_patterns, 3);
    assert_int_equal(l.c->n_groups, 2);
    assert_string_equal(l.c->groups[0].programs[0].command, "/etc/x");
    assert_string_equal(l.c->groups[1].programs[0].command, "/etc/x/d");
    assert_true(told(&l, "/etc/x/main.conf:3: [include] files: no file matches /etc/x/none/*"));
    done(&l);
}

static void doubles(void **state)
{
    struct loaded l = load("[supervisord]\n[program:a]\ncommand=1\n[group:b]\nprograms=a\n[program:b]\ncommand=2\n");
    (void)state;
    assert_int_equal(l.result, 0);
    assert_int_equal(l.c->n_groups, 2);
    assert_false(l.c->groups[0].shadowed);
    assert_true(l.c->groups[1].shadowed);
    done(&l);
    l = load("[droverd]\n[program:a]\ncommand=1\n[group:b]\nprograms=a\n[program:b]\ncommand=2\n");
    assert_int_equal(l.result, -EINVAL);
    done(&l);
}

static void bounds(void **state)
{
    struct loaded l =
        load("[supervisord]\n[program:a]\ncommand=x\nnumprocs=1000000000\nprocess_name=%(process_num)s\n");
    (void)state;
    assert_int_equal(l.result, -EINVAL);
    assert_true(
        told(&l, "/etc/x/main.conf:2: [program:a] numprocs: 1000000000 processes of one program; at most 10000"));
    done(&l);
    l = load(
        "[supervisord]\n[program:a]\ncommand=%(here)999999s%(here)999999s%(here)999999s%(here)999999s%(here)999999s\n");
    assert_int_equal(l.result, -EINVAL);
    done(&l);
}

static void files_that_are_none(void **state)
{
    const struct memory_file files[] = { { "/etc/x/main.conf", "", 0, -EACCES }, { 0 } }, none[] = { { 0 } };
    struct loaded l = load_files(files, NULL);
    (void)state;
    assert_int_equal(l.result, -EINVAL);
    assert_true(told(&l, "/etc/x/main.conf: cannot be read: Permission denied"));
    done(&l);
    l = load_files(none, NULL);
    assert_string_equal(l.d.list[0].compat, "could not find config file /etc/x/main.conf");
    done(&l);
}

static void client(void **state)
{
    const struct memory_file files[] = {
        { "/etc/x/main.conf",
          "[unix_http_server]\nfile=s.sock\n[inet_http_server]\n[supervisorctl]\nserverurl=unix://%(here)s/../s\n"
          "[program:broken]\n[include]\n",
          0, 0 },
        { 0 },
    };
    struct config_world world = memory_world(files);
    struct diagnostics d = { 0 };
    struct config *c = NULL;
    const char *path = NULL;
    (void)state;
    assert_int_equal(config_load_client(&world, "/etc/x/main.conf", &c, &d), 0);
    assert_true(c->client.present);
    assert_string_equal(c->client.serverurl, "unix:///etc/s");
    assert_int_equal(c->n_servers, 1);
    assert_string_equal(c->servers[0].file, "/cwd/s.sock");
    config_unref(c);
    diagnostics_clear(&d);
    assert_int_equal(config_find_default(&world, &path), -ENOENT);
}

static char *printed(int (*print)(FILE *, const void *), const void *what)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    assert_non_null(f);
    assert_int_equal(print(f, what), 0);
    fclose(f);
    return text;
}

static int print_it(FILE *f, const void *c)
{
    return config_print(f, c);
}

static int help_it(FILE *f, const void *key)
{
    return config_help(f, key);
}

/* What -t prints is itself a file that loads to the same programs. */
static void print_reads_back(void **state)
{
    struct loaded l = load("[supervisord]\n[unix_http_server]\nfile=/s\nusername=u\npassword=hidden\n[program:a]\n"
                           "command=sh -c 'x'\n  100%%\nenvironment=A=\"1\",B='\"'\nstopsignal=TERM:1,KILL\n");
    (void)state;
    assert_int_equal(l.result, 0);
    _cleanup_free_ char *text = printed(print_it, l.c);
    assert_null(strstr(text, "hidden"));
    struct loaded again = load(text);
    assert_int_equal(again.result, 0);
    assert_true(program_equal(&l.c->groups[0].programs[0], &again.c->groups[0].programs[0]));
    done(&again);
    done(&l);
}

static void help(void **state)
{
    _cleanup_free_ char *all = printed(help_it, NULL);
    (void)state;
    for (size_t t = 0; option_tables[t] != NULL; t++)
        for (size_t i = 0; i < option_tables[t]->n; i++) {
            const struct option *o = &option_tables[t]->options[i];
            assert_non_null(strstr(all, o->name));
            assert_non_null(strstr(all, o->help));
            assert_true(strchr("abcdefghijklmnopqrstuvwxyz%SP", o->help[0]) != NULL); /* house style */
            assert_true(o->help[strlen(o->help) - 1] != '.');
        }
    assert_int_equal(config_help(stderr, "no_such_key"), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(native_is_strict),
        cmocka_unit_test(all_errors_of_all_files),
        cmocka_unit_test(own_keys),
        cmocka_unit_test(defaults_by_kind),
        cmocka_unit_test(numbers_out_of_range),
        cmocka_unit_test(quotes_are_cut),
        cmocka_unit_test(equality),
        cmocka_unit_test(overrides),
        cmocka_unit_test(includes),
        cmocka_unit_test(doubles),
        cmocka_unit_test(bounds),
        cmocka_unit_test(files_that_are_none),
        cmocka_unit_test(client),
        cmocka_unit_test(print_reads_back),
        cmocka_unit_test(help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
