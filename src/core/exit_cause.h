/* exit_cause.h - how a process ended, as a value and as words. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/program.h"

enum exit_kind {
    EXIT_NONE,    /* has not ended yet */
    EXIT_STATUS,  /* exited by itself; .value is its status */
    EXIT_SIGNAL,  /* killed; .value is the signal */
    EXIT_SPAWN,   /* never ran: .stage failed with errno .value */
    EXIT_UNKNOWN, /* ended, and nobody could tell how */
};

/* What a child does between its birth and its first instruction, in order. */
enum spawn_stage {
    SPAWN_STAGE_NONE,
    SPAWN_STAGE_COMMAND, /* the command line cannot be split, or is empty */
    SPAWN_STAGE_LOOKUP,  /* no such file, or not one to execute */
    SPAWN_STAGE_USER,    /* the user cannot be resolved, or we may not become it */
    SPAWN_STAGE_STDIO,   /* pipes and log files */
    SPAWN_STAGE_FORK,
    SPAWN_STAGE_PROCESS_GROUP,
    SPAWN_STAGE_LIMITS,
    SPAWN_STAGE_OOM,
    SPAWN_STAGE_NICE,
    SPAWN_STAGE_IONICE,
    SPAWN_STAGE_AFFINITY,
    SPAWN_STAGE_DESCRIPTORS,
    SPAWN_STAGE_GROUPS,
    SPAWN_STAGE_GID,
    SPAWN_STAGE_UID,
    SPAWN_STAGE_CAPABILITIES,
    SPAWN_STAGE_VERIFY, /* privileges could be regained */
    SPAWN_STAGE_DIRECTORY,
    SPAWN_STAGE_NO_NEW_PRIVILEGES,
    SPAWN_STAGE_EXEC,
};

struct exit_cause {
    enum exit_kind kind;
    int value;
    bool core;              /* EXIT_SIGNAL: dumped core */
    bool timed_out;         /* it had run for its `timeout`, and was told to end */
    enum spawn_stage stage; /* EXIT_SPAWN */
};

/* From a status as wait(2) gives it. */
struct exit_cause exit_cause_from_wait(int status);
struct exit_cause exit_cause_from_spawn(enum spawn_stage stage, int error);

/* Is it what `exitcodes` lists?  A death by signal or a failed spawn is not,
 * unless the signal is listed by name; an end after a timeout never is. */
bool exit_cause_expected(const struct exit_cause *c, const struct program *p);

/* "exit status 3", "terminated by SIGTERM, after its timeout", "terminated by SIGKILL (core dumped)", "spawn error:
 * exec: ENOENT" */
void exit_cause_words(const struct exit_cause *c, char *buf, size_t size);

const char *spawn_stage_name(enum spawn_stage stage); /* "exec" */
/* "SIGTERM"; "SIG42" for a number without a name of its own */
const char *exit_signal_name(int signal, char buf[16]);
