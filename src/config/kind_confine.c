/* kind_confine.c - limits, priorities, processors and capabilities of programs.
 *
 * All of them live in one struct confinement that is made for the first key of a
 * section that asks for something: most programs ask for nothing.  The words are
 * systemd's where it has some. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/strtab.h"
#include "config/kind.h"
#include "config/setting.h"

/* The one of this section, to be written to; NULL without memory. */
static struct confinement *edit(struct setting *s)
{
    struct draft *d = s->base;
    if (d->confinement == NULL) {
        d->confinement = arena_new(s->l->keep, struct confinement);
        if (d->confinement == NULL)
            return NULL;
        d->confinement->nice = d->confinement->ionice = d->confinement->oom_score_adj = CONFINEMENT_UNSET;
        d->p.confinement = d->confinement;
    }
    return d->confinement;
}

static const struct confinement *of(const void *base)
{
    static const struct confinement none = { .nice = CONFINEMENT_UNSET,
                                             .ionice = CONFINEMENT_UNSET,
                                             .oom_score_adj = CONFINEMENT_UNSET };
    const struct confinement *c = ((const struct program *)base)->confinement;
    return c != NULL ? c : &none;
}

static bool equal_confined(const struct option *o, const void *a, const void *b)
{
    return of(a) == of(b) || equal_printed(o, a, b);
}

/* --- limit_* ----------------------------------------------------------------- */

enum unit { UNIT_COUNT, UNIT_BYTES, UNIT_SECONDS, UNIT_MICROSECONDS, UNIT_NICE };

static const struct limit_row {
    const char *key;
    uint8_t resource;
    uint8_t unit;
} limit_rows[] = {
    { "limit_as", RLIMIT_AS, UNIT_BYTES },
    { "limit_core", RLIMIT_CORE, UNIT_BYTES },
    { "limit_cpu", RLIMIT_CPU, UNIT_SECONDS },
    { "limit_data", RLIMIT_DATA, UNIT_BYTES },
    { "limit_fsize", RLIMIT_FSIZE, UNIT_BYTES },
    { "limit_locks", RLIMIT_LOCKS, UNIT_COUNT },
    { "limit_memlock", RLIMIT_MEMLOCK, UNIT_BYTES },
    { "limit_msgqueue", RLIMIT_MSGQUEUE, UNIT_BYTES },
    { "limit_nice", RLIMIT_NICE, UNIT_NICE },
    { "limit_nofile", RLIMIT_NOFILE, UNIT_COUNT },
    { "limit_nproc", RLIMIT_NPROC, UNIT_COUNT },
    { "limit_rss", RLIMIT_RSS, UNIT_BYTES },
    { "limit_rtprio", RLIMIT_RTPRIO, UNIT_COUNT },
    { "limit_rttime", RLIMIT_RTTIME, UNIT_MICROSECONDS },
    { "limit_sigpending", RLIMIT_SIGPENDING, UNIT_COUNT },
    { "limit_stack", RLIMIT_STACK, UNIT_BYTES },
};

static const struct limit_row *limit_row(const struct option *o)
{
    for (size_t i = 0; i < ELEMENTS(limit_rows); i++)
        if (strcmp(limit_rows[i].key, o->name) == 0)
            return &limit_rows[i];
    return &limit_rows[0]; /* not reached: every limit_* of the option table has its row here */
}

/* Time in the kernel's unit.  A plain number is in that unit, as in systemd. */
static int read_time(const char *word, usec_t unit, uint64_t *ret)
{
    int64_t plain;
    usec_t t;
    int r = parse_int(word, &plain);
    if (r == 0 && plain >= 0)
        *ret = (uint64_t)plain;
    else if (r == 0 || r == -ERANGE || (r = parse_duration(word, &t)) < 0 || t == USEC_INFINITY)
        return -EINVAL;
    else
        *ret = t / unit + (t % unit != 0);
    return 0;
}

/* A raw limit from 0 to 40, or +N, -N: the nice level that may be reached. */
static int read_nice(const char *word, uint64_t *ret)
{
    int64_t value;
    int r = parse_int(word, &value);
    if (r < 0)
        return r;
    if (word[0] == '+' || word[0] == '-')
        value = value < -20 || value > 19 ? -1 : 20 - value;
    if (value < 0 || value > 40)
        return -ERANGE;
    *ret = (uint64_t)value;
    return 0;
}

static int read_limit(const char *word, enum unit unit, uint64_t *ret)
{
    int64_t value = -1;
    if (strcasecmp(word, "infinity") == 0) {
        *ret = CONFINEMENT_UNLIMITED;
        return 0;
    }
    if (unit == UNIT_SECONDS || unit == UNIT_MICROSECONDS)
        return read_time(word, unit == UNIT_SECONDS ? USEC_PER_SEC : 1, ret);
    if (unit == UNIT_NICE)
        return read_nice(word, ret);
    int r = unit == UNIT_BYTES ? parse_size(word, &value) : parse_int(word, &value);
    if (r < 0 || value < 0)
        return r < 0 ? r : -ERANGE;
    *ret = (uint64_t)value;
    return 0;
}

