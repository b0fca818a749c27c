/* kind_basic.c - values that are one number, one word or one text.
 *
 * A number that is one, but that its field cannot hold, is taken as the nearest
 * that it can, with a warning, in supervisord's files: supervisord itself takes
 * any (stdout_logfile_backups=-1).  The number as written stays with the program
 * (struct program_given).  In native files it is an error. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/parse.h"
#include "config/kind.h"
#include "config/setting.h"

bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

bool same_list(const char *const *a, const char *const *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0) {
        a++;
        b++;
    }
    return *a == NULL && *b == NULL;
}

bool equal_list(const struct option *o, const void *a, const void *b)
{
    return same_list(*(const char *const *const *)option_field(o, a), *(const char *const *const *)option_field(o, b));
}

/* Without memory to print them they are taken to differ. */
bool equal_printed(const struct option *o, const void *a, const void *b)
{
    _cleanup_buf_ struct buf x = BUF_INIT(CONFIG_VALUE_MAX), y = BUF_INIT(CONFIG_VALUE_MAX);
    bool set_x = o->kind->print(o, a, &x), set_y = o->kind->print(o, b, &y);
    return x.error == 0 && y.error == 0 && set_x == set_y && x.len == y.len &&
           (x.len == 0 || memcmp(x.data, y.data, x.len) == 0);
}

/* --- text ------------------------------------------------------------------ */

static int set_text(struct setting *s, const char *text)
{
    *(const char **)option_field(s->option, s->base) = keep_string(s->l, text);
    return 0;
}

bool print_text(const struct option *o, const void *base, struct buf *out)
{
    const char *text = *(const char *const *)option_field(o, base);
    if (text != NULL)
        buf_puts(out, text);
    return text != NULL;
}

bool equal_text(const struct option *o, const void *a, const void *b)
{
    return same_text(*(const char *const *)option_field(o, a), *(const char *const *)option_field(o, b));
}

const struct option_kind kind_text = { "text", SHAPE_STRING, set_text, print_text, equal_text };

/* --- numbers ----------------------------------------------------------------- */

int refuse_int(struct setting *s, int error, const char *text)
{
    s->compat = int_error(s->l, text);
    if (error == -ERANGE)
        return setting_refuse(s, "\"%s\" is too large a number", text);
    return setting_refuse(s, "\"%s\" is not a number; write digits only, such as %s", text,
                          s->option->fallback != NULL ? s->option->fallback : "1");
}

static int clamp(struct setting *s, int64_t value, int64_t min, int64_t max, int64_t *ret)
{
    struct loader *l = s->l;
    *ret = value < min ? min : value > max ? max : value;
    if (*ret == value)
        return 0;
    if (l->c->kind == CONFIG_NATIVE)
        return setting_refuse(s, "%" PRId64 " is out of range; from %" PRId64 " to %" PRId64, value, min, max);
    setting_warn(s, "%" PRId64 " is out of range and taken as %" PRId64, value, *ret);
    if (l->n_given < sizeof l->given / sizeof *l->given)
        l->given[l->n_given++] = (struct program_given){ (uint16_t)(s->option - s->table->options), value };
    return 0;
}

static int set_number(struct setting *s, const char *text, int64_t min, int64_t max, int64_t *ret)
{
    int64_t value;
    int r = parse_int(text, &value);
    if (r < 0)
        return refuse_int(s, r, text);
    bool own = s->option->min != s->option->max;
    return clamp(s, value, own ? s->option->min : min, own ? s->option->max : max, ret);
}

static int set_int(struct setting *s, const char *text)
{
    int64_t value;
    int r = set_number(s, text, INT_MIN, INT_MAX, &value);
    if (r == 0)
        *(int *)option_field(s->option, s->base) = (int)value;
    return r;
}

bool print_int(const struct option *o, const void *base, struct buf *out)
{
    buf_printf(out, "%d", *(const int *)option_field(o, base));
    return true;
}

bool equal_int(const struct option *o, const void *a, const void *b)
{
    return *(const int *)option_field(o, a) == *(const int *)option_field(o, b);
}

const struct option_kind kind_int = { "a number", SHAPE_LITERAL, set_int, print_int, equal_int };

