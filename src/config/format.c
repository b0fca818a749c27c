/* format.c - see format.h.
 *
 * A formatter walks the text once.  The argument of a conversion is the value of
 * the last %(name) that nobody has used yet; before the first name it is the
 * mapping itself, and that is why "%d" alone complains of a dict.  Pure; owns
 * nothing; the bound of the output buffer is the bound of any width. */
#include "config/format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

#define WIDTH_MAX (1 << 20)
#define NUMBER_MAX 1024

enum argument { ARGUMENT_MAPPING, ARGUMENT_VALUE, ARGUMENT_USED };

struct formatter {
    struct buf *out;
    const char *text, *p, *end;
    format_lookup_fn lookup;
    void *ctx;
    struct format_result *result;
    enum argument argument;
    struct format_value value;
};

struct spec {
    bool left, plus, blank, alternate, zero;
    int64_t width, precision; /* -1: none */
    uint32_t conversion;
};

static int __attribute__((format(printf, 2, 3))) bad(struct formatter *f, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(f->result->why, sizeof f->result->why, format, ap);
    va_end(ap);
    return FORMAT_E_BAD;
}

/* The next character, or 0 at the end (NUL is no character of a text here). */
static uint32_t next(struct formatter *f)
{
    uint32_t c = 0;
    f->p += utf8_next(f->p, (size_t)(f->end - f->p), &c);
    return c;
}

static int read_name(struct formatter *f)
{
    const char *start = f->p;
    for (unsigned depth = 1; depth > 0; f->p++) {
        if (f->p == f->end)
            return bad(f, "incomplete format key");
        depth += *f->p == '(';
        depth -= *f->p == ')';
    }
    size_t len = (size_t)(f->p - 1 - start);
    if (!f->lookup(f->ctx, start, len, &f->value)) {
        f->result->name = start;
        f->result->name_len = len;
        return FORMAT_E_NAME;
    }
    f->argument = ARGUMENT_VALUE;
    return 0;
}

/* "*": the width or precision is the argument; never of use with a mapping. */
static int read_star(struct formatter *f)
{
    if (f->argument == ARGUMENT_USED)
        return bad(f, "not enough arguments for format string");
    if (f->argument == ARGUMENT_MAPPING || !f->value.is_number)
        return bad(f, "* wants int");
    f->argument = ARGUMENT_USED;
    return 0;
}

static int read_number(struct formatter *f, uint32_t *c, int64_t *ret, const char *what)
{
    int64_t n = 0;
    for (; *c >= '0' && *c <= '9'; *c = next(f))
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (int64_t)(*c - '0'), &n))
            return bad(f, "%s too big", what);
    *ret = n;
    return 0;
}

static bool read_flag(struct spec *s, uint32_t c)
{
    switch (c) {
    case '-':
        return s->left = true;
    case '+':
        return s->plus = true;
    case ' ':
        return s->blank = true;
    case '#':
        return s->alternate = true;
    case '0':
        return s->zero = true;
    default:
        return false;
    }
}

static int read_size(struct formatter *f, uint32_t *c, int64_t *ret, const char *what)
{
    if (*c != '*')
        return read_number(f, c, ret, what);
    int r = read_star(f);
    *c = next(f);
    return r;
}

static int read_spec(struct formatter *f, struct spec *s)
{
    int r = 0;
    *s = (struct spec){ .width = -1, .precision = -1 };
    if (f->p < f->end && *f->p == '(') {
        f->p++;
        r = read_name(f);
        if (r != 0)
            return r;
    }
    uint32_t c = next(f);
    while (read_flag(s, c))
        c = next(f);
    if (c == '*' || (c >= '0' && c <= '9'))
        r = read_size(f, &c, &s->width, "width");
    if (r == 0 && c == '.') {
        c = next(f);
        r = read_size(f, &c, &s->precision, "precision");
    }
    if (r != 0)
        return r;
    if (c == 'h' || c == 'l' || c == 'L')
        c = next(f);
    s->conversion = c;
    return c == 0 ? bad(f, "incomplete format") : 0;
}

static int pad(struct formatter *f, char c, int64_t n)
{
    int r = 0;
    for (; n > 0 && r == 0; n--)
        r = buf_putc(f->out, c);
    return r;
}

static int put_text(struct formatter *f, const struct spec *s, const char *text, size_t len)
{
    if (s->precision >= 0)
        len = utf8_offset(text, len, (size_t)s->precision);
    int64_t fill = s->width - (int64_t)utf8_count(text, len);
    if (!s->left)
        pad(f, ' ', fill);
    buf_add(f->out, text, len);
    return s->left ? pad(f, ' ', fill) : f->out->error;
}

/* [blanks][sign][prefix][zeros]digits[blanks] */
static int put_number(struct formatter *f, const struct spec *s, const char *digits, bool negative, const char *prefix)
{
    const char *sign = negative ? "-" : s->plus ? "+" : s->blank ? " " : "";
    int64_t fill = s->width - (int64_t)(strlen(sign) + strlen(prefix) + strlen(digits));
    if (!s->left && !s->zero)
        pad(f, ' ', fill);
    buf_puts(f->out, sign);
    buf_puts(f->out, prefix);
    if (s->zero && !s->left)
        pad(f, '0', fill);
    buf_puts(f->out, digits);
    return s->left ? pad(f, s->zero ? '0' : ' ', s->zero ? 0 : fill) : f->out->error;
}

