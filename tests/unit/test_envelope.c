/* test_envelope.c - what is an envelope, what is wrong with one, and what the lines
 * look like that receivers and senders are given. */
#include "cmocka_all.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "wire/envelope.h"

static int read_envelope(const char *text, struct envelope *e, struct jsonscan_fault *fault)
{
    struct jsonscan scan;
    assert_int_equal(jsonscan(text, strlen(text), &envelope_keys, &scan, fault), 0);
    return envelope_read(text, &scan, e, fault);
}

static void test_reading(void **state)
{
    (void)state;
    struct envelope e;
    struct jsonscan_fault fault;
    const char *text = "{\"ttl\":5000,\"to\":\"api\",\"id\":7,\"msg\":{\"to\":1},\"raw\":false,\"ack\":true,\"x\":[]}";
    assert_int_equal(read_envelope(text, &e, &fault), 0);
    assert_true(e.has_id && e.id == 7 && e.ttl == 5000 && e.ack && !e.raw && !e.has_re);
    assert_int_equal(e.msg.len, 8);
    assert_memory_equal(text + e.msg.at, "{\"to\":1}", 8);
    assert_int_equal(read_envelope("{\"to\":\"a\",\"msg\":null,\"re\":0,\"id\":null,\"ttl\":null,\"ack\":null}", &e,
                                   &fault),
                     0);
    assert_true(e.has_re && e.re == 0 && !e.has_id && e.ttl == 0 && !e.ack);
    assert_int_equal(read_envelope("{\"to\":\"a\",\"msg\":1,\"raw\":true}", &e, &fault), 0);
    assert_true(e.raw);
}

static void test_other_messages(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "1", "null", "[\"to\",\"msg\"]", "{}", "{\"to\":\"a\"}", "{\"msg\":1}", "\"to\"", "{\"a\":{\"to\":1,\"msg\":2}}"
    };
    struct envelope e;
    struct jsonscan_fault fault;
    for (size_t i = 0; i < ELEMENTS(texts); i++)
        assert_int_equal(read_envelope(texts[i], &e, &fault), ENVELOPE_NOT);
}

static void test_faults(void **state)
{
    (void)state;
    static const struct {
        const char *text; /* the fault is at the first ^, which is not part of it */
        bool id;
    } texts[] = {
        { "{\"to\":^1,\"msg\":1}", false },
        { "{\"to\":^null,\"msg\":1}", false },
        { "{\"to\":^\"\",\"msg\":1,\"id\":9}", true },
        { "{\"to\":^[],\"msg\":1,\"id\":9}", true },
        { "{\"to\":[\"a\",^1],\"msg\":1,\"id\":9}", true },
        { "{\"to\":[\"a\",^\"\"],\"msg\":1,\"id\":9}", true },
        { "{\"to\":\"a\",\"msg\":1,\"id\":^\"7\"}", false },
        { "{\"to\":\"a\",\"msg\":1,\"id\":^-1}", false },
        { "{\"to\":\"a\",\"msg\":1,\"id\":^1.5}", false },
        { "{\"to\":\"a\",\"msg\":1,\"id\":9,\"re\":^true}", true },
        { "{\"to\":\"a\",\"msg\":1,\"id\":9,\"ttl\":^0}", true },
        { "{\"to\":\"a\",\"msg\":1,\"id\":9,\"ttl\":^604800001}", true },
        { "{\"to\":\"a\",\"msg\":1,\"id\":9,\"ttl\":^\"1s\"}", true },
        { "{\"to\":\"a\",\"msg\":1,\"id\":9,\"ack\":^1}", true },
        { "{\"to\":\"a\",\"msg\":1,\"id\":9,\"raw\":^\"yes\"}", true },
        { "{\"to\":\"a\",\"msg\":1,\"ack\":^true}", false },
        { "{\"to\":\"a\",\"msg\":1,\"ttl\":^5}", false },
        { "{\"to\":\"a\",\"msg\":1,\"id\":9,\"re\":1,\"raw\":^true}", true },
        { "{\"to\":\"a\",\"msg\":1,\"id\":9,\"to\":^\"b\"}", true },
        { "{\"to\":\"a\",\"msg\":1,\"id\":9,\"m\\u0073g\":^2}", true },
        { "{\"raw\":true,\"to\":\"a\",\"id\":9,\"msg\":^{\"cmd\":\"NODE_HANDLE_ACK\"}}", true },
        { "{\"raw\":true,\"to\":\"a\",\"id\":9,\"msg\":^{\"cm\\u0064\":\"\\u004eODE_X\",\"a\":1}}", true },
        { "{\"raw\":true,\"to\":\"a\",\"id\":9,\"msg\":^{\"cmd\":1,\"cmd\":\"NODE_\\u00e4\"}}", true },
    };
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        struct envelope e;
        struct jsonscan_fault fault;
        char text[256];
        size_t at = strcspn(texts[i].text, "^");
        snprintf(text, sizeof(text), "%.*s%s", (int)at, texts[i].text, texts[i].text + at + 1);
        if (read_envelope(text, &e, &fault) != -EINVAL || fault.at != at)
            fail_msg("%s: at %zu", text, fault.at);
        assert_int_equal(e.has_id, texts[i].id);
        assert_true(!e.has_id || e.id == 9);
    }
}

