/* test_jsonscan.c - what is JSON and what is not, byte by byte; where members are;
 * what strings and numbers mean. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "wire/jsonscan.h"

static const struct jsonscan_keys keys = {
    .n = 4, .keys = { JSONSCAN_KEY("to"), JSONSCAN_KEY("msg"), JSONSCAN_KEY("id"), JSONSCAN_KEY("cmd") }
};
enum { TO, MSG, ID, CMD };

/* The text ends where memory does, so that a byte read behind it is a crash. */
static const char *at_the_edge(const char *text, size_t len)
{
    static char *map;
    const size_t room = 1 << 20, page = 4096;
    if (map == NULL) {
        map = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        assert_true(map != MAP_FAILED);
        assert_int_equal(mprotect(map + room, page, PROT_NONE), 0);
    }
    assert_true(len <= room);
    return memcpy(map + room - len, text, len);
}

static int scan(const char *text, size_t len, struct jsonscan *r, struct jsonscan_fault *fault)
{
    return jsonscan(at_the_edge(text, len), len, &keys, r, fault);
}

/* With text before it, so that it comes to lie in every place of a window. */
static void check(const char *text, size_t len, bool well, size_t where)
{
    struct jsonscan r;
    struct jsonscan_fault fault;
    char room[512];
    for (size_t shift = 0; shift < 200; shift += shift < 70 ? 1 : 13) {
        memset(room, ' ', shift);
        memcpy(room + shift, text, len);
        int result = scan(room, shift + len, &r, &fault);
        if (result != (well ? 0 : -EINVAL) || (!well && fault.at != shift + where))
            fail_msg("%.*s after %zu blanks: %d at %zu (%s)", (int)len, text, shift, result,
                     result == 0 ? 0 : fault.at - shift, result == 0 ? "" : fault.why);
        if (well) {
            assert_int_equal(r.value.at, shift + strspn(text, " \t\r\n"));
            assert_int_equal(jsonscan(at_the_edge(room, shift + len), shift + len, NULL, &r, NULL), 0);
        }
    }
}

/* As one member among simple ones, with much behind it: the way that is taken for most of
 * a large message. */
static void check_inside(const char *text, size_t len, bool well)
{
    struct jsonscan r;
    struct jsonscan_fault fault;
    char room[1024];
    for (size_t shift = 0; shift < 66; shift++) {
        int before = snprintf(room, sizeof(room), "[{\"k%0*d\":1,\"a\":\"b\",\"t\":", (int)shift + 1, 7);
        memcpy(room + before, text, len);
        size_t n = (size_t)before + len;
        n += (size_t)snprintf(room + n, sizeof(room) - n, ",\"f\":false,\"n\":0.25,\"s\":\"x\"},\"%0400d\"]", 1);
        if (scan(room, n, &r, &fault) != (well ? 0 : -EINVAL))
            fail_msg("inside: %.*s at %d", (int)len, text, before);
    }
}