static int put_integer(struct formatter *f, const struct spec *s)
{
    char digits[NUMBER_MAX + 32];
    char c = (char)s->conversion;
    uint64_t magnitude = f->value.number < 0 ? -(uint64_t)f->value.number : (uint64_t)f->value.number;
    int precision = s->precision > NUMBER_MAX ? NUMBER_MAX : s->precision < 1 ? 1 : (int)s->precision;
    const char *prefix = !s->alternate ? "" : c == 'x' ? "0x" : c == 'X' ? "0X" : c == 'o' ? "0o" : "";
    if (c == 'x')
        snprintf(digits, sizeof digits, "%.*" PRIx64, precision, magnitude);
    else if (c == 'X')
        snprintf(digits, sizeof digits, "%.*" PRIX64, precision, magnitude);
    else if (c == 'o')
        snprintf(digits, sizeof digits, "%.*" PRIo64, precision, magnitude);
    else
        snprintf(digits, sizeof digits, "%.*" PRIu64, precision, magnitude);
    return put_number(f, s, digits, f->value.number < 0, prefix);
}

static int put_float(struct formatter *f, const struct spec *s)
{
    char digits[NUMBER_MAX + 64], format[] = "%#.*f";
    double v = (double)f->value.number;
    int precision = s->precision > NUMBER_MAX ? NUMBER_MAX : s->precision < 0 ? 6 : (int)s->precision;
    char *start = s->alternate ? format : format + 1;
    *start = '%';
    format[4] = (char)s->conversion;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(digits, sizeof digits, start, precision, v < 0 ? -v : v);
#pragma GCC diagnostic pop
    return put_number(f, s, digits, v < 0, "");
}

static int put_character(struct formatter *f, const struct spec *s)
{
    char bytes[4];
    const char *text = f->value.is_number ? bytes : f->value.text;
    size_t len;
    if (f->value.is_number) {
        if (f->value.number < 0 || f->value.number > 0x10FFFF)
            return bad(f, "%%c arg not in range(0x110000)");
        if (f->value.number == 0)
            return bad(f, "%%c would be a NUL");
        len = utf8_put((uint32_t)f->value.number, bytes);
    } else {
        len = strlen(text);
        if (utf8_count(text, len) != 1)
            return bad(f, "%%c requires int or char");
    }
    struct spec plain = *s;
    plain.precision = -1;
    return put_text(f, &plain, text, len);
}

static int put_string(struct formatter *f, const struct spec *s)
{
    char digits[32];
    const char *text = f->value.text;
    if (f->value.is_number) {
        snprintf(digits, sizeof digits, "%" PRId64, f->value.number);
        text = digits;
    }
    if (s->conversion == 's' || f->value.is_number)
        return put_text(f, s, text, strlen(text));
    _cleanup_buf_ struct buf quoted = BUF_INIT(f->out->max);
    int r = utf8_quote(&quoted, text, strlen(text), s->conversion == 'a');
    return r < 0 ? r : put_text(f, s, quoted.data, quoted.len);
}

static int convert(struct formatter *f, const struct spec *s)
{
    const char *type = f->argument == ARGUMENT_MAPPING ? "dict" : "str";
    bool number = f->argument == ARGUMENT_VALUE && f->value.is_number;
    uint32_t c = s->conversion;
    if (f->argument == ARGUMENT_USED)
        return bad(f, "not enough arguments for format string");
    switch (c) {
    case 's':
    case 'r':
    case 'a':
        return put_string(f, s);
    case 'd':
    case 'i':
    case 'u':
        return number ? put_integer(f, s) : bad(f, "%%%c format: a real number is required, not %s", (char)c, type);
    case 'x':
    case 'X':
    case 'o':
        return number ? put_integer(f, s) : bad(f, "%%%c format: an integer is required, not %s", (char)c, type);
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
        return number ? put_float(f, s) : bad(f, "must be real number, not %s", type);
    case 'c':
        return f->argument == ARGUMENT_MAPPING ? bad(f, "%%c requires int or char") : put_character(f, s);
    default:
        return bad(f, "unsupported format character '%c' (0x%x) at index %zu", c >= 31 && c < 127 ? (char)c : '?', c,
                   utf8_count(f->text, (size_t)(f->p - f->text)) - 1);
    }
}

/* One "%...", f->p just behind the mark. */
static int conversion(struct formatter *f)
{
    struct spec s;
    const char *start = f->p - 1;
    if (f->p < f->end && *f->p == '%') {
        f->p++;
        return buf_putc(f->out, '%');
    }
    int r = read_spec(f, &s);
    if (r != 0)
        return r;
    if (s.width > WIDTH_MAX || s.precision > WIDTH_MAX)
        return bad(f, "width too big");
    bool text = s.conversion == 's' || s.conversion == 'r' || s.conversion == 'a';
    if (f->argument == ARGUMENT_MAPPING && text) {
        f->result->bare = true;
        r = buf_add(f->out, start, (size_t)(f->p - start));
    } else {
        r = convert(f, &s);
    }
    f->argument = ARGUMENT_USED;
    return r;
}

int format_expand(struct buf *out, const char *text, format_lookup_fn lookup, void *ctx, struct format_result *result)
{
    size_t len = strlen(text);
    struct formatter f = {
        .out = out,
        .text = text,
        .p = text,
        .end = text + len,
        .lookup = lookup,
        .ctx = ctx,
        .result = result,
    };
    *result = (struct format_result){ 0 };
    while (f.p < f.end) {
        const char *mark = memchr(f.p, '%', (size_t)(f.end - f.p));
        size_t run = (size_t)((mark != NULL ? mark : f.end) - f.p);
        int r = buf_add(out, f.p, run);
        f.p += run;
        if (r == 0 && mark != NULL) {
            f.p++;
            r = conversion(&f);
        }
        if (r != 0)
            return r;
    }
    return 0;
}
