/* diagnostic.h - what there is to say about a configuration. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum diagnostic_level { DIAGNOSTIC_ERROR, DIAGNOSTIC_WARNING, DIAGNOSTIC_INFO };

/* One thing to tell a person: "file:line: [section] key: what is wrong; what would be right". */
struct diagnostic {
    enum diagnostic_level level;
    char *text;                  /* the whole line for people, without a newline */
    char *compat;                /* supervisord's own words for the same, or NULL when it has none */
    uint32_t file, line, number; /* where it is, and in which turn it was found */
};

struct diagnostics {
    struct diagnostic *list;
    size_t n;
    struct diagnostic *compat; /* supervisord's own list: .text is NULL, and what it says twice is here twice */
    size_t n_compat;
    size_t n_errors;
    size_t n_warnings;
    size_t dropped; /* past the bound on how many are kept */
};

/* In the order of the files and their lines, as a person goes through them; what has no line first. */
void diagnostics_sort(struct diagnostics *d);
void diagnostics_clear(struct diagnostics *d);
