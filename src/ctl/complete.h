/* complete.h - what could stand at the end of a line: verbs, live names. */
#pragma once

#include "ctl/ctl.h"

struct complete {
    char **words; /* those that fit, sorted */
    size_t n;
    json_t *processes; /* asked for once a line */
};

/* Fills words[] for the first `len` bytes of `line`; the result is where the last word begins. */
size_t complete_find(struct complete *c, struct ctl *ctl, const char *line, size_t len);
void complete_forget(struct complete *c); /* names are asked for again */
void complete_done(struct complete *c);
