/* test_ini.c - lines to records, records to merged sections. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmocka_all.h"
#include "config/ini.h"

struct fixture {
    struct arena arena;
    struct ini ini;
    struct reader reader;
    uint16_t files;
};

static void begin(struct fixture *f)
{
    *f = (struct fixture){ .arena = ARENA_INIT(64 << 20) };
    ini_init(&f->ini, &f->arena);
}

static void end(struct fixture *f)
{
    reader_done(&f->reader);
    ini_done(&f->ini);
    arena_done(&f->arena);
}

static void feed(struct fixture *f, const char *text, size_t len)
{
    reader_done(&f->reader);
    f->reader = (struct reader){ .arena = &f->arena };
    assert_int_equal(reader_read(&f->reader, "x.conf", text, len), 0);
    assert_int_equal(ini_merge(&f->ini, f->files++, &f->reader), 0);
}

static const char *value(struct fixture *f, const char *section, const char *key)
{
    struct ini_section *s = ini_section(&f->ini, section);
    struct ini_key *k = s != NULL ? ini_key(&f->ini, s, key) : NULL;
    return k != NULL ? k->value : NULL;
}

static void values(void **state)
{
    static const char text[] = "; c\n[s] ; c\nA = 1 ;c\nb:two;three\nc=\n  x\n ;y\n  z #q\n\n  w\nd=a#1 #2 ;3\n[e]]\n";
    struct fixture f;
    (void)state;
    begin(&f);
    feed(&f, text, strlen(text));
    assert_string_equal(value(&f, "s", "a"), "1");
    assert_string_equal(value(&f, "s", "b"), "two;three");
    assert_string_equal(value(&f, "s", "c"), "\nx\nz\n\nw");
    assert_string_equal(value(&f, "s", "d"), "a#1 #2"); /* the marks are looked at in step */
    assert_non_null(ini_section(&f.ini, "e]"));
    assert_int_equal(f.reader.n_faults, 0);
    struct ini_key *k = ini_key(&f.ini, ini_section(&f.ini, "s"), "d");
    assert_int_equal(k->line, 11);
    end(&f);
}

static void merging(void **state)
{
    static const char one[] = "[DEFAULT]\nz=d\n[s]\na=1\nb=%(here)s/x\n[s]\na=2\n",
                      two[] = "[s]\nc=%(here)s\na=3\n[t]\n";
    struct fixture f;
    (void)state;
    begin(&f);
    feed(&f, one, strlen(one));
    ini_expand_here(&f.ini, "/one");
    feed(&f, two, strlen(two));
    ini_expand_here(&f.ini, "/two");
    assert_string_equal(value(&f, "s", "a"), "3");
    assert_string_equal(value(&f, "s", "b"), "/one/x");
    assert_string_equal(value(&f, "s", "c"), "/two");
    assert_string_equal(value(&f, "t", "z"), "d");
    assert_null(ini_section(&f.ini, "DEFAULT"));
    assert_int_equal(ini_key(&f.ini, ini_section(&f.ini, "s"), "a")->file, 1);
    end(&f);
}

static void faults(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        uint32_t line;
        const char *compat;
    } cases[] = {
        { "a=1\n", 4, 1, "File contains no section headers.\nfile: 'x.conf', line: 1\n'a=1\\n'" },
        { "[s]\n\njunk\n=v\n", 13, 3,
          "Source contains parsing errors: 'x.conf'\n\t[line  3]: 'junk\\n'\n\t[line  4]: '=v\\n'" },
        { "[s]\na=\0", 7, 2, "source contains a NUL byte" },
        { "[s]\r\na=\xff", 8, 2, "'utf-8' codec can't decode byte 0xff in position 7: invalid start byte" },
        { "[s]\na=\xe2\x82", 8, 2, "'utf-8' codec can't decode bytes in position 6-7: unexpected end of data" },
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        struct fixture f;
        begin(&f);
        feed(&f, cases[i].text, cases[i].len);
        assert_true(f.reader.n_faults > 0);
        assert_int_equal(f.reader.faults[0].line, cases[i].line);
        assert_string_equal(f.reader.faults[0].compat, cases[i].compat);
        end(&f);
    }
}

static void cut_quotes(void **state)
{
    static const char text[] = "[s]\na=sh -c \"x ; y\"\nb=x ; it's\nc='a\n  b #c'\nd=don't ; care\n";
    struct fixture f;
    (void)state;
    begin(&f);
    feed(&f, text, strlen(text));
    static const bool cut[] = { false, true, false, true, false };
    static const uint32_t lines[] = { 0, 2, 0, 5, 0 };
    assert_int_equal(f.reader.n_records, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(f.reader.records[i].cut, cut[i]);
        assert_int_equal(f.reader.records[i].cut_line, lines[i]);
    }
    end(&f);
}

/* Lines and names far beyond what inih could hold arrive whole. */
static void megabyte(void **state)
{
    size_t len = 1 << 20;
    _cleanup_free_ char *text = malloc(3 * len + 64);
    struct fixture f;
    (void)state;
    char *p = text;
    *p++ = '[';
    memset(p, 'n', len);
    p = stpcpy(p + len, "]\nkey=");
    memset(p, 'v', len);
    p = stpcpy(p + len, "\n;");
    memset(p, 'c', 300);
    p = stpcpy(p + 300, "user=root\n");
    begin(&f);
    feed(&f, text, (size_t)(p - text));
    assert_non_null(f.ini.sections);
    assert_null(f.ini.sections->next);
    assert_int_equal(strlen(f.ini.sections->name), len);
    assert_int_equal(strlen(f.ini.sections->keys->value), len);
    assert_null(f.ini.sections->keys->next);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),     cmocka_unit_test(merging),  cmocka_unit_test(faults),
        cmocka_unit_test(cut_quotes), cmocka_unit_test(megabyte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