static void test_well_formed(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "12",
        "-1.5",
        "1e400",
        "1E+4",
        "0.1e-1",
        "123456789012345678901234567890",
        "\"\"",
        "\"a\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uD800\\udc00\\uDFff\"",
        "\"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xe2\x80\xa8\xed\x9f\xbf\"",
        "\"\xee\x80\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"",
        "[]",
        "{}",
        "[[],{}]",
        " [ 1 , \"a\" , { \"b\" : [ ] } ] \r",
        "{\"a\":{\"a\":{\"a\":[1,2,[3]]}},\"b\":1}",
        "\t{\n\"\"\r: null }",
        "{\"to\":\"x\",\"msg\":1}",
        "[\"sixteen bytes of\",\"text and then a little more than that to be long\"]",
    };
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        check(texts[i], strlen(texts[i]), true, 0);
        check_inside(texts[i], strlen(texts[i]), true);
    }
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t where;
    } texts[] = {
        { "", 0 },
        { " ", 1 },
        { "nul", 3 },
        { "nulx", 3 },
        { "nullx", 4 },
        { "TRUE", 0 },
        { "NaN", 0 },
        { "Infinity", 0 },
        { "+1", 0 },
        { "-", 1 },
        { "-a", 1 },
        { "01", 1 },
        { "-01", 2 },
        { "1.", 2 },
        { ".5", 0 },
        { "1.e3", 2 },
        { "1e", 2 },
        { "1e+", 3 },
        { "0x10", 1 },
        { "1 2", 2 },
        { "\"", 1 },
        { "\"a", 2 },
        { "\"\\", 2 },
        { "\"\\x\"", 2 },
        { "\"\\u12G4\"", 5 },
        { "\"\\u12", 5 },
        { "\"\n\"", 1 },
        { "\"a\tb\"", 2 },
        { "\"\x1f\"", 1 },
        { "\"\x80\"", 1 },
        { "\"\xc0\x80\"", 1 },
        { "\"\xc1\xbf\"", 1 },
        { "\"\xc3\"", 1 },
        { "\"\xe0\x9f\xbf\"", 1 },
        { "\"\xe4\xb8\"", 1 },
        { "\"\xed\xa0\x80\"", 1 },
        { "\"\xf0\x8f\xbf\xbf\"", 1 },
        { "\"\xf4\x90\x80\x80\"", 1 },
        { "\"\xf5\x80\x80\x80\"", 1 },
        { "\"\xff\"", 1 },
        { "\"\xc3\xa4\x80\"", 3 },
        { "[", 1 },
        { "[1", 2 },
        { "[1,", 3 },
        { "[1,]", 3 },
        { "[,1]", 1 },
        { "[1 2]", 3 },
        { "[1}", 2 },
        { "[}", 1 },
        { "{", 1 },
        { "{]", 1 },
        { "{\"a\"", 4 },
        { "{\"a\":", 5 },
        { "{\"a\":}", 5 },
        { "{\"a\" 1}", 5 },
        { "{\"a\":1", 6 },
        { "{\"a\":1,", 7 },
        { "{\"a\":1,}", 7 },
        { "{\"a\":1]", 6 },
        { "{a:1}", 1 },
        { "{1:1}", 1 },
        { "{'a':1}", 1 },
        { "[{\"a\":1,}]", 8 },
        { "[{\"a\"}]", 5 },
        { "{\"a\":[}]", 6 },
        { "]", 0 },
        { "}", 0 },
        { "{}{}", 2 },
        { "{} x", 3 },
        { "\xef\xbb\xbf{}", 0 },
        { "\x0c{}", 0 },
        { "[\xc2\xa0]", 1 },
        { "/**/1", 0 },
    };
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        check(texts[i].text, strlen(texts[i].text), false, texts[i].where);
        check_inside(texts[i].text, strlen(texts[i].text), false);
    }
    check("\0", 1, false, 0);
    check("\"\0\"", 3, false, 1);
    check("1\0", 2, false, 1);
    check("[\0]", 3, false, 1);
}

/* Every beginning of a text is refused, at its end. */
static void test_cut_texts(void **state)
{
    (void)state;
    static const char text[] = "{\"to\":[\"a\\u00e4b\",\"\xe4\xb8\xad\"],\"msg\":{\"x\":[-1.5e+10,true,{\"y\":null}]},"
                               "\"id\":7,\"pad\":\"0123456789012345678901234567890123456789012345678901234567890123\"}";
    struct jsonscan r;
    struct jsonscan_fault fault;
    assert_int_equal(scan(text, sizeof(text) - 1, &r, &fault), 0);
    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        assert_int_equal(scan(text, n, &r, &fault), -EINVAL);
        bool in_character = n > 0 && (unsigned char)text[n] >= 0x80 && ((unsigned char)text[n] & 0xC0) == 0x80;
        if (!in_character) {
            assert_int_equal(fault.at, n);
            assert_string_equal(fault.why, "the text ends too early");
        }
    }
}

static void test_depth(void **state)
{
    (void)state;
    struct jsonscan r;
    struct jsonscan_fault fault;
    for (int object = 0; object < 3; object++)
        for (int too_deep = 0; too_deep < 2; too_deep++) {
            _cleanup_buf_ struct buf b = BUF_INIT(1 << 16);
            int depth = JSONSCAN_DEPTH_MAX + too_deep, from = object == 2;
            if (from) /* below a member of the top level */
                buf_puts(&b, "{\"msg\":");
            for (int i = from; i < depth; i++)
                buf_puts(&b, object == 1 ? "{\"a\":" : "[");
            buf_puts(&b, "1");
            for (int i = from; i < depth; i++)
                buf_putc(&b, object == 1 ? '}' : ']');
            if (from)
                buf_putc(&b, '}');
            assert_int_equal(scan(b.data, b.len, &r, &fault), too_deep ? -EINVAL : 0);
            if (too_deep)
                assert_string_equal(fault.why, "nested too deeply");
        }
}

