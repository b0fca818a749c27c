/* ctl.h - what all verbs share: the connection, the options, the exit status.
 *
 * Text for people goes through ctl_say() and ctl_fail(), which know --json,
 * --quiet and terminals; requests go through ask(), which has told the user
 * already when it returns an error. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/buf.h"
#include "ctl/client.h"
#include "ctl/command.h"
#include "ctl/endpoint.h"

#define CTL_LINE_LIMIT (1024 * 1024) /* of what a user types */

/* supervisorctl's exit codes: those of LSB init scripts */
enum ctl_exit {
    CTL_OK = 0,
    CTL_GENERIC = 1,
    CTL_INVALID_ARGS = 2,
    CTL_STATUS_NOT_RUNNING = 3, /* `status` only */
    CTL_REFUSED = 4,
    CTL_STATUS_UNKNOWN = 4, /* `status` only */
    CTL_NOT_RUNNING = 7,
    CTL_RUN_TIMEOUT = 124, /* `run` only, as timeout(1) and env(1) have them */
    CTL_RUN_FAILED = 125,
    CTL_RUN_NOT_EXECUTABLE = 126,
    CTL_RUN_NOT_FOUND = 127,
};

struct ctl {
    struct endpoint endpoint;
    struct client *client;
    int exit_status; /* of the last thing that failed */
    bool interactive;
    bool leave;         /* the shell ends after this verb */
    bool terminal;      /* standard output is one */
    uint64_t given_fds; /* for `run`: bit N from 3 on: descriptor N is our starter's */
    int interrupt_fd;   /* signalfd of SIGINT while the shell runs or something is followed, or -1 */

    /* of the verb at hand */
    const struct ctl_command *command;
    bool json, quiet, no_wait;
    bool hinted;     /* hint_name() has been asked */
    double wait;     /* seconds; 0: as long as it takes */
    json_t *results; /* what --json has collected, or NULL */
};

#define CTL_PRINTF(n) __attribute__((format(printf, (n), (n) + 1)))
void ctl_say(struct ctl *c, const char *format, ...) CTL_PRINTF(2); /* on stdout, unless --quiet or --json */
void ctl_fail(struct ctl *c, const char *format, ...)
    CTL_PRINTF(2); /* an error, where supervisorctl has it: on stdout */
void ctl_note(struct ctl *c, const char *format, ...) CTL_PRINTF(2); /* on stderr */
void ctl_status(struct ctl *c, int status);
void ctl_usage(struct ctl *c, int status, const char *format, ...) CTL_PRINTF(3); /* an error and the verb's help */

/* --json: one more element (the reference is taken) of what ctl_flush() prints as {NAME: [...]}. */
void ctl_collect(struct ctl *c, json_t *element);
void ctl_flush(struct ctl *c, const char *name);
void ctl_print_json(struct ctl *c, const json_t *value);

/* While it is on, Ctrl-C ends what client_call() and friends wait for. */
void ctl_catch_interrupt(struct ctl *c);
void ctl_drain_interrupt(struct ctl *c);

/* A line of the user's, without its newline; NULL at the end or after Ctrl-C.  malloc'd. */
char *ctl_read_line(struct ctl *c, const char *prompt);
char *ctl_read_password(const char *prompt);
/* Some of standard input; 0 at its end, negative when it cannot be read, which has been told. */
ssize_t ctl_read_input(struct ctl *c, char *data, size_t size);
/* Asks for a yes when there is somebody to ask. */
bool ctl_confirm(struct ctl *c, const char *question);

/* The daemon is there, or the user was told as supervisorctl tells it. */
bool ctl_upcheck(struct ctl *c);
/* What a negative errno of client.h means, in words; told to the user, with the exit status. */
const char *ctl_explain(int error);
void ctl_connection_failed(struct ctl *c, int error);

/* "group:name", and "a" for "a:a", of a process or of a result.  Into *out, emptied
 * before; the result is its text. */
const char *ctl_namespec(struct buf *out, const json_t *process);
/* For a column of them: as wide as the longest, as supervisorctl counts. */
int ctl_name_width(const json_t *processes, size_t least);
void ctl_put_name(struct buf *out, const json_t *process, int width);

/* "500ms", "10s", "2m", "1h", "10": seconds, or -1. */
double ctl_duration(const char *text);
