/* test_jsonscan_swift.c - the swift way of looking at a text and the close one are of one
 * opinion, and so is who looks at a text while it comes: on texts as they are sent, and on each
 * of them with one or two bytes changed, left out or put in.  Texts lie in memory of their own length, for sanitizers.
 */
#include "cmocka_all.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "wire/jsonscan_internal.h"

static const struct jsonscan_keys keys = {
    .n = 4, .keys = { JSONSCAN_KEY("to"), JSONSCAN_KEY("msg"), JSONSCAN_KEY("id"), JSONSCAN_KEY("ack") }
};

/* Each is repeated until it is long enough for the swift way; %s is where. */
static const struct {
    const char *before, *item, *behind;
} texts[] = {
    { "{\"to\":\"b\",\"msg\":{\"items\":[0", ",{\"id\":17,\"name\":\"w-17\",\"up\":true,\"load\":0.25,\"x\":null}",
      "]},\"ack\":true}" },
    { "{\"to\":\"b\",\"msg\":[[]", ",[1,-2,[0.5,[{}],{\"a\":{}}],\"\",false]", "],\"id\":7}" },
    { "{\"to\": \"b\", \"msg\": {\"a\": 1",
      ", \"k\": \"v, w: {\", \"n\": [1, 20, -0.75], \"o\": {\"p\": \"q\", \"r\": false}", "}, \"id\": 7}" },
    { "{\"msg\":{\"a\":\"", "\\n\\\"\\\\ \xc3\xa4\xe2\x82\xac \\u00e4\xc2\xa2\xdc\x80,",
      "\",\"b\":[\"\\\\\",\"\xf0\x9f\x90\x8e\"]}}" },
    { "[\"a\"", ",\"b\",{\"c\":[]},{\"d\":\"\\\"\"},100,0,-0,0.10", "]" },
    { "{\"msg\":[\"", "a string that is longer than a window, by some bytes, in which nothing is",
      "\",{\"x\":[1,2,3]}]}" },
    { "{\"msg\":[\"", "\xe2\x82\xac\xc3\xa4", "\"]}" },
    { "{\"msg\":[\"", "\\u00e4", "\"]}" },
};
static const char alphabet[] = "\"\\{}[],: \t\n0159-.eEtrufalsnx\x80\xc3\xa4\xe2";

static size_t compose(char *out, size_t i)
{
    char *at = stpcpy(out, texts[i].before);
    while (at - out < 2 * JSONSCAN_BLOCK + WINDOW)
        at = stpcpy(at, texts[i].item);
    return (size_t)(stpcpy(at, texts[i].behind) - out);
}

/* What is not there has no place either. */
static bool is_same(const struct jsonscan_value *a, const struct jsonscan_value *b)
{
    return a->type == b->type && (a->type == JSONSCAN_NONE || (a->at == b->at && a->len == b->len));
}

/* What is there of a text, up to `len`; somewhere else each time. */
static void look_ahead(struct jsonscan_ahead *a, const char *text, size_t len)
{
    _cleanup_free_ char *own = malloc(len + 1); /* nothing may be there */
    assert_non_null(own);
    memcpy(own + 1, text, len);
    jsonscan_ahead(a, own + 1, len);
}

static void assert_same(const char *text, size_t len)
{
    struct jsonscan r[3] = { 0 };
    struct jsonscan_fault fault[3] = { 0 };
    struct jsonscan_ahead ahead = { 0 };
    _cleanup_free_ char *own = malloc(len);
    assert_non_null(own);
    memcpy(own, text, len);
    look_ahead(&ahead, text, len / 2 + len % 32);
    look_ahead(&ahead, text, len - len / 7);
    int result[] = { jsonscan_as(true, own, len, &keys, &r[0], &fault[0]),
                     jsonscan_as(false, own, len, &keys, &r[1], &fault[1]),
                     jsonscan_rest(&ahead, own, len, &keys, &r[2], &fault[2]) };
    for (int way = 1; way < 3; way++) {
        bool same = result[0] == result[way] && fault[0].at == fault[way].at && is_same(&r[0].value, &r[way].value);
        for (unsigned i = 0; i < keys.n; i++)
            same &= is_same(&r[0].members[i], &r[way].members[i]);
        if (!same || r[0].twice != r[way].twice)
            fail_msg("%d, but %d the %s way: %.*s", result[0], result[way], way == 1 ? "swift" : "early", (int)len,
                     text);
    }
}

static void test_as_sent(void **state)
{
    (void)state;
    char text[2048];
    struct jsonscan r;
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        size_t len = compose(text, i);
        assert_int_equal(jsonscan_as(true, text, len, &keys, &r, NULL), 0);
        assert_same(text, len);
        struct look l = { .text = text, .end = text + len, .window = text };
        if (jsonscan_have_swift())
            assert_true(jsonscan_swift(&l, text) == text + len);
    }
}