static void assert_value(const char *text, struct jsonscan_value v, enum jsonscan_type type, const char *bytes)
{
    assert_int_equal(v.type, type);
    assert_int_equal(v.len, strlen(bytes));
    assert_memory_equal(text + v.at, bytes, v.len);
}

static void test_members(void **state)
{
    (void)state;
    const char *text =
        " { \"x\" : {\"to\":1} , \"m\\u0073g\":[ \"to\" , 2 ] ,\"to\": \"b\",\"\":0, \"id\" :-1.50 ,\"toto\":1}";
    struct jsonscan r;
    assert_int_equal(jsonscan(text, strlen(text), &keys, &r, NULL), 0);
    assert_value(text, r.value, JSONSCAN_OBJECT, text + 1);
    assert_value(text, r.members[TO], JSONSCAN_STRING, "\"b\"");
    assert_value(text, r.members[MSG], JSONSCAN_ARRAY, "[ \"to\" , 2 ]");
    assert_value(text, r.members[ID], JSONSCAN_NUMBER, "-1.50");
    assert_int_equal(r.members[CMD].type, JSONSCAN_NONE);
    assert_int_equal(r.twice, 0);
}

static void test_members_twice(void **state)
{
    (void)state;
    const char *text = "{\"to\":1,\"cmd\":null,\"t\\u006f\":true,\"cmd\":false,\"x\":1,\"x\":2}";
    struct jsonscan r;
    assert_int_equal(jsonscan(text, strlen(text), &keys, &r, NULL), 0);
    assert_value(text, r.members[TO], JSONSCAN_TRUE, "true");
    assert_value(text, r.members[CMD], JSONSCAN_FALSE, "false");
    assert_int_equal(r.twice, 1U << TO | 1U << CMD);
}

static void test_no_object_has_no_members(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum jsonscan_type type;
    } texts[] = {
        { "[{\"to\":1}]", JSONSCAN_ARRAY }, { "\"to\"", JSONSCAN_STRING }, { "null", JSONSCAN_NULL },
        { "-1", JSONSCAN_NUMBER },          { "true", JSONSCAN_TRUE },     { "false", JSONSCAN_FALSE },
        { "{}", JSONSCAN_OBJECT },
    };
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        struct jsonscan r;
        assert_int_equal(jsonscan(texts[i].text, strlen(texts[i].text), &keys, &r, NULL), 0);
        assert_value(texts[i].text, r.value, texts[i].type, texts[i].text);
        for (unsigned k = 0; k < keys.n; k++)
            assert_int_equal(r.members[k].type, JSONSCAN_NONE);
    }
}

/* A refused text leaves the answer as it was. */
static void test_untouched(void **state)
{
    (void)state;
    struct jsonscan r, before;
    memset(&r, 0x5a, sizeof(r));
    memcpy(&before, &r, sizeof(r));
    assert_int_equal(jsonscan("{\"to\":1,\"msg\":}", 15, &keys, &r, NULL), -EINVAL);
    assert_memory_equal(&r, &before, sizeof(r));
}

static void test_strings(void **state)
{
    (void)state;
    const char *text = "[\"a\\u00e4\\n\\\"\\/\\ud83d\\ude00\",\"\\ud83d\",\"\\udc00x\\ud83d\\u0041\",\"\\u0000\",\"\"]";
    static const char *const meant[] = { "a\xc3\xa4\n\"/\xf0\x9f\x98\x80", "\xef\xbf\xbd",
                                         "\xef\xbf\xbdx\xef\xbf\xbd\x41", "\0", "" };
    static const size_t lengths[] = { 10, 3, 8, 1, 0 };
    struct jsonscan r;
    struct jsonscan_value v;
    uint32_t cursor = 0;
    char buf[16];
    assert_int_equal(jsonscan(text, strlen(text), &keys, &r, NULL), 0);
    for (size_t i = 0; i < ELEMENTS(meant); i++) {
        assert_true(jsonscan_element(text, r.value, &cursor, &v));
        assert_int_equal(jsonscan_string(text, v, buf, sizeof(buf)), lengths[i]);
        assert_memory_equal(buf, meant[i], lengths[i] + 1);
        assert_int_equal(jsonscan_string(text, v, buf, lengths[i] + 1), lengths[i]);
        assert_int_equal(jsonscan_string(text, v, buf, lengths[i]), -ENOBUFS);
    }
    assert_false(jsonscan_element(text, r.value, &cursor, &v));
}

