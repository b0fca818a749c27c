/* setting.h - one value on its way from a file to its field.
 *
 * Private to config/: what the kinds of values (kind.h) are given, and what the
 * loader does with whole tables of options. */
#pragma once

#include "config/loader.h"

/* A program section on its way to its processes. */
struct draft {
    struct program p;             /* first: the option table's offsets are into it */
    struct program_common common; /* p.common while it is a draft */
    int64_t numprocs, numprocs_start;
    const char *process_name;
    struct pair *pairs; /* `environment` of this process */
    struct scope scope;
    bool killasgroup_set, restart_reset_set;
    bool gid_missing; /* the uid is a number that no database knows */
    struct confinement *confinement;
    struct ipc_settings *ipc;
    const char *file_text; /* the value of environment_file that file_pairs were read for */
    struct pair *file_pairs;
};

struct daemon_draft {
    struct config_daemon d; /* first */
    struct pair *pairs;
};

struct group_draft {
    struct program_group g; /* first */
    const char *programs;
};

struct special_draft {
    struct program_group_special s; /* first */
    uid_t proc_uid;                 /* of an fcgi program; (uid_t)-1 */
    gid_t proc_gid;
};

struct setting {
    struct loader *l;
    const struct option_table *table;
    const struct option *option;
    void *base;
    struct where where;
    const struct scope *scope;
    const char *compat; /* supervisord's words for what setting_refuse() says */
};

int setting_refuse(struct setting *s, const char *format, ...) __attribute__((format(printf, 2, 3))); /* -EINVAL */
void setting_warn(struct setting *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The value of one option from its section or its default, expanded and set.
 * False: an error was reported. */
bool set_option(struct loader *l, const struct ini_section *section, const struct option_table *t, const char *name,
                void *base, const struct scope *scope);
/* All options of a table whose flags have `with` and none of `without`; tables
 * are in supervisord's order. */
bool set_options(struct loader *l, const struct ini_section *section, const struct option_table *t, void *base,
                 const struct scope *scope, unsigned with, unsigned without);
const char *option_default(const struct loader *l, const struct option *o);
bool set_override(struct loader *l, const struct option_table *t, const struct config_override *o, void *base);
const struct program_given *keep_given(struct loader *l, uint16_t *n);
/* [NAME=VALUE], sorted; `base` is such a list, what `pairs` has wins over it. */
const char *const *keep_environment(struct loader *l, const char *const *base, const struct pair *pairs);
const char *lower(struct loader *l, const char *s);
size_t split_list(struct loader *l, const char *text, const char ***ret); /* by commas, stripped, in scratch space */