/* However it is cut.  Of what is there no more is left to look at than the end of it. */
static void test_as_it_comes(void **state)
{
    (void)state;
    char text[2048];
    struct jsonscan r;
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        size_t len = compose(text, i);
        for (size_t cut = 1; cut < len; cut++) {
            struct jsonscan_ahead a = { 0 };
            look_ahead(&a, text, cut);
            if (jsonscan_have_ahead() && cut > JSONSCAN_BLOCK)
                assert_true(jsonscan_ahead_passed(&a, text) + JSONSCAN_BLOCK + 16 > cut);
            assert_int_equal(jsonscan_rest(&a, text, len, &keys, &r, NULL), 0);
            assert_int_equal(r.value.len, len);
        }
        for (size_t step = 1; step < len; step += 7) {
            struct jsonscan_ahead a = { 0 };
            for (size_t n = step; n < len; n += step)
                look_ahead(&a, text, n);
            assert_int_equal(jsonscan_rest(&a, text, len, &keys, &r, NULL), 0);
            assert_int_equal(r.value.len, len);
        }
    }
}

/* There is no newline where a look ahead has passed, and it has not passed one. */
static void test_no_newline_is_passed(void **state)
{
    (void)state;
    char text[2048];
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        size_t len = compose(text, i);
        for (size_t at = 0; at < len; at++) {
            struct jsonscan_ahead a = { 0 };
            char was = text[at];
            text[at] = '\n';
            look_ahead(&a, text, len);
            assert_true(jsonscan_ahead_passed(&a, text) <= at);
            text[at] = was;
        }
    }
}

/* What comes before the first container is looked at twice: not more than a little of it. */
static void test_only_what_is_near(void **state)
{
    (void)state;
    char text[8192];
    struct jsonscan r;
    for (int before = 500; before <= 2000; before += 1500) {
        struct jsonscan_ahead a = { 0 };
        int len = snprintf(text, sizeof(text), "{\"s\":\"%0*d\",\"msg\":[\"%0*d\"]}", before, 0, 3000, 0);
        look_ahead(&a, text, (size_t)len);
        if (jsonscan_have_ahead())
            assert_int_equal(jsonscan_ahead_passed(&a, text) > 0, before < 1000);
        assert_int_equal(jsonscan_rest(&a, text, (size_t)len, &keys, &r, NULL), 0);
    }
}

/* Where a short container is before the long one, or a long one behind it. */
static void test_several_as_they_come(void **state)
{
    (void)state;
    static const char *const before[] = { "{\"to\":[\"a\",\"b\"],\"msg\":",
                                          "{\"x\":{\"a\":[]},\"y\":[[],1.5e3],\"msg\":", " { \"x\" : \"{\", \"msg\":",
                                          "[", "{\"msg\":true,\"msg\":" };
    static const char *const behind[] = {
        "}", ",\"to\":\"b\"}", ",\"x\":{\"y\":1}}", "]", ",2]", ",\"id\":7,\"x\":tru}"
    };
    char text[8192], item[2048];
    for (size_t i = 0; i < ELEMENTS(before); i++)
        for (size_t k = 0; k < ELEMENTS(behind); k++)
            for (size_t n = 0; n < ELEMENTS(texts); n++) {
                item[compose(item, n)] = '\0';
                size_t len = (size_t)(stpcpy(stpcpy(stpcpy(text, before[i]), item), behind[k]) - text);
                assert_same(text, len);
                len = (size_t)(stpcpy(stpcpy(stpcpy(text + len - 1, ",\"msg\":"), item), behind[k]) - text);
                assert_same(text, len);
            }
}

static size_t put_in(char *out, const char *text, size_t len, size_t at, char c)
{
    memcpy(out, text, at);
    out[at] = c;
    memcpy(out + at + 1, text + at, len - at);
    return len + 1;
}

static size_t leave_out(char *out, const char *text, size_t len, size_t at)
{
    memcpy(out, text, at);
    memcpy(out + at, text + at + 1, len - at - 1);
    return len - 1;
}

static void test_one_change(void **state)
{
    (void)state;
    char text[2048], changed[2048];
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        size_t len = compose(text, i);
        for (size_t at = 0; at < len; at++) {
            assert_same(changed, leave_out(changed, text, len, at));
            assert_same(text, at);
            for (size_t b = 0; b < sizeof(alphabet); b++) {
                assert_same(changed, put_in(changed, text, len, at, alphabet[b]));
                memcpy(changed, text, len);
                changed[at] = alphabet[b];
                assert_same(changed, len);
            }
        }
    }
}