static int set_limit(struct setting *s, const char *text)
{
    static const char *const examples[] = { "4096", "512MB", "30", "200ms", "+5" };
    const struct limit_row *row = limit_row(s->option);
    const char *colon = strchr(text, ':');
    struct confinement_limit limit;
    const char *soft = colon != NULL ? arena_copy(&s->l->scratch, text, (size_t)(colon - text)) : text;
    if (read_limit(soft, row->unit, &limit.soft) < 0 ||
        read_limit(colon != NULL ? colon + 1 : text, row->unit, &limit.hard) < 0)
        return setting_refuse(s, "\"%s\" is no limit; write %s, infinity, or SOFT:HARD", text, examples[row->unit]);
    if (limit.soft > limit.hard)
        return setting_refuse(s, "the soft limit %s is above the hard one", soft);
    struct confinement *c = edit(s);
    if (c == NULL)
        return -ENOMEM;
    c->limits[row->resource] = limit;
    c->limits_set |= (uint16_t)(1U << row->resource);
    return 0;
}

static void put_limit(struct buf *out, uint64_t value)
{
    if (value == CONFINEMENT_UNLIMITED)
        buf_puts(out, "infinity");
    else
        buf_printf(out, "%" PRIu64, value);
}

static bool print_limit(const struct option *o, const void *base, struct buf *out)
{
    const struct limit_row *row = limit_row(o);
    const struct confinement *c = of(base);
    if ((c->limits_set & 1U << row->resource) == 0)
        return false;
    put_limit(out, c->limits[row->resource].soft);
    if (c->limits[row->resource].soft != c->limits[row->resource].hard) {
        buf_putc(out, ':');
        put_limit(out, c->limits[row->resource].hard);
    }
    return true;
}

const struct option_kind kind_limit = { "a limit, infinity, or SOFT:HARD", SHAPE_STRING, set_limit, print_limit,
                                        equal_confined };

/* --- nice, oom_score_adj ------------------------------------------------------ */

static int32_t *number_field(const struct option *o, const struct confinement *c)
{
    return (int32_t *)(strcmp(o->name, "nice") == 0 ? &c->nice : &c->oom_score_adj);
}

static int set_level(struct setting *s, const char *text)
{
    int64_t value;
    int r = parse_int(text, &value);
    if (r < 0 || value < s->option->min || value > s->option->max)
        return setting_refuse(s, "\"%s\" is not a number from %" PRId64 " to %" PRId64, text, s->option->min,
                              s->option->max);
    struct confinement *c = edit(s);
    if (c == NULL)
        return -ENOMEM;
    *number_field(s->option, c) = (int32_t)value;
    return 0;
}

static bool print_level(const struct option *o, const void *base, struct buf *out)
{
    int32_t value = *number_field(o, of(base));
    if (value != CONFINEMENT_UNSET)
        buf_printf(out, "%" PRId32, value);
    return value != CONFINEMENT_UNSET;
}

const struct option_kind kind_level = { "a number", SHAPE_LITERAL, set_level, print_level, equal_confined };

/* --- ionice ------------------------------------------------------------------- */

#define IONICE_SHIFT 13
#define IONICE_LEVELS 8

static const struct strtab io_classes[] = { { "none", 0 }, { "realtime", 1 }, { "best-effort", 2 }, { "idle", 3 } };

static int set_ionice(struct setting *s, const char *text)
{
    const char *colon = strchr(text, ':');
    const char *word = colon != NULL ? arena_copy(&s->l->scratch, text, (size_t)(colon - text)) : text;
    int class;
    int64_t level = 0;
    bool known = strtab_value(io_classes, ELEMENTS(io_classes), word, &class) == 0;
    if (known && (class == 1 || class == 2))
        level = 4;
    if (!known || (colon != NULL && (level != 4 || parse_int(colon + 1, &level) < 0)) || level < 0 ||
        level >= IONICE_LEVELS)
        return setting_refuse(s, "\"%s\" is none of idle, none, best-effort:LEVEL, realtime:LEVEL, with levels 0 to 7",
                              text);
    struct confinement *c = edit(s);
    if (c == NULL)
        return -ENOMEM;
    c->ionice = class << IONICE_SHIFT | (int32_t)level;
    return 0;
}

static bool print_ionice(const struct option *o, const void *base, struct buf *out)
{
    int32_t value = of(base)->ionice;
    (void)o;
    if (value == CONFINEMENT_UNSET)
        return false;
    int class = value >> IONICE_SHIFT;
    buf_puts(out, strtab_name(io_classes, ELEMENTS(io_classes), class));
    if (class == 1 || class == 2)
        buf_printf(out, ":%d", value & (IONICE_LEVELS - 1));
    return true;
}