static int set_count(struct setting *s, const char *text)
{
    int64_t value;
    int r = set_number(s, text, 0, INT_MAX, &value);
    if (r == 0)
        *(unsigned *)option_field(s->option, s->base) = (unsigned)value;
    return r;
}

bool print_count(const struct option *o, const void *base, struct buf *out)
{
    buf_printf(out, "%u", *(const unsigned *)option_field(o, base));
    return true;
}

const struct option_kind kind_count = { "a number", SHAPE_LITERAL, set_count, print_count, equal_int };

static int set_big(struct setting *s, const char *text)
{
    return set_number(s, text, INT32_MIN, INT32_MAX, option_field(s->option, s->base));
}

/* Only needed while loading: never printed or compared. */
const struct option_kind kind_big = { "a number", SHAPE_LITERAL, set_big, NULL, NULL };

static int set_retries(struct setting *s, const char *text)
{
    int64_t value = STARTRETRIES_INFINITY;
    int r = strcmp(text, "infinity") == 0 ? 0 : set_number(s, text, 0, STARTRETRIES_INFINITY - 1, &value);
    if (r == 0)
        *(uint32_t *)option_field(s->option, s->base) = (uint32_t)value;
    return r;
}

static bool print_retries(const struct option *o, const void *base, struct buf *out)
{
    uint32_t value = *(const uint32_t *)option_field(o, base);
    if (value == STARTRETRIES_INFINITY)
        buf_puts(out, "infinity");
    else
        buf_printf(out, "%" PRIu32, value);
    return true;
}

const struct option_kind kind_retries = { "a number or infinity", SHAPE_RETRIES, set_retries, print_retries,
                                          equal_int };

/* --- bytes, octal, true and false ---------------------------------------------- */

static int refuse_size(struct setting *s, int r, const char *text)
{
    char *number = arena_string(&s->l->scratch, lower(s->l, text));
    size_t len = strlen(number);
    int64_t ignored;
    if (len >= 2 && parse_size(scratchf(s->l, "1%s", number + len - 2), &ignored) == 0 && number[len - 1] == 'b')
        number[len - 2] = '\0';
    s->compat = int_error(s->l, number);
    if (r == -ERANGE)
        return setting_refuse(s, "\"%s\" is too large a size", text);
    return setting_refuse(s, "\"%s\" is not a size; write bytes, or a whole number with KB, MB or GB", text);
}

static int set_size(struct setting *s, const char *text)
{
    int64_t value;
    int r = parse_size(text, &value);
    if (r < 0)
        return refuse_size(s, r, text);
    r = clamp(s, value, 0, INT64_MAX, &value);
    if (r == 0)
        *(uint64_t *)option_field(s->option, s->base) = (uint64_t)value;
    return r;
}

static bool print_size(const struct option *o, const void *base, struct buf *out)
{
    buf_printf(out, "%" PRIu64, *(const uint64_t *)option_field(o, base));
    return true;
}

static bool equal_size(const struct option *o, const void *a, const void *b)
{
    return *(const uint64_t *)option_field(o, a) == *(const uint64_t *)option_field(o, b);
}

const struct option_kind kind_size = { "bytes, or a number with KB, MB or GB", SHAPE_LITERAL, set_size, print_size,
                                       equal_size };

static int set_octal(struct setting *s, const char *text)
{
    int64_t value;
    int r = parse_octal(text, &value);
    if (r < 0 || value < 0 || value > 07777) {
        s->compat = scratchf(s->l, "%s can not be converted to an octal type", text);
        return setting_refuse(s, "\"%s\" is not an octal number up to 7777, such as %s", text,
                              s->option->fallback != NULL ? s->option->fallback : "022");
    }
    *(int *)option_field(s->option, s->base) = (int)value;
    return 0;
}

bool print_octal(const struct option *o, const void *base, struct buf *out)
{
    int value = *(const int *)option_field(o, base);
    if (value >= 0)
        buf_printf(out, "%03o", (unsigned)value);
    return value >= 0;
}

const struct option_kind kind_octal = { "an octal number", SHAPE_STRING, set_octal, print_octal, equal_int };