/* What more than a byte makes wrong, within a long array, and across windows. */
static void test_wrong_items(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "5:1",
        "{\"a\":1,5:1}",
        "{5:1}",
        "{true:1}",
        "{[]:1}",
        "{{}:1}",
        "{\"a\"}",
        "{\"a\":1,5}",
        "[\"a\":1]",
        "{\"a\":1,[2]:3}",
        "{\"a\":{}:3}",
        "truefalse",
        "{\"a\":1,[2],\"b\":1}",
        "1true",
        "true1",
        "{\"a\":\"b\":\"c\"}",
        "\\n",
        "{\"a\":}",
        "{\"a\":1,{\"b\":2}}",
        "true\"a\"",
        "\"a\"\"b\"",
        "[1}",
        "{\"a\":1]",
        "1.",
        "-",
        "1.2.3",
        "-01",
        "tru",
        "{1}",
        "{ 1}",
        "{-1,\"a\":1}",
        "[1, ,2]",
        "{,}",
        "[,1]",
        "{\"a\":1,\"b\",\"c\":2}",
        "{\"a\":{\"b\":1},{\"c\":2}}",
        "{\"a\":1},{\"c\":2}}",
        "[1},{2]",
        "{\"a\":1},[2}",
        "[{\"a\":1},{2:3}]",
        "[[1},{2]]",
        "[1\335\2542",
    };
    char text[2048];
    struct jsonscan r;
    for (size_t i = 0; i < ELEMENTS(wrong); i++)
        for (size_t before = 0; before < JSONSCAN_BLOCK + WINDOW; before++) {
            char *at = stpcpy(text, "[\"");
            memset(at, 'x', before);
            at = stpcpy(stpcpy(stpcpy(at + before, "\","), wrong[i]), ",\"");
            memset(at, 'x', 3 * WINDOW);
            at = stpcpy(at + 3 * WINDOW, "\"]");
            assert_int_equal(jsonscan_as(false, text, (size_t)(at - text), &keys, &r, NULL), -EINVAL);
            assert_same(text, (size_t)(at - text));
        }
}

/* Is it passed that many bytes before the border of two blocks, in an array? */
static bool passes(const char *word, size_t before)
{
    char text[4 * JSONSCAN_BLOCK];
    char *at = text + 1 + (size_t)(2 * JSONSCAN_BLOCK) - before; /* the first bracket is in no block */
    memset(text, 'x', sizeof(text));
    memcpy(text, "[\"", 2);
    memcpy(at - 2, "\",", 2);
    at = mempcpy(mempcpy(at, word, strlen(word)), ",\"", 2);
    at += JSONSCAN_BLOCK;
    memcpy(at, "\"]", 2);
    struct look l = { .text = text, .end = at + 2, .window = text };
    return jsonscan_swift(&l, text) == at + 2;
}

/* Of up to five letters, all that there are. */
static void test_words(void **state)
{
    (void)state;
    static const char letters[] = "\0trufalsenx";
    enum { N = sizeof(letters) - 1 };
    for (size_t n = 0; jsonscan_have_swift() && n < (size_t)N * N * N * N * N; n++) {
        char word[6] = "";
        size_t left = n;
        for (size_t i = 0; i < 5; i++, left /= N)
            word[i] = letters[left % N];
        if (passes(word, n % 8) && strcmp(word, "true") != 0 && strcmp(word, "false") != 0 && strcmp(word, "null") != 0)
            fail_msg("%s is no word", word);
    }
    for (size_t before = 0; jsonscan_have_swift() && before < 8; before++)
        assert_true(passes("true", before) && passes("false", before) && passes("null", before));
}

static uint32_t next_random(uint32_t *x)
{
    return *x = *x * 1664525U + 1013904223U;
}

/* Two changes may make a text right again, in another way. */
static void test_two_changes(void **state)
{
    (void)state;
    char text[2048], once[2048], twice[2048];
    uint32_t x = 1;
    for (size_t i = 0; i < 200000; i++) {
        size_t len = compose(text, i % ELEMENTS(texts));
        size_t at = (next_random(&x) >> 8) % len;
        len = put_in(once, text, len, at, alphabet[(next_random(&x) >> 8) % (sizeof(alphabet) - 1)]);
        size_t near = at + (next_random(&x) >> 8) % 20;
        near = near < len ? near : len - 1;
        if ((next_random(&x) >> 31) != 0)
            len = leave_out(twice, once, len, near);
        else
            len = put_in(twice, once, len, near, alphabet[(next_random(&x) >> 8) % (sizeof(alphabet) - 1)]);
        assert_same(twice, len);
    }
}

static void test_depth(void **state)
{
    (void)state;
    char text[4096];
    static const char *const open[] = { "[", "{\"a\":" };
    static const char close[] = { ']', '}' };
    for (size_t depth = 1; depth < 520; depth++)
        for (int kind = 0; kind < 2; kind++) {
            char *at = text;
            for (size_t i = 0; i < depth; i++)
                at = stpcpy(at, open[kind]);
            *at++ = '[';
            for (int i = 0; i < 50; i++)
                at = stpcpy(at, i > 0 ? ",1234" : "1234");
            *at++ = ']';
            memset(at, close[kind], depth);
            assert_same(text, (size_t)(at - text) + depth);
        }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_sent),
        cmocka_unit_test(test_wrong_items),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_one_change),
        cmocka_unit_test(test_two_changes),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_as_it_comes),
        cmocka_unit_test(test_several_as_they_come),
        cmocka_unit_test(test_no_newline_is_passed),
        cmocka_unit_test(test_only_what_is_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
