/* test_logline.c - lines with a time, lines as JSON, and lines that do not end. */
#include "cmocka_all.h"

#include <jansson.h>
#include <stdlib.h>

#include "wire/logline.h"

#define WALL (UINT64_C(1700000000) * USEC_PER_SEC + 42)
#define TIME "2023-11-14T22:13:20.000042Z"

static struct logline line;
static struct buf out = BUF_INIT(LOGLINE_OUT);

static void begin(enum log_format format)
{
    logline_done(&line);
    logline_init(&line, format, "g:p", "stdout");
    buf_reset(&out);
}

static void feed(const char *text)
{
    assert_int_equal(logline_format(&line, WALL, text, strlen(text), &out), strlen(text));
    assert_int_equal(out.error, 0);
}

static int teardown(void **state)
{
    (void)state;
    logline_done(&line);
    buf_done(&out);
    return 0;
}

static void test_time(void **state)
{
    (void)state;
    char text[LOGLINE_TIME];
    logline_time(WALL, text);
    assert_string_equal(text, TIME);
    logline_time(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000000Z");
    logline_time(USEC_INFINITY, text); /* of a clock gone mad; it must fit all the same */
    assert_int_equal(strlen(text), LOGLINE_TIME - 1);
}

static void test_timestamps(void **state)
{
    (void)state;
    begin(LOG_FORMAT_TIMESTAMP);
    feed("one\ntwo\n\n");
    assert_string_equal(out.data, TIME " one\n" TIME " two\n" TIME " \n");
    logline_flush(&line, &out);
    assert_int_equal(out.len, 3 * (LOGLINE_TIME + 1) + 6);
}

static void test_a_line_in_parts_has_the_time_of_its_beginning(void **state)
{
    (void)state;
    begin(LOG_FORMAT_TIMESTAMP);
    feed("be");
    assert_int_equal(out.len, 0);
    assert_int_equal(logline_format(&line, WALL + USEC_PER_SEC, "gun\nnext\n", 9, &out), 9);
    assert_string_equal(out.data, TIME " begun\n2023-11-14T22:13:21.000042Z next\n");
    buf_reset(&out);
    feed("unended");
    logline_flush(&line, &out);
    logline_flush(&line, &out); /* once only */
    assert_string_equal(out.data, TIME " unended\n");
}

static void test_json(void **state)
{
    (void)state;
    begin(LOG_FORMAT_JSON);
    feed("say \"\x1b[1mhi\"\n");
    assert_string_equal(out.data, "{\"time\":\"" TIME "\",\"process\":\"g:p\",\"stream\":\"stdout\","
                                  "\"message\":\"say \\\"\\u001b[1mhi\\\"\"}\n");
    buf_reset(&out);
    feed("\xff\n");
    assert_non_null(strstr(out.data, "\"message_base64\":\"/w==\""));
}

/* Puts the messages of all lines in `out` behind one another. */
static size_t collect(struct buf *all, bool *last_partial)
{
    size_t n = 0;
    for (char *at = out.data, *end; at < out.data + out.len; at = end + 1, n++) {
        end = strchr(at, '\n');
        assert_non_null(end);
        json_t *j = json_loadb(at, (size_t)(end - at), 0, NULL);
        assert_non_null(j);
        const char *message = json_string_value(json_object_get(j, "message"));
        assert_non_null(message);
        assert_true(strlen(message) <= LOGLINE_MAX);
        buf_puts(all, message);
        *last_partial = json_is_true(json_object_get(j, "partial"));
        json_decref(j);
    }
    return n;
}

/* Characters of two bytes, so that a piece cut by bytes would be no UTF-8. */
static void test_endless_line(void **state)
{
    (void)state;
    enum { CHARACTERS = 100000 };
    _cleanup_buf_ struct buf data = BUF_INIT(2 * CHARACTERS + 2), all = BUF_INIT(2 * CHARACTERS + 2);
    bool partial = false;
    buf_putc(&data, 'x');
    for (int i = 0; i < CHARACTERS; i++)
        buf_puts(&data, "\xc3\xa4");
    begin(LOG_FORMAT_JSON);
    size_t pieces = 0;
    for (size_t done = 0; done < data.len;) {
        size_t n = data.len - done < 1000 ? data.len - done : 1000;
        done += logline_format(&line, WALL, data.data + done, n, &out);
        pieces += collect(&all, &partial);
        buf_reset(&out);
    }
    assert_true(partial);
    assert_true(line.begun.len <= LOGLINE_MAX);
    feed("\n");
    pieces += collect(&all, &partial);
    assert_false(partial);
    assert_int_equal(pieces, data.len / LOGLINE_MAX + 1);
    assert_int_equal(all.len, data.len);
    assert_memory_equal(all.data, data.data, data.len);
}

/* A megabyte of the shortest lines: what is made at one go stays within its bound. */
static void test_bound(void **state)
{
    (void)state;
    static char newlines[65536], zeros[65536];
    memset(newlines, '\n', sizeof(newlines));
    begin(LOG_FORMAT_JSON);
    size_t done = 0, lines = 0;
    while (done < sizeof(newlines)) {
        done += logline_format(&line, WALL, newlines + done, sizeof(newlines) - done, &out);
        assert_int_equal(out.error, 0);
        for (size_t i = 0; i < out.len; i++)
            lines += out.data[i] == '\n';
        buf_reset(&out);
    }
    assert_int_equal(lines, sizeof(newlines));
    for (done = 0; done < sizeof(zeros);) { /* each byte becomes six */
        done += logline_format(&line, WALL, zeros + done, sizeof(zeros) - done, &out);
        assert_int_equal(out.error, 0);
        buf_reset(&out);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_timestamps),
        cmocka_unit_test(test_a_line_in_parts_has_the_time_of_its_beginning),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_endless_line),
        cmocka_unit_test(test_bound),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
