/* test_memory.c - what a thousand programs cost once loaded, and how long ten
 * thousand take: bounds that a change would have to break by much. */
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

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(thousand_programs), cmocka_unit_test(not_quadratic) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
