/* test_sample.c - conf/drover.conf and drover.conf(5) know every key of the tables.
 *
 * Reads the two files of the tree (tests run at its top).  The sample must load
 * as it is, and hold under each section every key with its line of help, set or
 * commented out with its default. */
#include "base/buf.h"
#include "cmocka_all.h"
#include "config/option.h"
#include "memory_world.h"

static char *read_file(const char *path)
{
    char *text = calloc(1, 1 << 20);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        fail_msg("%s: %s", path, strerror(errno));
    assert_true(fread(text, 1, (1 << 20) - 1, f) > 0);
    fclose(f);
    return text;
}

/* The text of one section, commented out or not. */
static char *section_of(const char *text, const char *name)
{
    char head[64];
    snprintf(head, sizeof head, "[%s%s]\n", strcmp(name, "supervisord") == 0 ? "droverd" : name,
             name[strlen(name) - 1] == ':' ? "NAME" : "");
    const char *start = strstr(text, head);
    if (start == NULL)
        fail_msg("no %s in the sample", head);
    start += strlen(head);
    const char *end = strstr(start, "\n; --- ");
    return end != NULL ? strndup(start, (size_t)(end + 1 - start)) : strdup(start);
}

static void expect_key(const char *section, const struct option *o)
{
    _cleanup_buf_ struct buf set = BUF_INIT(4096), off = BUF_INIT(4096);
    bool fixed = o->fallback != NULL && o->fallback[0] != '\0';
    buf_printf(&set, "; %s\n%s = ", o->help, o->name);
    buf_printf(&off, "; %s\n;%s =%s%s%s", o->help, o->name, fixed ? " " : "", fixed ? o->fallback : "",
               fixed ? "\n" : "");
    if (strstr(section, set.data) == NULL && strstr(section, off.data) == NULL)
        fail_msg("conf/drover.conf lacks:\n%s", off.data);
}

static void sample_has_all_keys(void **state)
{
    _cleanup_free_ char *text = read_file("conf/drover.conf");
    (void)state;
    for (size_t t = 0; option_tables[t] != NULL; t++) {
        _cleanup_free_ char *section = section_of(text, option_tables[t]->section);
        for (size_t i = 0; i < option_tables[t]->n; i++)
            expect_key(section, &option_tables[t]->options[i]);
    }
}

/* Nothing stands in it that no table has. */
static void sample_has_no_others(void **state)
{
    _cleanup_free_ char *text = read_file("conf/drover.conf");
    char *saved = NULL;
    (void)state;
    for (char *line = strtok_r(text, "\n", &saved); line != NULL; line = strtok_r(NULL, "\n", &saved)) {
        char *key = line[0] == ';' ? line + 1 : line;
        size_t len = strcspn(key, " =");
        bool found = key[0] == ' ' || key[0] == '[' || len == 0 || strncmp(key + len, " =", 2) != 0;
        key[len] = '\0';
        for (size_t t = 0; option_tables[t] != NULL; t++)
            found = found || option_find(option_tables[t], key) != NULL;
        if (!found)
            fail_msg("conf/drover.conf has a key \"%s\"", key);
    }
}

static void sample_loads(void **state)
{
    _cleanup_free_ char *text = read_file("conf/drover.conf");
    const struct memory_file files[] = { { "/etc/drover/drover.conf", text, 0, 0 }, { 0 } };
    struct config_world world = memory_world(files);
    struct diagnostics d = { 0 };
    struct config *c = NULL;
    (void)state;
    int r = config_load(&world, "/etc/drover/drover.conf", &c, &d);
    for (size_t i = 0; i < d.n; i++)
        if (d.list[i].level == DIAGNOSTIC_ERROR)
            print_error("%s\n", d.list[i].text);
    assert_int_equal(r, 0);
    assert_int_equal(c->kind, CONFIG_NATIVE);
    assert_int_equal(c->n_groups, 0);
    config_unref(c);
    diagnostics_clear(&d);
}

static void manual_has_all_keys(void **state)
{
    _cleanup_free_ char *text = read_file("man/drover.conf.5");
    (void)state;
    for (size_t t = 0; option_tables[t] != NULL; t++)
        for (size_t i = 0; i < option_tables[t]->n; i++)
            if (strstr(text, option_tables[t]->options[i].name) == NULL)
                fail_msg("man/drover.conf.5 does not mention %s", option_tables[t]->options[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sample_has_all_keys),
        cmocka_unit_test(sample_has_no_others),
        cmocka_unit_test(sample_loads),
        cmocka_unit_test(manual_has_all_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
