/* ini.h - sections and keys of all files together, as they stand after merging.
 *
 * Repeated sections are one section, the last value of a key wins, and keys of
 * [DEFAULT] are in every section.  All memory is the arena's, but the index. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/map.h"
#include "config/reader.h"

struct ini_key {
    struct ini_key *next;
    struct ini_key *next_fresh;
    const char *name;
    const char *value;
    uint32_t line;
    uint16_t file;
    bool fresh; /* set since the last ini_expand_here() */
};

struct ini_section {
    struct ini_section *next;
    const char *name;
    struct ini_key *keys, **tail;
    uint64_t name_bits; /* which names its keys can have, see ini_own_key() */
    uint32_t line;      /* where it was seen first */
    uint16_t file;
    bool grouped; /* some [group:x] names it */
};

struct ini {
    struct arena *arena;
    struct map index; /* scope NULL: sections; scope section: its keys */
    struct ini_section *sections, **tail;
    struct ini_section *defaults; /* [DEFAULT], or NULL */
    struct ini_key *fresh;
};

void ini_init(struct ini *ini, struct arena *arena);
void ini_done(struct ini *ini);

/* Merges what the reader made of file number `file`.  0 or -ENOMEM. */
int ini_merge(struct ini *ini, uint16_t file, const struct reader *r);

struct ini_section *ini_section(const struct ini *ini, const char *name);
struct ini_key *ini_own_key(const struct ini *ini, const struct ini_section *section, const char *name);
/* The section's own, else that of [DEFAULT], else NULL. */
struct ini_key *ini_key(const struct ini *ini, const struct ini_section *section, const char *name);

/* Writes the directory for every %(here)s that stands there now (so that each
 * file has its own), in all sections.  Bounded by what was merged since. */
void ini_expand_here(struct ini *ini, const char *here);