const struct option_kind kind_ionice = { "idle, none, best-effort:LEVEL or realtime:LEVEL", SHAPE_STRING, set_ionice,
                                         print_ionice, equal_confined };

/* --- cpu_affinity ------------------------------------------------------------- */

/* "3" or "0-3". */
static int read_range(const char *word, int64_t *from, int64_t *to)
{
    char *end;
    errno = 0;
    *from = *to = strtoll(word, &end, 10);
    if (end == word || *word == '-' || *word == '+')
        return -EINVAL;
    if (*end == '-' && end[1] >= '0' && end[1] <= '9')
        *to = strtoll(end + 1, &end, 10);
    if (*end != '\0' || errno != 0)
        return -EINVAL;
    return *from <= *to && *to < CONFINEMENT_CPUS ? 0 : -ERANGE;
}

static int set_cpus(struct setting *s, const char *text)
{
    const char **words = NULL;
    char *list = arena_string(&s->l->scratch, text);
    for (char *p = list; *p != '\0'; p++)
        if (strchr(" \t\n", *p) != NULL)
            *p = ',';
    uint64_t cpus[CONFINEMENT_CPUS / 64] = { 0 };
    size_t n = split_list(s->l, list, &words), found = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t from, to;
        if (words[i][0] == '\0')
            continue;
        if (read_range(words[i], &from, &to) < 0)
            return setting_refuse(s, "\"%s\" is no processor from 0 to %d; write a list such as 0-3,6", words[i],
                                  CONFINEMENT_CPUS - 1);
        for (; from <= to; from++, found++)
            cpus[from / 64] |= UINT64_C(1) << (from % 64);
    }
    if (found == 0)
        return setting_refuse(s, "no processor is named; write a list such as 0-3,6, or leave the key out");
    struct confinement *c = edit(s);
    if (c == NULL)
        return -ENOMEM;
    memcpy(c->cpus, cpus, sizeof(cpus));
    c->cpus_set = true;
    return 0;
}

static bool has_cpu(const struct confinement *c, int n)
{
    return n < CONFINEMENT_CPUS && (c->cpus[n / 64] >> (n % 64) & 1) != 0;
}

static bool print_cpus(const struct option *o, const void *base, struct buf *out)
{
    const struct confinement *c = of(base);
    (void)o;
    for (int i = 0; i < CONFINEMENT_CPUS; i++) {
        if (!has_cpu(c, i))
            continue;
        int last = i;
        while (has_cpu(c, last + 1))
            last++;
        buf_printf(out, out->len > 0 ? ",%d" : "%d", i);
        if (last > i)
            buf_printf(out, "-%d", last);
        i = last;
    }
    return c->cpus_set;
}

const struct option_kind kind_cpus = { "numbers and ranges such as 0-3,6", SHAPE_STRING, set_cpus, print_cpus,
                                       equal_confined };

/* --- no_new_privileges, capabilities ------------------------------------------ */

static int set_privileges(struct setting *s, const char *text)
{
    bool value;
    if (parse_bool(text, &value) < 0)
        return setting_refuse(s, "\"%s\" is neither true nor false", text);
    if (!value && ((struct draft *)s->base)->confinement == NULL)
        return 0;
    struct confinement *c = edit(s);
    if (c == NULL)
        return -ENOMEM;
    c->no_new_privileges = value;
    return 0;
}

static bool print_privileges(const struct option *o, const void *base, struct buf *out)
{
    (void)o;
    buf_puts(out, of(base)->no_new_privileges ? "true" : "false");
    return true;
}

const struct option_kind kind_no_new_privileges = { "true or false", SHAPE_LITERAL, set_privileges, print_privileges,
                                                    equal_confined };

static int set_capabilities(struct setting *s, const char *text)
{
    const char **words = NULL;
    uint64_t set = 0;
    size_t n = strcasecmp(text, "none") == 0 ? 0 : split_list(s->l, text, &words);
    for (size_t i = 0; i < n; i++) {
        int number = capability_number(words[i]);
        if (number < 0)
            return setting_refuse(s,
                                  "there is no capability \"%s\"; write names such as net_bind_service, with "
                                  "commas, or none",
                                  words[i]);
        set |= UINT64_C(1) << number;
    }
    struct confinement *c = edit(s);
    if (c == NULL)
        return -ENOMEM;
    c->capabilities_set = true;
    c->capabilities = set;
    return 0;
}

static bool print_capabilities(const struct option *o, const void *base, struct buf *out)
{
    const struct confinement *c = of(base);
    (void)o;
    if (c->capabilities_set && c->capabilities == 0)
        buf_puts(out, "none");
    for (int i = 0; capability_name(i) != NULL; i++)
        if ((c->capabilities >> i & 1) != 0)
            buf_printf(out, out->len > 0 ? ",%s" : "%s", capability_name(i));
    return c->capabilities_set;
}

const struct option_kind kind_capabilities = { "names of capabilities with commas, or none", SHAPE_STRING,
                                               set_capabilities, print_capabilities, equal_confined };