static void test_raw_that_may_pass(void **state)
{
    (void)state;
    static const char *const texts[] = { "{\"cmd\":\"NODE_\"}",
                                         "{\"cmd\":1}",
                                         "{\"a\":{\"cmd\":\"NODE_HANDLE\"}}",
                                         "[{\"cmd\":\"NODE_HANDLE\"}]",
                                         "{\"cmd\":\"NODE\xf0\x9f\x98\x80\"}",
                                         "{\"cmd\":\"node_handle\"}" };
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        struct envelope e;
        struct jsonscan_fault fault;
        char text[256];
        snprintf(text, sizeof(text), "{\"to\":\"a\",\"raw\":true,\"msg\":%s}", texts[i]);
        assert_int_equal(read_envelope(text, &e, &fault), 0);
    }
}

static void test_addresses(void **state)
{
    (void)state;
    struct envelope e;
    struct jsonscan_fault fault;
    char buf[ENVELOPE_ADDRESS_MAX + 1];
    const char *address, *text = "{\"to\":[\"a\",\"@b\", \"\\u0063:*\"],\"msg\":1}";
    static const char *const expected[] = { "a", "@b", "c:*" };
    uint32_t cursor = 0;
    assert_int_equal(read_envelope(text, &e, &fault), 0);
    for (size_t i = 0; i < ELEMENTS(expected); i++) {
        assert_int_equal(envelope_address(text, &e, &cursor, buf, &address), strlen(expected[i]));
        assert_memory_equal(address, expected[i], strlen(expected[i]));
    }
    assert_int_equal(envelope_address(text, &e, &cursor, buf, &address), 0);
    text = "{\"to\":\"\\\"x\",\"msg\":1}";
    cursor = 0;
    assert_int_equal(read_envelope(text, &e, &fault), 0);
    assert_int_equal(envelope_address(text, &e, &cursor, buf, &address), 2);
    assert_memory_equal(address, "\"x", 2);
    assert_int_equal(envelope_address(text, &e, &cursor, buf, &address), 0);
}

static void test_long_addresses(void **state)
{
    (void)state;
    struct envelope e;
    struct jsonscan_fault fault;
    for (int len = ENVELOPE_ADDRESS_MAX; len <= ENVELOPE_ADDRESS_MAX + 1; len++) {
        char text[600];
        snprintf(text, sizeof(text), "{\"to\":\"%0*d\",\"msg\":1}", len, 7);
        assert_int_equal(read_envelope(text, &e, &fault), len > ENVELOPE_ADDRESS_MAX ? -EINVAL : 0);
    }
    _cleanup_buf_ struct buf many = BUF_INIT(1 << 16);
    for (int n = ENVELOPE_ADDRESSES_MAX; n <= ENVELOPE_ADDRESSES_MAX + 1; n++) {
        buf_reset(&many);
        buf_puts(&many, "{\"msg\":1,\"to\":[\"a\"");
        for (int i = 1; i < n; i++)
            buf_puts(&many, ",\"a\"");
        buf_puts(&many, "]}");
        assert_int_equal(read_envelope(many.data, &e, &fault), n > ENVELOPE_ADDRESSES_MAX ? -EINVAL : 0);
    }
}

static void assert_line(const struct envelope_parts *p, const char *expected)
{
    _cleanup_buf_ struct buf line = BUF_INIT(4096);
    for (unsigned i = 0; i < p->n; i++)
        buf_add(&line, p->list[i].iov_base, p->list[i].iov_len);
    assert_string_equal(line.data, expected);
    assert_int_equal(p->len, line.len);
}

