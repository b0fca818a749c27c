/* config_world.h - what the loader needs to know of the machine, as a value.
 *
 * os/world.h fills it from the real one; tests and fuzzers make their own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct config_user {
    uid_t uid;
    gid_t gid;
    char name[256]; /* canonical: "root" for uid 0 */
};

/* Everything that depends on the machine.  All functions return 0 or a negative
 * errno; -ENOENT where there is no such thing. */
struct config_world {
    const char *const *environ; /* NAME=VALUE, NULL-terminated */
    const char *cwd;
    const char *host;
    const char *tmpdir;
    const char *here; /* NULL: the directory of the main file, made absolute */
    uid_t uid;
    /* *text is malloc'd, to be freed by the loader; -EINVAL: not a regular file */
    int (*read_file)(void *ctx, const char *path, char **text, size_t *len);
    /* a NULL-terminated malloc'd list of malloc'd paths, sorted; no match is an empty list */
    int (*glob)(void *ctx, const char *pattern, char ***paths);
    int (*user)(void *ctx, const char *name_or_number, struct config_user *ret);
    int (*group)(void *ctx, const char *name_or_number, gid_t *gid, char name[64]);
    int (*home)(void *ctx, const char *user_or_null, char *buf, size_t size); /* for ~ and ~user */
    bool (*is_directory)(void *ctx, const char *path);
    bool (*exists)(void *ctx, const char *path);
    void *ctx;
};
