/* exec_lookup.h - which file a command's first word names, and why exec failed. */
#pragma once

#include <stddef.h>

#include "core/exit_cause.h"

/* *ret is malloc'd.  A word with a slash is taken as it is (looked at from
 * `directory` when it is relative and that is not NULL), any other is looked for
 * along `path` (NULL: the system's default path).  Negative errno:
 * -ENOENT not found, -EISDIR, -ENOEXEC no execute bit, -EACCES not for us. */
int exec_lookup(const char *word, const char *path, const char *directory, char **ret);

/* One line for people: "exec /srv/app.sh: interpreter \"/usr/bin/nod\" not found".
 * Reads the head of the file where its #! line may be the culprit. */
void exec_explain(enum spawn_stage stage, int error, const char *file, const char *directory, const char *user,
                  char *buf, size_t size);
