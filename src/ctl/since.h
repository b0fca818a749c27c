/* since.h - a point in the past, and lines of a log that carry their time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/usec.h"
#include "wire/logline.h"

struct since {
    char time[LOGLINE_TIME]; /* as log_format writes it: they compare as text */
};

/* A duration before `now` (wall clock), or a time: YYYY-MM-DDTHH:MM[:SS], local,
 * or UTC with a Z behind it; the day alone; HH:MM[:SS] of today.  -EINVAL. */
int since_parse(const char *text, usec_t now, struct since *ret);

/* *order < 0: the line is older, >= 0: it is not; false: the line has no time. */
bool since_compare(const struct since *s, const char *line, size_t len, int *order);

/* The order of the first line with a time that begins within the data; `whole`: so
 * does the first.  False: there is none. */
bool since_compare_first(const struct since *s, const char *data, size_t len, bool whole, int *order);
