/* render.c - see render.h.  Owns nothing; the streams are the caller's. */
#include "ctl/render.h"

#include <string.h>

void render_init(struct render *r, FILE *out, bool terminal)
{
    *r = (struct render){ .out = out, .terminal = terminal };
}

/* Length of the UTF-8 sequence at `s`: 0 when it is cut off by the end, -1 when
 * there is none.  Overlong forms, surrogates and what is past U+10FFFF are none. */
static int render_sequence(const unsigned char *s, size_t len)
{
    static const struct {
        unsigned char first, last, second_min, second_max;
        int length;
    } forms[] = {
        { 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
        { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
        { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
    };
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        if (s[0] < forms[i].first || s[0] > forms[i].last)
            continue;
        for (int k = 1; k < forms[i].length; k++) {
            if ((size_t)k >= len)
                return 0;
            unsigned char min = k == 1 ? forms[i].second_min : 0x80, max = k == 1 ? forms[i].second_max : 0xbf;
            if (s[k] < min || s[k] > max)
                return -1;
        }
        return forms[i].length;
    }
    return -1;
}

static bool render_is_plain(unsigned char c)
{
    return (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\t';
}

/* One sequence of `n` bytes, or one byte that is none (n < 0); the result is how many were used. */
static size_t render_one(FILE *out, const unsigned char *s, int n)
{
    if (n < 0)
        fprintf(out, "\\x%02x", s[0]);
    else if (n == 1)
        fprintf(out, s[0] < 0x80 ? "\\u%04x" : "\\x%02x", s[0]);
    else if (n == 2 && s[0] == 0xc2 && s[1] < 0xa0)
        fprintf(out, "\\u%04x", s[1]);
    else
        fwrite(s, 1, (size_t)n, out);
    return n < 0 ? 1 : (size_t)n;
}

static size_t render_escaped(FILE *out, const unsigned char *s, size_t len)
{
    size_t i = 0;
    while (i < len) {
        size_t run = i;
        while (run < len && render_is_plain(s[run]))
            run++;
        fwrite(s + i, 1, run - i, out);
        i = run;
        if (i == len)
            break;
        int n = render_sequence(s + i, len - i);
        if (n == 0)
            break;
        i += render_one(out, s + i, n);
    }
    return i;
}

void render_bytes(struct render *r, const char *data, size_t len)
{
    if (!r->terminal) {
        fwrite(data, 1, len, r->out);
        return;
    }
    while (r->n_kept > 0 && len > 0) {
        r->kept[r->n_kept++] = (unsigned char)*data++;
        len--;
        size_t used = render_escaped(r->out, r->kept, r->n_kept);
        memmove(r->kept, r->kept + used, r->n_kept - used);
        r->n_kept -= used;
    }
    size_t used = render_escaped(r->out, (const unsigned char *)data, len);
    if (used < len) {
        memcpy(r->kept, data + used, len - used); /* at most 3: the start of one sequence */
        r->n_kept = len - used;
    }
}

void render_end(struct render *r)
{
    for (size_t i = 0; i < r->n_kept; i++)
        render_one(r->out, r->kept + i, -1);
    r->n_kept = 0;
}

void render_text(FILE *out, bool terminal, const char *data, size_t len)
{
    struct render r;
    render_init(&r, out, terminal);
    render_bytes(&r, data, len);
    render_end(&r);
}

size_t render_width(const char *s)
{
    size_t n = 0;
    for (; *s != '\0'; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

/* Width of all columns with `rows` rows; widths[] has room for one a name. */
static size_t render_layout(const char *const *names, size_t n, size_t rows, size_t *widths)
{
    size_t total = 0, columns = (n + rows - 1) / rows;
    for (size_t c = 0; c < columns; c++) {
        widths[c] = 0;
        for (size_t i = c * rows; i < n && i < (c + 1) * rows; i++)
            if (render_width(names[i]) > widths[c])
                widths[c] = render_width(names[i]);
        total += widths[c] + (c > 0 ? 2 : 0);
    }
    return total;
}

void render_columns(FILE *out, const char *const *names, size_t n, size_t width)
{
    size_t widths[128], rows = 1;
    if (n == 0 || n > sizeof(widths) / sizeof(widths[0]))
        return;
    while (rows < n && render_layout(names, n, rows, widths) > width)
        rows++;
    render_layout(names, n, rows, widths);
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = row, c = 0; i < n; i += rows, c++)
            fprintf(out, "%s%-*s", c > 0 ? "  " : "", (int)widths[c], names[i]);
        fputc('\n', out);
    }
}
