/* logfile.h - where captured output goes: a rotated file, or a descriptor of the daemon's.
 *
 * Two streams that name one file share one struct logfile, so that sizes add up
 * and one rotation is one rotation.  A logfile never blocks its caller. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct logfile_table;
struct logfile;
struct move;
struct mover;

int logfile_table_new(struct logfile_table **ret);
void logfile_table_free(struct logfile_table *t); /* all files must have been let go */

/* Opens or shares the file at `path`; /dev/stdout, /dev/stderr and /dev/fd/N are
 * the daemon's own descriptors.  0 and *ret (to be let go with logfile_unref), or
 * a negative errno. */
int logfile_open(struct logfile_table *t, const char *path, uint64_t max_bytes, unsigned backups, struct logfile **ret);
void logfile_unref(struct logfile *f);

/* Writes as much as goes at once.  0: all of it; -EAGAIN: the reader at the other
 * end is slow; -ENOSPC and its kin.  *written always says how much is done. */
int logfile_write(struct logfile *f, const void *data, size_t len, size_t *written);
/* Before anything is written to a file that a predecessor wrote to: see mover_settle(). */
void logfile_settle(const struct logfile *f, struct mover *m);
/* The move that the next writes are part of (os/logmove.h), or NULL. */
void logfile_set_move(struct logfile *f, struct move *v);

/* Moves what waits in a pipe into the file, without a look at it and without a
 * copy.  How much; 0 when it cannot be done so: there is too little (`waiting` is
 * how much there is), or the file would have to be cut within it. */
size_t logfile_splice(struct logfile *f, int pipe, size_t waiting);

/* How much may be written now without a wait; SIZE_MAX for a regular file. */
size_t logfile_room(struct logfile *f);

/* Whether its file system takes nothing, as far as that can be seen without a try:
 * 0, -ENOSPC or -EROFS. */
int logfile_trouble(const struct logfile *f);

/* Whoever has bytes that it did not take, before others may write; the caller's business. */
void *logfile_first(const struct logfile *f);
void logfile_set_first(struct logfile *f, void *first);

/* Counts rotations, so that a caller may report them. */
unsigned logfile_rotations(const struct logfile *f);
bool logfile_is_file(const struct logfile *f); /* can be read back, cleared and rotated */

/* Opens all files again under their names; the number of files that failed. */
int logfile_reopen_all(struct logfile_table *t);
/* Removes the content of a log and of nothing else: `clear`. */
int logfile_clear(struct logfile *f);
