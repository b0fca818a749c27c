/* jsonw.c - writes JSON, value by value, into the caller's buffer.
 *
 * Keeps no tree and no depth: the one bit it needs is whether the next value is
 * preceded by a comma.  Errors (no memory, the buffer's bound) stick in the
 * buffer, so a writer checks once at its end.  Whatever the locale is, numbers
 * come out with a point. */
#include "wire/jsonw.h"

#include <inttypes.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

static void begin_value(struct jsonw *j, const char *name, const char *suffix)
{
    if (j->comma)
        buf_putc(j->out, ',');
    j->comma = true;
    if (name != NULL) {
        buf_putc(j->out, '"');
        buf_puts(j->out, name);
        buf_puts(j->out, suffix);
        buf_add(j->out, "\":", 2);
    }
}

void jsonw_object(struct jsonw *j, const char *name)
{
    begin_value(j, name, "");
    buf_putc(j->out, '{');
    j->comma = false;
}

void jsonw_object_end(struct jsonw *j)
{
    buf_putc(j->out, '}');
    j->comma = true;
}

void jsonw_array(struct jsonw *j, const char *name)
{
    begin_value(j, name, "");
    buf_putc(j->out, '[');
    j->comma = false;
}

void jsonw_array_end(struct jsonw *j)
{
    buf_putc(j->out, ']');
    j->comma = true;
}

/* --- strings ------------------------------------------------------------ */

/* Nearly all text is ASCII: it is passed over eight bytes at a time. */
bool jsonw_is_utf8(const char *s, size_t len)
{
    const uint64_t high_bits = UINT64_C(0x8080808080808080);
    size_t i = 0;
    for (uint64_t word; len - i >= sizeof(word); i += sizeof(word)) {
        memcpy(&word, s + i, sizeof(word));
        if ((word & high_bits) != 0)
            break;
    }
    size_t where;
    const char *why;
    return utf8_check(s + i, len - i, &where, &why) == 0;
}

static void add_escaped(struct buf *out, unsigned char c)
{
    static const char letters[] = "\b\f\n\r\t\"\\";
    static const char names[] = "bfnrt\"\\";
    const char *known = c != '\0' ? strchr(letters, c) : NULL;
    if (known != NULL)
        buf_printf(out, "\\%c", names[known - letters]);
    else
        buf_printf(out, "\\u%04x", (unsigned)c);
}

static void add_quoted(struct buf *out, const char *s, size_t len)
{
    buf_putc(out, '"');
    size_t start = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buf_add(out, s + start, i - start);
        add_escaped(out, c);
        start = i + 1;
    }
    buf_add(out, s + start, len - start);
    buf_putc(out, '"');
}

static void add_base64(struct buf *out, const unsigned char *s, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    buf_putc(out, '"');
    for (size_t i = 0; i < len && out->error == 0; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        unsigned v = (unsigned)s[i] << 16;
        v |= n > 1 ? (unsigned)s[i + 1] << 8 : 0;
        v |= n > 2 ? (unsigned)s[i + 2] : 0;
        char quad[4] = { digits[v >> 18], digits[v >> 12 & 63], n > 1 ? digits[v >> 6 & 63] : '=',
                         n > 2 ? digits[v & 63] : '=' };
        buf_add(out, quad, sizeof(quad));
    }
    buf_putc(out, '"');
}

void jsonw_bytes(struct jsonw *j, const char *name, const char *s, size_t len)
{
    if (jsonw_is_utf8(s, len)) {
        begin_value(j, name, "");
        add_quoted(j->out, s, len);
    } else if (name != NULL) {
        begin_value(j, name, "_base64");
        add_base64(j->out, (const unsigned char *)s, len);
    } else {
        /* an element of an array has no name to carry the mark, so it becomes an object that does */
        jsonw_object(j, NULL);
        begin_value(j, "bytes", "_base64");
        add_base64(j->out, (const unsigned char *)s, len);
        jsonw_object_end(j);
    }
}

void jsonw_string(struct jsonw *j, const char *name, const char *s)
{
    if (s == NULL)
        jsonw_null(j, name);
    else
        jsonw_bytes(j, name, s, strlen(s));
}

/* --- numbers and the rest ----------------------------------------------- */

/* Digits are put by hand: printf costs a status of 1,000 processes a good part
 * of its time. */
static void add_number(struct buf *out, uint64_t value, unsigned min_digits)
{
    char digits[20];
    size_t at = sizeof(digits);
    while (value > 0 || sizeof(digits) - at < min_digits) {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    }
    buf_add(out, digits + at, sizeof(digits) - at);
}

void jsonw_int(struct jsonw *j, const char *name, int64_t value)
{
    begin_value(j, name, "");
    if (value < 0)
        buf_putc(j->out, '-');
    add_number(j->out, value < 0 ? (uint64_t)0 - (uint64_t)value : (uint64_t)value, 1);
}

void jsonw_bool(struct jsonw *j, const char *name, bool value)
{
    begin_value(j, name, "");
    buf_puts(j->out, value ? "true" : "false");
}

void jsonw_null(struct jsonw *j, const char *name)
{
    begin_value(j, name, "");
    buf_add(j->out, "null", 4);
}

void jsonw_seconds(struct jsonw *j, const char *name, usec_t t)
{
    if (t == USEC_INFINITY) {
        jsonw_null(j, name);
        return;
    }
    begin_value(j, name, "");
    add_number(j->out, t / USEC_PER_SEC, 1);
    usec_t fraction = t % USEC_PER_SEC;
    unsigned digits = 6;
    while (digits > 0 && fraction % 10 == 0) {
        fraction /= 10;
        digits--;
    }
    if (digits > 0) {
        buf_putc(j->out, '.');
        add_number(j->out, fraction, digits);
    }
}

void jsonw_raw(struct jsonw *j, const char *name, const char *text, size_t len)
{
    begin_value(j, name, "");
    buf_add(j->out, text, len);
}
