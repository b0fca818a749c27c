/* argv.h - a command line to words and back, by the shell's quoting and nothing
 * else of the shell: no variables, no globs, no operators. */
#pragma once

#include <stddef.h>

struct buf;

/* One block of memory: pointers, then bytes; free() it.  0, -ENOMEM, or -EINVAL
 * with *why set to "No closing quotation" or "No escaped character". */
int argv_split(const char *command, char ***argv, size_t *n, const char **why);

/* Adds the word so that argv_split() gives it back: in quotes only if it needs them. */
int argv_quote(struct buf *out, const char *word);
