/* test_memory.c - what a thousand programs cost once loaded, and how long ten
 * thousand take: bounds that a change would have to break by much. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "cmocka_all.h"
#include "memory_world.h"

static char *many(unsigned n)
{
    struct buf text = BUF_INIT(64 << 20);
    buf_puts(&text, "[supervisord]\nenvironment=LANG=\"C.UTF-8\"\n");
    for (unsigned i = 0; i < n; i++)
        buf_printf(
            &text,
            "[program:job%05u]\ncommand=/usr/bin/worker --queue q%u\ndirectory=/srv/app\nautorestart=true\n"
            "user=app\nstdout_logfile=/var/log/app/%%(program_name)s.log\nredirect_stderr=true\nstopwaitsecs=60\n",
            i, i);
    return buf_steal(&text);
}

static struct config *load(unsigned n)
{
    _cleanup_free_ char *text = many(n);
    const struct memory_file files[] = { { "/etc/x.conf", text, 0, 0 }, { 0 } };
    struct config_world world = memory_world(files);
    struct diagnostics d = { 0 };
    struct config *c = NULL;
    assert_int_equal(config_load(&world, "/etc/x.conf", &c, &d), 0);
    assert_int_equal(c->n_groups, n);
    diagnostics_clear(&d);
    return c;
}

static void thousand_programs(void **state)
{
    struct config *c = load(1000);
    (void)state;
    size_t used = ((struct arena *)c->arena)->used;
    print_message("1,000 programs: %zu bytes\n", used);
    assert_true(used < 900 * 1024);
    config_unref(c);
}

/* Ten times the programs take ten times the time, not a hundred times. */
static void not_quadratic(void **state)
{
    clock_t start = clock();
    (void)state;
    config_unref(load(1000));
    clock_t small = clock() - start;
    start = clock();
    config_unref(load(10000));
    clock_t large = clock() - start;
    print_message("1,000 programs: %ld us, 10,000: %ld us\n", (long)small, (long)large);
    assert_true(large < 40 * small + CLOCKS_PER_SEC / 20);
}

/* -- where memory ends ---------------------------------------------------------- */

static long blocks_left = -1; /* that the kernel gives; -1: as many as one wants */

void *mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
    if (blocks_left == 0) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    blocks_left -= blocks_left > 0;
    return (void *)syscall(SYS_mmap, at, len, protection, flags, fd, offset);
}

/* Wherever in many sections it ends, that is an error like others. */
static void memory_ends(void **state)
{
    _cleanup_buf_ struct buf text = BUF_INIT(64 << 20);
    (void)state;
    buf_puts(&text, "[droverd]\nenvironment=LANG=C\n");
    for (unsigned i = 0; i < 500; i++)
        buf_printf(&text,
                   "[program:p%u]\ncommand=x %%(program_name)s\nprocess_name=%%(process_num)d\nnumprocs=2\n"
                   "environment=A=\"%u\"\nexitcodes=0,2,HUP\nstopsignal=TERM:%u,INT:2,HUP:3,TERM:4,INT:5,QUIT:6\n"
                   "stdio=pipe,>/x/%u,pipe,ipc\nlimit_nofile=%u\ncpu_affinity=0-3\nrelay=true\nsend_to=p1,p2\n"
                   "inherit_environment=PATH,HOME\nshell=true\n[group:g%u]\nprograms=p%u\n",
                   i, i, i + 1, i, i + 1, i, i);
    const struct memory_file files[] = { { "/etc/x.conf", text.data, 0, 0 }, { 0 } };
    struct config_world world = memory_world(files);
    struct config *c = NULL;
    for (long blocks = 0; c == NULL; blocks++) {
        struct diagnostics d = { 0 };
        blocks_left = blocks;
        int r = config_load(&world, "/etc/x.conf", &c, &d);
        blocks_left = -1;
        assert_int_equal(r, c != NULL ? 0 : -ENOMEM);
        diagnostics_clear(&d);
    }
    config_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(thousand_programs), cmocka_unit_test(not_quadratic),
                                        cmocka_unit_test(memory_ends) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
