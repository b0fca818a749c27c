/* option.h - one row for each key: what it is, where it goes, what it defaults to.
 *
 * The tables drive parsing, defaults, comparison, `droverd -t`, JSON,
 * --help-config, and the tests that hold the sample file and the manual page
 * against them.  A new key is a new row; a new sort of value is a new kind. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "core/program.h"

struct setting; /* a value on its way in: config/setting.h */
struct option;

/* How a printed value stands in JSON. */
enum option_shape {
    SHAPE_STRING,
    SHAPE_LITERAL,
    SHAPE_EXITCODES,
    SHAPE_ENVIRONMENT,
    SHAPE_RETRIES,
    SHAPE_LOGLEVEL,
    SHAPE_LIST
};

struct option_kind {
    const char *values; /* for people: "a number", "true or false" */
    enum option_shape shape;
    /* 0, or -EINVAL after setting_refuse() */
    int (*set)(struct setting *s, const char *text);
    /* false: nothing is set */
    bool (*print)(const struct option *o, const void *base, struct buf *out);
    bool (*equal)(const struct option *o, const void *a, const void *b);
};

enum {
    OPTION_HERE = 1,     /* %(here)s is known (everywhere in programs and in the daemon's section) */
    OPTION_PROCESS = 2,  /* evaluated anew for each process: %(process_num)s, its own environment */
    OPTION_TWICE = 4,    /* supervisord expands it two times over, so "%%%%" is one "%" */
    OPTION_RAW = 8,      /* expanded by the setter's own rules */
    OPTION_LOADING = 16, /* only needed while loading; no field of the result */
    OPTION_SECRET = 32,
    OPTION_DROVER = 64,  /* supervisord does not have it */
    OPTION_COMMON = 128, /* of programs: its field is in struct program_common */
};

struct option {
    const char *name;
    const struct option_kind *kind;
    uint16_t offset;
    uint16_t flags;
    const char *fallback;        /* as one would write it; NULL: nothing */
    const char *fallback_compat; /* the same in supervisord's files, where it differs */
    int64_t min, max;            /* of numbers; both 0: as wide as the field */
    const char *help;
};

struct option_table {
    const char *section; /* "supervisord"; "program:" for any name */
    const struct option *options;
    size_t n;
    const char *help;
};

extern const struct option_table options_daemon, options_program, options_group, options_eventlistener, options_fcgi;
extern const struct option_table options_unix_server, options_inet_server, options_client, options_include;
extern const struct option_table options_rpcinterface, options_ctlplugin;

/* All tables, NULL-terminated, in the order of the manual. */
extern const struct option_table *const option_tables[];

const struct option *option_find(const struct option_table *t, const char *name);

/* The tables that a section of this name takes its keys from (at most two);
 * 0: no such section. */
size_t option_tables_of(const char *section, const struct option_table *ret[2]);
/* The known section name that was probably meant, or NULL. */
const char *option_nearest_section(const char *section);
const char *option_nearest_key(const char *section, const char *key);

static inline void *option_field(const struct option *o, const void *base)
{
    if (o->flags & OPTION_COMMON)
        base = ((const struct program *)base)->common;
    return (char *)base + o->offset;
}

/* One option of a row's base as text; numbers out of range as their file has
 * them.  False: nothing is set. */
bool option_print(const struct option_table *t, const struct option *o, const void *base, struct buf *out);

/* For `show`: the i-th setting of a program; false past the last.  `value` is
 * reset first. */
struct option_value {
    const char *name;
    uint16_t file; /* index into struct config .files */
    uint32_t line; /* 0: in no file, the default holds */
    bool is_set;   /* false: `value` is empty; nothing, or as the daemon */
};

bool config_option_value(const struct program *p, size_t i, struct option_value *ret, struct buf *value);
