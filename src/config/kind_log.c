/* kind_log.c - values that say how output is kept: log_format, log_overflow.
 *
 * Each is one word of a short list.  The fields are enums, which all have the
 * size of an int here; the assertions below say so. */
#include <errno.h>

#include "base/cleanup.h"
#include "base/strtab.h"
#include "config/kind.h"
#include "config/setting.h"

_Static_assert(sizeof(enum log_format) == sizeof(int) && sizeof(enum log_overflow) == sizeof(int), "enums are ints");

static const struct strtab formats[] = {
    { "raw", LOG_FORMAT_RAW },
    { "timestamp", LOG_FORMAT_TIMESTAMP },
    { "json", LOG_FORMAT_JSON },
};

static const struct strtab overflows[] = {
    { "block", LOG_OVERFLOW_BLOCK },
    { "drop", LOG_OVERFLOW_DROP },
};

static int set_word(struct setting *s, const struct strtab *words, size_t n, const char *text)
{
    int value;
    if (strtab_value(words, n, lower(s->l, text), &value) < 0)
        return setting_refuse(s, "\"%s\" is not %s", text, s->option->kind->values);
    *(int *)option_field(s->option, s->base) = value;
    return 0;
}

static int word_of(const struct option *o, const void *base)
{
    return *(const int *)option_field(o, base);
}

static int set_format(struct setting *s, const char *text)
{
    return set_word(s, formats, ELEMENTS(formats), text);
}

static bool print_format(const struct option *o, const void *base, struct buf *out)
{
    buf_puts(out, strtab_name(formats, ELEMENTS(formats), word_of(o, base)));
    return true;
}

static int set_overflow(struct setting *s, const char *text)
{
    return set_word(s, overflows, ELEMENTS(overflows), text);
}

static bool print_overflow(const struct option *o, const void *base, struct buf *out)
{
    buf_puts(out, strtab_name(overflows, ELEMENTS(overflows), word_of(o, base)));
    return true;
}

const struct option_kind kind_log_format = { "raw, timestamp or json", SHAPE_STRING, set_format, print_format,
                                             equal_int };

const struct option_kind kind_log_overflow = { "block or drop", SHAPE_STRING, set_overflow, print_overflow, equal_int };