static int set_bool(struct setting *s, const char *text)
{
    bool value;
    if (parse_bool(text, &value) < 0) {
        s->compat = scratchf(s->l, "not a valid boolean value: %s", python_repr(s->l, text));
        return setting_refuse(s, "\"%s\" is neither true nor false", text);
    }
    *(bool *)option_field(s->option, s->base) = value;
    return 0;
}

static bool print_bool(const struct option *o, const void *base, struct buf *out)
{
    buf_puts(out, *(const bool *)option_field(o, base) ? "true" : "false");
    return true;
}

static bool equal_bool(const struct option *o, const void *a, const void *b)
{
    return *(const bool *)option_field(o, a) == *(const bool *)option_field(o, b);
}

const struct option_kind kind_bool = { "true or false", SHAPE_LITERAL, set_bool, print_bool, equal_bool };

static int set_killasgroup(struct setting *s, const char *text)
{
    ((struct draft *)s->base)->killasgroup_set = true;
    return set_bool(s, text);
}

const struct option_kind kind_killasgroup = { "true or false", SHAPE_LITERAL, set_killasgroup, print_bool, equal_bool };

/* --- durations and factors ----------------------------------------------------- */

static int set_duration(struct setting *s, const char *text)
{
    usec_t value;
    int64_t seconds;
    int r = parse_duration(text, &value);
    if (r == -ERANGE && parse_int(text, &seconds) == 0) {
        r = clamp(s, seconds, 0, (int64_t)(USEC_INFINITY / USEC_PER_SEC / 2), &seconds);
        if (r < 0)
            return r;
        value = (usec_t)seconds * USEC_PER_SEC;
    }
    if (r < 0) {
        s->compat = int_error(s->l, text);
        return setting_refuse(s, "\"%s\" is not a time; write seconds, or a number with ms, s, m, h or d", text);
    }
    *(usec_t *)option_field(s->option, s->base) = value;
    return 0;
}

void print_duration(struct buf *out, usec_t t)
{
    if (t == USEC_INFINITY) {
        buf_puts(out, "infinity");
        return;
    }
    buf_printf(out, "%" PRIu64, (uint64_t)(t / USEC_PER_SEC));
    if (t % USEC_PER_SEC != 0) {
        buf_printf(out, ".%06" PRIu64, (uint64_t)(t % USEC_PER_SEC));
        while (out->len > 0 && out->data[out->len - 1] == '0')
            out->data[--out->len] = '\0';
    }
}

static bool print_duration_field(const struct option *o, const void *base, struct buf *out)
{
    print_duration(out, *(const usec_t *)option_field(o, base));
    return true;
}

const struct option_kind kind_duration = { "seconds, or a number with ms, s, m, h or d", SHAPE_LITERAL, set_duration,
                                           print_duration_field, equal_size };

static int set_restart_reset(struct setting *s, const char *text)
{
    ((struct draft *)s->base)->restart_reset_set = true;
    return set_duration(s, text);
}

const struct option_kind kind_restart_reset = { "seconds, or a number with ms, s, m, h or d", SHAPE_LITERAL,
                                                set_restart_reset, print_duration_field, equal_size };

static int set_factor(struct setting *s, const char *text)
{
    double value;
    if (parse_decimal(text, &value) < 0 || value < (double)s->option->min || value > (double)s->option->max)
        return setting_refuse(s, "\"%s\" is not a number from %" PRId64 " to %" PRId64 ", such as %s", text,
                              s->option->min, s->option->max, s->option->fallback);
    *(double *)option_field(s->option, s->base) = value;
    return 0;
}

static bool print_factor(const struct option *o, const void *base, struct buf *out)
{
    double value = *(const double *)option_field(o, base);
    uint64_t millionths = (uint64_t)(value * 1e6 + 0.5); /* printf's point would be the locale's */
    print_duration(out, millionths);
    return true;
}

static bool equal_factor(const struct option *o, const void *a, const void *b)
{
    return memcmp(option_field(o, a), option_field(o, b), sizeof(double)) == 0;
}

const struct option_kind kind_factor = { "a number such as 1.5", SHAPE_LITERAL, set_factor, print_factor,
                                         equal_factor };
