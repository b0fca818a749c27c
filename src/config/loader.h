/* loader.h - what the parts of the loader share while one configuration is read.
 *
 * Private to config/.  Everything is evaluated in supervisord's order, and an
 * error never ends the reading: the first error is what supervisord says, the
 * rest is what a person wants to know too. */
#pragma once

#include "base/arena.h"
#include "base/map.h"
#include "config/config_load.h"
#include "config/ini.h"
#include "config/option.h"

#define CONFIG_FILE_MAX (64UL << 20)    /* bytes of one file */
#define CONFIG_MEMORY_MAX (256UL << 20) /* of the result, and of the scratch space */
#define CONFIG_VALUE_MAX (4UL << 20)    /* bytes of one value after expansion */
#define CONFIG_FILES_MAX 60000
#define CONFIG_NUMPROCS_MAX 10000
#define CONFIG_PROCESSES_MAX 100000

struct pair {
    struct pair *next;
    const char *name, *value;
};

struct loader {
    const struct config_world *world;
    struct diagnostics *d;
    struct config *c;
    struct arena *keep; /* of the result */
    struct arena scratch;
    struct map strings; /* what `keep` has already */
    struct ini ini;
    struct map environ; /* name -> struct pair: scope 0 the world's, then [supervisord]'s too */
    uintptr_t n_scopes;
    struct pair *names; /* the same as a list */
    const char *here;
    const char **files;
    size_t n_files;
    const char **plugins;
    size_t n_plugins;
    size_t n_processes;
    bool client_only;                    /* programs are not looked at */
    const struct stop_step *last_ladder; /* what was kept last is looked at before another of its sort is kept */
    unsigned n_last_ladder;
    const struct program_source *last_sources;
    size_t n_last_sources;
    const struct program_common *last_common;
    bool unreadable;                /* a file was not read to its end: what follows from that is not worth telling */
    struct program_given given[64]; /* of the section being read */
    size_t n_given;
    const struct ini_section *process_section; /* supervisord names it behind its error */
};

/* Where something was written: enough for "file:line: [section] key: ". */
struct where {
    const struct ini_section *section; /* NULL: the whole file */
    const struct ini_key *key;         /* NULL: the section */
    const char *option;                /* NULL: no key in particular */
    const char *file;                  /* when section is NULL */
    uint32_t line;
};

/* What %(...)s may name at one place. */
struct scope {
    const char *here, *host, *program, *group; /* NULL: unknown there */
    bool numbered;
    int64_t number, numprocs;
    struct pair *own;  /* the process's own environment; .value NULL: not now */
    uintptr_t own_map; /* its scope in the loader's map */
};

/* diagnostic.c */
void report(struct loader *l, enum diagnostic_level level, const struct where *w, const char *compat,
            const char *format, ...) __attribute__((format(printf, 5, 6)));
const char *python_repr(struct loader *l, const char *s);
const char *int_error(struct loader *l, const char *s); /* Python's words for what int() does not read */
const char *scratchf(struct loader *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* expand.c */
const char *keep_string(struct loader *l, const char *s);
/* Expanded, in scratch space or `text` itself; NULL after an error was reported.
 * `what` is supervisord's name for the place: "program:x.command". */
const char *expand(struct loader *l, const struct scope *scope, const char *text, const char *what,
                   const struct where *w);
int set_environ(struct loader *l, const char *name, const char *value);

/* path.c */
const char *path_expand_user(struct loader *l, const char *path);
const char *path_normal(struct loader *l, const char *path); /* ~, absolute, no . and .. */
const char *path_directory(struct loader *l, const char *path);
bool path_is_directory(struct loader *l, const char *path);
