/* memory_world.h - a world of the loader that is all in memory.
 *
 * Files are a list of path and text; every directory exists but those whose name
 * begins with /missing; the users are root and app (1000). */
#pragma once

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/config_load.h"

struct memory_file {
    const char *path, *text;
    size_t len; /* 0: strlen */
    int error;  /* what reading gives; 0: the text */
};

static inline int memory_read(void *ctx, const char *path, char **text, size_t *len)
{
    for (const struct memory_file *f = ctx; f->path != NULL; f++) {
        if (strcmp(f->path, path) != 0)
            continue;
        if (f->error != 0)
            return f->error;
        *len = f->len != 0 ? f->len : strlen(f->text);
        *text = malloc(*len + 1);
        if (*text == NULL)
            return -ENOMEM;
        memcpy(*text, f->text, *len);
        (*text)[*len] = '\0';
        return 0;
    }
    return -ENOENT;
}

static inline int memory_glob(void *ctx, const char *pattern, char ***paths)
{
    const struct memory_file *files = ctx;
    size_t n = 0;
    while (files[n].path != NULL)
        n++;
    char **list = calloc(n + 1, sizeof *list);
    if (list == NULL)
        return -ENOMEM;
    for (size_t i = 0, found = 0; i < n; i++)
        if (fnmatch(pattern, files[i].path, FNM_PATHNAME) == 0)
            list[found++] = strdup(files[i].path);
    *paths = list;
    return 0;
}

static inline int memory_user(void *ctx, const char *name, struct config_user *ret)
{
    (void)ctx;
    bool root = strcmp(name, "root") == 0 || strcmp(name, "0") == 0;
    if (!root && strcmp(name, "app") != 0 && strcmp(name, "1000") != 0)
        return -ENOENT;
    *ret = (struct config_user){ .uid = root ? 0 : 1000, .gid = root ? 0 : 1000 };
    snprintf(ret->name, sizeof ret->name, "%s", root ? "root" : "app");
    return 0;
}

static inline int memory_group(void *ctx, const char *name, gid_t *gid, char ret[64])
{
    struct config_user user;
    int r = memory_user(ctx, name, &user);
    if (r == 0) {
        *gid = user.gid;
        snprintf(ret, 64, "%.63s", user.name);
    }
    return r;
}

static inline int memory_home(void *ctx, const char *user, char *buf, size_t size)
{
    (void)ctx;
    snprintf(buf, size, "/home/%s", user != NULL ? user : "me");
    return 0;
}

static inline bool memory_is_directory(void *ctx, const char *path)
{
    (void)ctx;
    return strncmp(path, "/missing", 8) != 0;
}

static inline bool memory_exists(void *ctx, const char *path)
{
    for (const struct memory_file *f = ctx; f->path != NULL; f++)
        if (strcmp(f->path, path) == 0)
            return true;
    return false;
}

static const char *const memory_environ[] = { "HOME=/home/me", "MODE=fast", NULL };

static inline struct config_world memory_world(const struct memory_file *files)
{
    return (struct config_world){
        .environ = memory_environ,
        .cwd = "/cwd",
        .host = "box",
        .tmpdir = "/tmp",
        .uid = 0,
        .read_file = memory_read,
        .glob = memory_glob,
        .user = memory_user,
        .group = memory_group,
        .home = memory_home,
        .is_directory = memory_is_directory,
        .exists = memory_exists,
        .ctx = (void *)(uintptr_t)files,
    };
}