static void test_lines(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf from = BUF_INIT(256);
    struct envelope_parts p;
    assert_int_equal(envelope_from(&from, "web:web_1"), 0);
    envelope_parts(&p, ENVELOPE_FORM_MESSAGE, &from, "[1]", 3, 0);
    assert_line(&p, "{\"from\":\"web:web_1\",\"msg\":[1]}");
    envelope_parts(&p, ENVELOPE_FORM_REQUEST, &from, "[1]", 3, 0);
    assert_line(&p, "{\"from\":\"web:web_1\",\"msg\":[1],\"id\":0}");
    envelope_parts(&p, ENVELOPE_FORM_REQUEST, &from, "1", 1, 9007199254740991);
    assert_line(&p, "{\"from\":\"web:web_1\",\"msg\":1,\"id\":9007199254740991}");
    envelope_parts(&p, ENVELOPE_FORM_ANSWER, &from, "\"x\"", 3, 9007199254740991);
    assert_line(&p, "{\"from\":\"web:web_1\",\"re\":9007199254740991,\"msg\":\"x\"}");
    envelope_parts(&p, ENVELOPE_FORM_RAW, &from, "\"x\"", 3, 1);
    assert_line(&p, "\"x\"");
}

static void assert_written(struct buf *b, const char *expected)
{
    struct jsonscan scan;
    assert_string_equal(b->data, expected);
    assert_int_equal(jsonscan(b->data, b->len, NULL, &scan, NULL), 0);
    buf_reset(b);
}

static void test_words_of_the_supervisor(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf b = BUF_INIT(4096);
    const struct jsonscan_fault fault = { 12, "no \"value\"" };
    envelope_bounce(&b, 7, -ENOBUFS, "api:api_0", NULL, 0);
    envelope_end(&b);
    assert_written(&b, "{\"from\":\"$\",\"re\":7,\"err\":\"ENOBUFS\",\"to\":\"api:api_0\"}");
    envelope_bounce(&b, 7, -ENOENT, NULL, "[\"a\"]", 5);
    envelope_end(&b);
    assert_written(&b, "{\"from\":\"$\",\"re\":7,\"err\":\"ENOENT\",\"to\":[\"a\"]}");
    envelope_bounce(&b, 7, -EINVAL, NULL, NULL, 0);
    envelope_bounce_fault(&b, &fault);
    envelope_end(&b);
    assert_written(&b, "{\"from\":\"$\",\"re\":7,\"err\":\"EINVAL\",\"at\":12,\"why\":\"no \\u0022value\\u0022\"}");
    envelope_fault(&b, -EMSGSIZE, &(struct jsonscan_fault){ 5, "long" });
    assert_written(&b, "{\"from\":\"$\",\"err\":\"EMSGSIZE\",\"at\":5,\"why\":\"long\"}");
    envelope_ack(&b, 7, 3);
    envelope_ack_end(&b, false);
    assert_written(&b, "{\"from\":\"$\",\"re\":7,\"ok\":3}");
    envelope_ack(&b, 7, 0);
    envelope_ack_failure(&b, true, "a:b", -ENOBUFS);
    envelope_ack_failure(&b, false, "c", -EHOSTDOWN);
    envelope_ack_end(&b, true);
    assert_written(&b, "{\"from\":\"$\",\"re\":7,\"ok\":0,\"fail\":{\"a:b\":\"ENOBUFS\",\"c\":\"EHOSTDOWN\"}}");
    envelope_own(&b, true, 1);
    buf_puts(&b, "{}}");
    assert_written(&b, "{\"from\":\"$\",\"re\":1,\"msg\":{}}");
    envelope_own(&b, false, 1);
    buf_puts(&b, "{}}");
    assert_written(&b, "{\"from\":\"$\",\"msg\":{}}");
}

static void test_names_that_need_care(void **state)
{
    (void)state;
    _cleanup_buf_ struct buf b = BUF_INIT(4096);
    envelope_from(&b, "a\"b\\c\n\xc3\xa4\xff");
    buf_puts(&b, "}");
    assert_written(&b, "{\"from\":\"a\\u0022b\\u005cc\\u000a\xc3\xa4\xef\xbf\xbd\"}");
}

static void test_codes(void **state)
{
    (void)state;
    static const int all[] = { ENOENT, EHOSTDOWN, ENOBUFS, EMSGSIZE, EACCES, ETIMEDOUT, ECONNRESET, EINVAL, EBADF };
    static const char *const names[] = { "ENOENT",    "EHOSTDOWN",  "ENOBUFS", "EMSGSIZE", "EACCES",
                                         "ETIMEDOUT", "ECONNRESET", "EINVAL",  "EBADF" };
    for (size_t i = 0; i < ELEMENTS(all); i++)
        assert_string_equal(envelope_code(-all[i]), names[i]);
    assert_string_equal(envelope_code(-EDOM), "EIO");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_other_messages),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_raw_that_may_pass),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_long_addresses),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_words_of_the_supervisor),
        cmocka_unit_test(test_names_that_need_care),
        cmocka_unit_test(test_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
