/* endpoint.c - see endpoint.h. INTERIM */
#include "ctl/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <limits.h>

void endpoint_done(struct endpoint *e)
{
    free(e->url);
    free(e->username);
    free(e->password);
    free(e->prompt);
    free(e->history);
    *e = (struct endpoint){ 0 };
}

bool endpoint_is_url(const char *s)
{
    size_t scheme = strcspn(s, ":/?#");
    return scheme > 0 && s[scheme] == ':' && s[scheme + 1] != '\0' && strcmp(s + scheme, "://") != 0;
}

int endpoint_load(struct endpoint *e, const char *path, char **why)
{
    char line[4096], section[64] = "", here[PATH_MAX] = "", file[9000] = "";
    FILE *f = path != NULL ? fopen(path, "re") : NULL;
    if (path != NULL && f == NULL) {
        if (asprintf(why, "could not find config file %s", path) < 0)
            *why = NULL;
        return -ENOENT;
    }
    if (path != NULL && realpath(path, here) != NULL)
        *strrchr(here, '/') = '\0';
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        char k[64], v[2048];
        if (sscanf(line, "[%63[^]]", section) == 1)
            continue;
        if (sscanf(line, " %63[a-z_] = %2047[^;]", k, v) != 2)
            continue;
        char *p = strstr(v, "%(here)s");
        char full[8192];
        if (p != NULL)
            snprintf(full, sizeof(full), "%.*s%s%s", (int)(p - v), v, here, p + 8);
        else
            snprintf(full, sizeof(full), "%s", v);
        if (strcmp(section, "supervisorctl") == 0 && strcmp(k, "serverurl") == 0 && e->url == NULL)
            e->url = strdup(full);
        if (strcmp(section, "supervisorctl") == 0 && strcmp(k, "prompt") == 0 && e->prompt == NULL)
            e->prompt = strdup(full);
        if (strcmp(section, "unix_http_server") == 0 && strcmp(k, "file") == 0)
            snprintf(file, sizeof(file), "unix://%s", full);
    }
    if (f != NULL)
        fclose(f);
    if (e->url == NULL && *file != '\0')
        e->url = strdup(file);
    if (e->url == NULL)
        e->url = strdup("http://localhost:9001");
    if (e->prompt == NULL)
        e->prompt = strdup("supervisor");
    return 0;
}
