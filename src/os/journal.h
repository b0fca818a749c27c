/* journal.h - what the daemon knows of its processes, in memory that outlives it.
 *
 * A file in state_dir, mapped: a header, and one slot of 384 bytes a process.  A
 * commit is a few stores and no system call; whoever maps the file after a SIGKILL
 * at any instant finds each slot as one of its commits left it.
 *
 * A slot belongs to a process by the 128-bit sum of "group:name"; of the name as
 * much is stored as fits (JOURNAL_NAME_MAX), for people.  Its number stays the same
 * for as long as the process has it, so it serves as a short name elsewhere.
 *
 * Every function takes NULL for a daemon that could not make a journal: nothing is
 * found, nothing is kept. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "os/identity.h"

#define JOURNAL_VERSION 1
#define JOURNAL_NAME_MAX 62
#define JOURNAL_NONE UINT32_MAX /* no slot */

/* Plain numbers of fixed width: the file is read by other versions of the program. */
struct journal_slot {
    uint64_t definition;   /* sum of the program's settings: the same one? */
    uint64_t start, inode; /* with .pid the identity of the process */
    uint64_t started;      /* times in microseconds: CLOCK_BOOTTIME */
    uint64_t deadline;     /* CLOCK_BOOTTIME; 0: none */
    uint64_t started_wall, stopped_wall;
    int32_t pid;       /* 0: no child */
    uint32_t instance; /* counts starts */
    uint32_t tries, restarts;
    int32_t cause_value; /* struct exit_cause of the last end */
    uint8_t cause_kind, cause_stage, cause_core, cause_timed_out;
    uint32_t cpu_user_ms, cpu_system_ms, maxrss_kib; /* of the last run that has ended */
    uint16_t state;                                  /* enum process_state */
    uint8_t wanted, operator_stopped, restart_token, execed, detached;
    uint8_t step, timed_out, signal_due; /* as in struct process */
    uint8_t written;                     /* not 0: this is not a slot that was just given out */
    uint8_t was_up;                      /* before the update that is under way stopped it */
    uint8_t restart_due;                 /* as in struct process */
    uint8_t spare[7];
    char auto_log[2][8]; /* stdout, stderr: what tells its AUTO log from others of that name; empty: none */
};

enum journal_origin {
    JOURNAL_FRESH,         /* there was none */
    JOURNAL_RECOVERED,     /* of a daemon before, in this era */
    JOURNAL_OTHER_ERA,     /* of another boot or pid name space: nothing of it holds; begun anew */
    JOURNAL_OTHER_VERSION, /* of a program that writes it otherwise; put aside as PATH.refused, begun anew */
    JOURNAL_DAMAGED,       /* both copies of its header are; put aside likewise */
};

struct journal;

/* 0, or a negative errno (-ENOSPC, -EROFS, -EPERM when the file is not ours, ...):
 * then the daemon can live without one. */
int journal_open(const char *path, const struct identity_era *era, struct journal **ret, enum journal_origin *origin);
/* The same from a descriptor of it, which is taken over: that of a journal of this era
 * which has lost its name, or never had one.  -EBADMSG: it is none. */
int journal_take(int fd, const char *path, const struct identity_era *era, struct journal **ret);
/* In memory alone, which lives for as long as somebody holds the descriptor. */
int journal_memory(const struct identity_era *era, struct journal **ret);
int journal_fd(const struct journal *j); /* borrowed; -1 without a journal */
/* Where the disk has no room for more slots they are in memory, and what is in there is
 * lost with the last who holds its descriptor: fn is given that (borrowed), and -1 when
 * the disk has them all again; and where the file is, or NULL.  Before it returns, no such
 * slot is in use. */
void journal_on_more(struct journal *j, void (*fn)(int fd, const char *path, void *arg), void *arg);
/* That descriptor, behind journal_take() or journal_open(), which is taken over.  -EBADMSG:
 * it is of another journal, or over. */
int journal_take_more(struct journal *j, int fd);
void journal_close(struct journal *j); /* the file stays */
void journal_end(struct journal *j);   /* the file goes, unless a slot is in use */
const char *journal_origin_name(enum journal_origin origin);

/* Room for so many processes on the whole; growing in one go is cheaper.  Moves what is in
 * memory to the disk, if that has room by now. */
int journal_reserve(struct journal *j, uint32_t n);
/* The slot of that process: the one it has, or a free one whose content is zeros.
 * JOURNAL_NONE: there is no room in memory either. */
uint32_t journal_add(struct journal *j, const char *group, const char *name);
uint32_t journal_find(const struct journal *j, const char *group, const char *name);
void journal_remove(struct journal *j, uint32_t i);

/* What it holds; the pointer is good until the next commit to it, add or reserve. */
const struct journal_slot *journal_get(const struct journal *j, uint32_t i);
void journal_commit(struct journal *j, uint32_t i, const struct journal_slot *content);
/* A place beside what a slot holds, 0 until somebody writes to it and again from the next
 * commit on: for the kernel, which knows a child's pid before the child and we do.  Good
 * for as long as journal_get(); NULL: there is none. */
int32_t *journal_newborn(struct journal *j, uint32_t i);
/* "group:name", as much of it as is kept; copied, NUL-terminated. */
void journal_name(const struct journal *j, uint32_t i, char name[JOURNAL_NAME_MAX + 1]);

/* A slot that was refused, and is that process's as far as can be read of it, is taken in
 * again: with the content that journal_get() gave, or with zeros.  False: there is none. */
bool journal_mend(struct journal *j, const char *group, const char *name);

/* The next slot in use from *i on: for (i = 0; journal_next(j, &i); i++) */
bool journal_next(const struct journal *j, uint32_t *i);
/* The next one that was refused when the file was opened.  It stays as it is until
 * journal_remove(), journal_get() gives what can still be read of it: a commit with
 * the right sum, perhaps not the last, or NULL.  An identity in it may be trusted,
 * since it is looked at again.  Its name is empty when that is damaged. */
bool journal_next_damaged(const struct journal *j, uint32_t *i);

/* The number of the last event (48 bits), which goes on over the life of daemons. */
uint64_t journal_sequence(const struct journal *j);
void journal_set_sequence(struct journal *j, uint64_t sequence);
