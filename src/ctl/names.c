/* names.c - see names.h.  A name is cut at its first colon, as supervisorctl does. */
#include "ctl/names.h"

#include <string.h>

bool name_is_group(const char *name)
{
    const char *colon = strchr(name, ':');
    return colon != NULL && (colon[1] == '\0' || strcmp(colon + 1, "*") == 0);
}

size_t name_shown_length(const char *name)
{
    return name_is_group(name) ? (size_t)(strchr(name, ':') - name) : strlen(name);
}

bool name_is_glob(const char *name)
{
    return strcspn(name, "*?[") < name_shown_length(name);
}

bool names_have_all(const struct ctl_words *words)
{
    for (size_t i = 0; i < words->n; i++)
        if (strcmp(words->list[i], "all") == 0)
            return true;
    return false;
}
