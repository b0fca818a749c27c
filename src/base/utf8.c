/* utf8.c - see utf8.h.  Pure; what is a blank and what is printable follows
 * Unicode as Python's str has it, since configuration files were written
 * against that. */
#include "base/utf8.h"

#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"

struct range {
    uint32_t first, last;
};

/* Decodes strictly; 0 for what is no UTF-8.  *bad is then how many bytes of it
 * belong together, *why is Python's name for the fault. */
static size_t decode(const unsigned char *s, size_t len, uint32_t *c, size_t *bad, const char **why)
{
    *bad = 1;
    *why = "invalid start byte";
    if (s[0] < 0x80) {
        *c = s[0];
        return 1;
    }
    if (s[0] < 0xC2 || s[0] > 0xF4)
        return 0;
    size_t n = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
    uint32_t value = s[0] & (0xFFu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        *bad = i;
        if (i >= len) {
            *why = "unexpected end of data";
            return 0;
        }
        unsigned low = 0x80, high = 0xBF; /* no overlong forms, no surrogates, nothing past 10FFFF */
        if (i == 1) {
            low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : low;
            high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : high;
        }
        if (s[i] < low || s[i] > high) {
            *why = "invalid continuation byte";
            return 0;
        }
        value = value << 6 | (s[i] & 0x3Fu);
    }
    *c = value;
    return n;
}

size_t utf8_next(const char *s, size_t len, uint32_t *character)
{
    size_t bad;
    const char *why;
    if (len == 0)
        return 0;
    size_t n = decode((const unsigned char *)s, len, character, &bad, &why);
    if (n == 0) {
        *character = 0xDC00u + (unsigned char)s[0];
        n = 1;
    }
    return n;
}

size_t utf8_put(uint32_t c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        if (c >= 0xD800 && c < 0xE000)
            return 0;
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    if (c > 0x10FFFF)
        return 0;
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

size_t utf8_count(const char *s, size_t len)
{
    size_t n = 0;
    uint32_t c;
    for (size_t i = 0; i < len; i += utf8_next(s + i, len - i, &c))
        n++;
    return n;
}

size_t utf8_offset(const char *s, size_t len, size_t characters)
{
    size_t i = 0;
    uint32_t c;
    while (i < len && characters-- > 0)
        i += utf8_next(s + i, len - i, &c);
    return i;
}

size_t utf8_check(const char *s, size_t len, size_t *where, const char **why)
{
    uint32_t c;
    size_t bad;
    for (size_t i = 0, n; i < len; i += n) {
        n = decode((const unsigned char *)s + i, len - i, &c, &bad, why);
        if (n == 0) {
            *where = i;
            return bad;
        }
    }
    return 0;
}

static bool in_ranges(const struct range *r, size_t n, uint32_t c)
{
    for (size_t i = 0; i < n; i++)
        if (c >= r[i].first && c <= r[i].last)
            return true;
    return false;
}

bool utf8_is_space(uint32_t c)
{
    static const struct range spaces[] = {
        { 0x09, 0x0D },     { 0x1C, 0x20 },     { 0x85, 0x85 },     { 0xA0, 0xA0 },     { 0x1680, 0x1680 },
        { 0x2000, 0x200A }, { 0x2028, 0x2029 }, { 0x202F, 0x202F }, { 0x205F, 0x205F }, { 0x3000, 0x3000 },
    };
    return in_ranges(spaces, ELEMENTS(spaces), c);
}

/* Steps back over one character. */
static size_t before(const char *s, size_t at, uint32_t *c)
{
    size_t from = at > 4 ? at - 4 : 0;
    for (size_t i = at - 1;; i--) {
        if (((unsigned char)s[i] & 0xC0) != 0x80 && utf8_next(s + i, at - i, c) == at - i)
            return i;
        if (i == from)
            break;
    }
    utf8_next(s + at - 1, 1, c);
    return at - 1;
}

bool utf8_space_before(const char *s, size_t at)
{
    uint32_t c;
    if (at == 0)
        return false;
    before(s, at, &c);
    return utf8_is_space(c);
}

void utf8_rstrip(const char *s, size_t *len)
{
    while (*len > 0) {
        uint32_t c = 0;
        size_t at = before(s, *len, &c);
        if (!utf8_is_space(c))
            break;
        *len = at;
    }
}

void utf8_strip(const char **s, size_t *len)
{
    utf8_rstrip(*s, len);
    while (*len > 0) {
        uint32_t c;
        size_t n = utf8_next(*s, *len, &c);
        if (!utf8_is_space(c))
            break;
        *s += n;
        *len -= n;
    }
}

/* What repr() escapes above ASCII: controls, separators, format characters,
 * surrogates, private use. */
static bool printable(uint32_t c)
{
    static const struct range hidden[] = {
        { 0x00, 0x1F },       { 0x7F, 0xA0 },        { 0xAD, 0xAD },     { 0x0600, 0x0605 }, { 0x061C, 0x061C },
        { 0x1680, 0x1680 },   { 0x180E, 0x180E },    { 0x2000, 0x200F }, { 0x2028, 0x202F }, { 0x205F, 0x206F },
        { 0x3000, 0x3000 },   { 0xD800, 0xF8FF },    { 0xFEFF, 0xFEFF }, { 0xFFF0, 0xFFFB }, { 0xFFFE, 0xFFFF },
        { 0xE0000, 0xE0FFF }, { 0xF0000, 0x10FFFF },
    };
    return !in_ranges(hidden, ELEMENTS(hidden), c);
}

static int quote_character(struct buf *out, uint32_t c, const char *bytes, size_t n, bool ascii)
{
    const char *short_form = c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : NULL;
    if (short_form != NULL)
        return buf_puts(out, short_form);
    if (c < 0x7F ? c >= 0x20 : (!ascii && printable(c)))
        return buf_add(out, bytes, n);
    return buf_printf(out, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
}

int utf8_quote(struct buf *out, const char *s, size_t len, bool ascii)
{
    char mark = memchr(s, '\'', len) != NULL && memchr(s, '"', len) == NULL ? '"' : '\'';
    buf_putc(out, mark);
    for (size_t i = 0, n; i < len; i += n) {
        uint32_t c;
        n = utf8_next(s + i, len - i, &c);
        if (c == (uint32_t)mark || c == '\\')
            buf_putc(out, '\\');
        quote_character(out, c, s + i, n, ascii);
    }
    return buf_putc(out, mark);
}
