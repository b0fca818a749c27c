/* reader.h - the lines of a configuration file: comments, continuation, joining.
 *
 * Turns the bytes of one file into records, a section or a key with its whole
 * value, as Python's configparser does with both comment marks inline and
 * indented continuation; for what it cannot read it says what and where. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

struct reader_record {
    bool is_section;
    bool cut;      /* a comment mark inside quotes has cut the value */
    uint32_t line; /* where it begins */
    uint32_t cut_line;
    const char *name;  /* of the section, or of the key in small letters */
    const char *value; /* of a key */
};

struct reader_fault {
    uint32_t line;
    const char *what;   /* for people */
    const char *compat; /* supervisord's words, or NULL: this one is told with the one before */
};

struct reader {
    struct arena *arena; /* records, names, values and words live here */
    struct reader_record *records;
    size_t n_records, capacity;
    struct reader_fault *faults;
    size_t n_faults;
};

#define READER_FAULTS_MAX 100

/* `path` is for supervisord's words only.  0 (faults may have been found) or
 * -ENOMEM. */
int reader_read(struct reader *r, const char *path, const char *text, size_t len);
void reader_done(struct reader *r);
