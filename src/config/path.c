/* path.c - paths as text: ~, absolute, without . and ..; never asks the disk but
 * for whether a directory exists.  Results live in the loader's scratch space. */
#include <string.h>

#include "config/loader.h"

#define HOME_MAX 4096

const char *path_expand_user(struct loader *l, const char *path)
{
    if (path[0] != '~')
        return path;
    char home[HOME_MAX];
    size_t len = strcspn(path + 1, "/");
    const char *user = len > 0 ? arena_copy(&l->scratch, path + 1, len) : NULL;
    if (l->world->home(l->world->ctx, user, home, sizeof home) < 0)
        return path; /* as the shell does */
    return scratchf(l, "%s%s", home, path + 1 + len);
}

static char *add_part(char *out, char *start, const char *part, size_t len)
{
    if (len == 0 || (len == 1 && part[0] == '.'))
        return out;
    if (len == 2 && memcmp(part, "..", 2) == 0) {
        while (out > start && *--out != '/')
            ;
        return out;
    }
    *out++ = '/';
    return mempcpy(out, part, len);
}

const char *path_normal(struct loader *l, const char *path)
{
    path = path_expand_user(l, path);
    if (path[0] != '/')
        path = scratchf(l, "%s/%s", strcmp(l->world->cwd, "/") == 0 ? "" : l->world->cwd, path);
    char *result = arena_alloc(&l->scratch, strlen(path) + 2);
    if (result == NULL)
        return path;
    /* POSIX leaves the meaning of exactly two leading slashes to the system */
    char *start = result;
    if (path[0] == '/' && path[1] == '/' && path[2] != '/')
        *start++ = '/';
    char *out = start;
    for (const char *p = path; *p != '\0'; p += strspn(p, "/")) {
        size_t len = strcspn(p, "/");
        out = add_part(out, start, p, len);
        p += len;
    }
    if (out == start)
        *out++ = '/';
    *out = '\0';
    return result;
}

const char *path_directory(struct loader *l, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL)
        return "";
    size_t len = (size_t)(slash - path);
    while (len > 0 && path[len - 1] == '/')
        len--;
    return arena_copy(&l->scratch, path, len > 0 ? len : (size_t)(slash - path) + 1);
}

bool path_is_directory(struct loader *l, const char *path)
{
    return l->world->is_directory(l->world->ctx, path);
}