static void test_integers(void **state)
{
    (void)state;
    static const char *const good[] = { "0", "7", "9007199254740991" };
    static const uint64_t values[] = { 0, 7, (UINT64_C(1) << 53) - 1 };
    static const char *const bad[] = { "-1",    "-0",   "1.0", "1e3", "9007199254740992", "99999999999999999999",
                                       "\"1\"", "null", "[1]", "true" };
    struct jsonscan r;
    uint64_t n = 42;
    for (size_t i = 0; i < ELEMENTS(good); i++) {
        assert_int_equal(jsonscan(good[i], strlen(good[i]), NULL, &r, NULL), 0);
        assert_int_equal(jsonscan_integer(good[i], r.value, &n), 0);
        assert_int_equal(n, values[i]);
    }
    n = 42;
    for (size_t i = 0; i < ELEMENTS(bad); i++) {
        assert_int_equal(jsonscan(bad[i], strlen(bad[i]), NULL, &r, NULL), 0);
        assert_int_equal(jsonscan_integer(bad[i], r.value, &n), -EINVAL);
        assert_int_equal(n, 42);
    }
}

static void test_elements(void **state)
{
    (void)state;
    const char *text = "{\"to\": [ [1,2] ,\"a,]\",{ } , -1,[]] }";
    static const char *const elements[] = { "[1,2]", "\"a,]\"", "{ }", "-1", "[]" };
    static const enum jsonscan_type types[] = { JSONSCAN_ARRAY, JSONSCAN_STRING, JSONSCAN_OBJECT, JSONSCAN_NUMBER,
                                                JSONSCAN_ARRAY };
    struct jsonscan r;
    struct jsonscan_value v;
    uint32_t cursor = 0;
    assert_int_equal(jsonscan(text, strlen(text), &keys, &r, NULL), 0);
    for (size_t i = 0; i < ELEMENTS(elements); i++) {
        assert_true(jsonscan_element(text, r.members[TO], &cursor, &v));
        assert_value(text, v, types[i], elements[i]);
    }
    assert_false(jsonscan_element(text, r.members[TO], &cursor, &v));
    cursor = 0;
    assert_false(jsonscan_element("[ ]", (struct jsonscan_value){ 0, 3, JSONSCAN_ARRAY }, &cursor, &v));
}

/* A byte that ends a string at each place of long texts: what windows might miss. */
static void test_every_place(void **state)
{
    (void)state;
    enum { LEN = 400 };
    static const char *const specials[] = { "\"", "\\", "\n", "\x80", "\xc3" };
    char text[LEN];
    struct jsonscan r;
    struct jsonscan_fault fault;
    for (size_t s = 0; s < ELEMENTS(specials); s++)
        for (size_t at = 1; at < LEN - 1; at++) {
            memset(text, 'x', LEN);
            text[0] = text[LEN - 1] = '"';
            assert_int_equal(scan(text, LEN, &r, &fault), 0);
            text[at] = specials[s][0];
            assert_int_equal(scan(text, LEN, &r, &fault), -EINVAL);
            size_t where = *specials[s] == '"' ? at + 1 : *specials[s] == '\\' ? at + 1 : at;
            if (where == LEN - 1 && *specials[s] == '\\') /* the quote is escaped then */
                where = LEN;
            assert_int_equal(fault.at, where);
        }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_well_formed),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_cut_texts),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_members_twice),
        cmocka_unit_test(test_no_object_has_no_members),
        cmocka_unit_test(test_untouched),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_elements),
        cmocka_unit_test(test_every_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
