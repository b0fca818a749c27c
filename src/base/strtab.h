/* strtab.h - small tables of names and numbers, read in both directions. */
#pragma once

#include <stddef.h>

struct strtab {
    const char *name;
    int value;
};

/* The first name with that value, or NULL. */
const char *strtab_name(const struct strtab *t, size_t n, int value);
/* In any case of letters; 0 or -EINVAL. */
int strtab_value(const struct strtab *t, size_t n, const char *name, int *ret);

/* The one of `names` (NULL-terminated) that is so near to `word` that it was
 * probably meant, or NULL. */
const char *strtab_nearest(const char *const *names, const char *word);
