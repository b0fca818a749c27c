/* lognames.c - see lognames.h.  Owns nothing; what it cannot rename stays where it is. */
#include "os/lognames.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"

char *lognames_name(const char *path, unsigned i)
{
    char *name;
    int n = i > 0 ? asprintf(&name, "%s.%u", path, i) : asprintf(&name, "%s", path);
    return n < 0 ? NULL : name;
}

/* The first number that no file has, or the last that one may have: only what is
 * below it has to move, so a rotation that was cut short between two renames
 * leaves no gap that would cost an old log.  0: nobody can tell, and what may be
 * there would be overwritten. */
static unsigned first_gap(const char *path, unsigned backups)
{
    for (unsigned i = 1; i < backups; i++) {
        _cleanup_free_ char *name = lognames_name(path, i);
        if (name != NULL && access(name, F_OK) == 0)
            continue;
        return name != NULL && errno == ENOENT ? i : 0;
    }
    return backups;
}

bool lognames_shift(const char *path, unsigned backups)
{
    unsigned gap = first_gap(path, backups);
    for (unsigned i = gap; i > 0; i--) {
        _cleanup_free_ char *from = lognames_name(path, i - 1), *to = lognames_name(path, i);
        if (from == NULL || to == NULL)
            return false;
        if (rename(from, to) < 0 && (i == 1 || errno != ENOENT)) /* else the next would take the place of this one */
            return false;
    }
    return gap > 0;
}
