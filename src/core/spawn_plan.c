/* spawn_plan.c - see spawn_plan.h.  Lists of borrowed strings; no I/O. */
#include "core/spawn_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* What a job may never inherit: it would speak to systemd in the daemon's name,
 * or take a channel for its own that is not. */
static bool is_withheld(const char *assignment)
{
    static const char *const withheld[] = {
        "NOTIFY_SOCKET=",  "WATCHDOG_PID=",     "WATCHDOG_USEC=",   "LISTEN_PID=",
        "LISTEN_FDS=",     "LISTEN_FDNAMES=",   "NODE_CHANNEL_FD=", "NODE_CHANNEL_SERIALIZATION_MODE=",
        "NODE_UNIQUE_ID=", "DROVER_CHANNEL_FD="
    };
    if (strchr("DLNW", assignment[0]) == NULL) /* most others: this is asked for each variable at each start */
        return false;
    for (size_t i = 0; i < ELEMENTS(withheld); i++)
        if (strncmp(assignment, withheld[i], strlen(withheld[i])) == 0)
            return true;
    return false;
}

static size_t list_length(const char *const *list)
{
    size_t n = 0;
    while (list != NULL && list[n] != NULL)
        n++;
    return n;
}

static size_t name_length(const char *assignment)
{
    return strcspn(assignment, "=") + 1;
}

/* Puts `assignment` over the one of the same name among the first n, or after them. */
static size_t put(char **envp, size_t n, const char *assignment)
{
    size_t length = name_length(assignment);
    for (size_t i = 0; i < n; i++) {
        if (envp[i][0] == assignment[0] && strncmp(envp[i], assignment, length) == 0) {
            envp[i] = (char *)assignment;
            return n;
        }
    }
    envp[n] = (char *)assignment;
    return n + 1;
}

static bool inherited(const char *const *names, const char *assignment)
{
    size_t length = name_length(assignment) - 1;
    if (names == NULL)
        return true;
    for (; *names != NULL; names++)
        if (strlen(*names) == length && strncmp(*names, assignment, length) == 0)
            return true;
    return false;
}

static size_t put_all(char **envp, size_t n, const char *const *list)
{
    for (; list != NULL && *list != NULL; list++)
        n = put(envp, n, *list);
    return n;
}

char **spawn_environment(const struct spawn_variables *v)
{
    size_t most = list_length(v->base) + list_length(v->extra) + list_length(v->own) + list_length(v->files) +
                  list_length(v->channel) + 1;
    char **envp = malloc(most * sizeof(*envp));
    if (envp == NULL)
        return NULL;
    size_t n = 0;
    for (const char *const *base = v->base; base != NULL && *base != NULL; base++) /* taken to be unique */
        if (inherited(v->inherit, *base) && !is_withheld(*base))
            envp[n++] = (char *)*base;
    n = put_all(envp, n, v->extra);
    n = put_all(envp, n, v->own);
    n = put_all(envp, n, v->files);
    n = put_all(envp, n, v->channel);
    envp[n] = NULL;
    return envp;
}

const char *spawn_getenv(char *const *envp, const char *name)
{
    size_t length = strlen(name);
    for (; envp != NULL && *envp != NULL; envp++)
        if (strncmp(*envp, name, length) == 0 && (*envp)[length] == '=')
            return *envp + length + 1;
    return NULL;
}
