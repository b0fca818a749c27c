/* jsonscan_value.c - what single values mean, once jsonscan() has found the text
 * well-formed; see jsonscan.h.  Pure.  Here nothing is checked again that the
 * scanner has checked: a value must come from it, with the same text. */
#include <errno.h>
#include <string.h>

#include "base/utf8.h"
#include "wire/jsonscan.h"

static uint32_t hex4(const char *p)
{
    uint32_t c = 0;
    for (int i = 0; i < 4; i++)
        c = c << 4 | (uint32_t)(p[i] <= '9' ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
    return c;
}

/* p: at the backslash; *c is the character, U+FFFD for half of a pair.  Returns
 * how many bytes meant it. */
static size_t unescape(const char *p, const char *end, uint32_t *c)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (p[1] != 'u') {
        *c = (unsigned char)to[strchr(from, p[1]) - from];
        return 2;
    }
    *c = hex4(p + 2);
    if (*c < 0xD800 || *c > 0xDFFF)
        return 6;
    uint32_t low = *c < 0xDC00 && end - p >= 12 && p[6] == '\\' && p[7] == 'u' ? hex4(p + 8) : 0;
    if (low < 0xDC00 || low > 0xDFFF) {
        *c = 0xFFFD;
        return 6;
    }
    *c = 0x10000 + ((*c - 0xD800) << 10) + (low - 0xDC00);
    return 12;
}

ssize_t jsonscan_string(const char *text, struct jsonscan_value v, char *buf, size_t size)
{
    const char *p = text + v.at + 1, *end = text + v.at + v.len - 1;
    size_t n = 0;
    while (p < end) {
        char bytes[4] = { *p };
        size_t used = 1, more = 1;
        if (*p == '\\') {
            uint32_t c;
            used = unescape(p, end, &c);
            more = utf8_put(c, bytes);
        }
        if (n + more >= size)
            return -ENOBUFS;
        memcpy(buf + n, bytes, more);
        n += more;
        p += used;
    }
    if (n >= size)
        return -ENOBUFS;
    buf[n] = '\0';
    return (ssize_t)n;
}

int jsonscan_integer(const char *text, struct jsonscan_value v, uint64_t *ret)
{
    const char *p = text + v.at;
    uint64_t n = 0;
    if (v.type != JSONSCAN_NUMBER || v.len > 16)
        return -EINVAL;
    for (uint32_t i = 0; i < v.len; i++) {
        if (p[i] < '0' || p[i] > '9')
            return -EINVAL;
        n = n * 10 + (uint64_t)(p[i] - '0');
    }
    if (n >= UINT64_C(1) << 53)
        return -EINVAL;
    *ret = n;
    return 0;
}
