/* strtab.c - see strtab.h.  Linear: the tables are short.  Pure. */
#include "base/strtab.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define WORD_MAX 48

const char *strtab_name(const struct strtab *t, size_t n, int value)
{
    for (size_t i = 0; i < n; i++)
        if (t[i].value == value)
            return t[i].name;
    return NULL;
}

int strtab_value(const struct strtab *t, size_t n, const char *name, int *ret)
{
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(t[i].name, name) == 0) {
            *ret = t[i].value;
            return 0;
        }
    }
    return -EINVAL;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Damerau-Levenshtein (neighbours swapped count once) over two short words. */
static unsigned distance(const char *a, size_t na, const char *b, size_t nb)
{
    unsigned d[3][WORD_MAX + 1];
    for (size_t j = 0; j <= nb; j++)
        d[0][j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        unsigned *now = d[i % 3], *last = d[(i + 2) % 3], *older = d[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            unsigned cost = a[i - 1] != b[j - 1];
            now[j] = least(least(last[j] + 1, now[j - 1] + 1), last[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], older[j - 2] + 1);
        }
    }
    return d[na % 3][nb];
}

const char *strtab_nearest(const char *const *names, const char *word)
{
    size_t len = strlen(word);
    const char *best = NULL;
    unsigned best_distance = len < 4 ? 2 : len < 9 ? 3 : 4; /* must be below it */
    if (len == 0 || len > WORD_MAX)
        return NULL;
    for (; *names != NULL; names++) {
        size_t n = strlen(*names);
        if (n > WORD_MAX)
            continue;
        unsigned d = distance(word, len, *names, n);
        if (d < best_distance) {
            best_distance = d;
            best = *names;
        }
    }
    return best;
}
