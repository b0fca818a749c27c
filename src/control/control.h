/* control.h - what a client may ask of the daemon: the table of commands behind
 * the HTTP server, and what they all need. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "config/diagnostic.h"
#include "control/http.h"
#include "supervisor/supervisor.h"

/* Who may: everybody that may connect; those that may change processes; those
 * that may change the daemon itself. */
enum role { ROLE_NONE, ROLE_READ, ROLE_CONTROL, ROLE_ADMIN };

/* What the main program lends us, since it alone knows how the daemon was called. */
struct control_hooks {
    /* reads the configuration files again; 0, or a negative errno with errors in `d` */
    int (*load)(struct config **ret, struct diagnostics *d, void *arg);
    void (*reload)(void *arg); /* stops everything, reads the file, starts everything */
    void (*shutdown)(void *arg);
    /* see daemon/successor.h */
    int (*upgrade)(const char *path, void (*done)(const char *why, void *done_arg), void *done_arg, void *arg);
    void *arg;
};

struct control {
    struct supervisor *supervisor;
    struct http_server *http;
    struct control_hooks hooks;
};

struct control_call {
    struct control *control;
    struct http_request *request;
    char name[512]; /* what {} stood for in the path, decoded; "" when there was none */
};

struct command {
    const char *method;
    const char *path; /* "{}" is one segment: a name */
    enum role role;
    void (*fn)(struct control_call *call);
};

int control_new(struct supervisor *s, const struct control_hooks *hooks, struct control **ret);
void control_free(struct control *c);

/* Each verb's file has its part of the table. */
extern const struct command commands_process[], commands_action[], commands_log[], commands_config[], commands_daemon[],
    commands_events[], commands_run[], commands_message[], commands_upgrade[], commands_relay[];

/* -- answers ---------------------------------------------------------------- */

/* supervisord's faults, which its clients know by name; see rpcinterface's documentation */
enum fault {
    FAULT_NONE,
    FAULT_BAD_NAME,
    FAULT_BAD_GROUP, /* supervisord says BAD_NAME for both; the words differ */
    FAULT_BAD_ARGUMENTS,
    FAULT_BAD_SIGNAL,
    FAULT_SHUTDOWN_STATE,
    FAULT_RESTARTING,
    FAULT_NO_FILE,
    FAULT_NO_LOG_FILE,
    FAULT_NOT_EXECUTABLE,
    FAULT_FAILED,
    FAULT_ABNORMAL_TERMINATION,
    FAULT_SPAWN_ERROR,
    FAULT_ALREADY_STARTED,
    FAULT_NOT_RUNNING,
    FAULT_ALREADY_ADDED,
    FAULT_STILL_RUNNING,
    FAULT_CANT_REREAD,
    FAULT_BUSY,
    FAULT_NO_CHANNEL,
    FAULT_QUEUE_FULL,
    FAULT_TOO_LATE,
    FAULT_NO_MEMORY,
    FAULT_UPGRADE,
    FAULT_NOT_ALLOWED,
};

struct jsonw;
/* The members of an error object; detail and name may be NULL. */
void fault_json(struct jsonw *j, enum fault f, const char *name, const char *detail);
void control_fail(struct http_request *r, enum fault f, const char *name, const char *detail);
void control_ok(struct http_request *r);

/* -- what a call says -------------------------------------------------------- */

/* Why nothing new is begun: the daemon ends, or stops all to begin anew; or FAULT_NONE. */
enum fault control_ending(const struct supervisor *s);
/* True when there is such a reason; then it has been answered. */
bool control_refuse_if_ending(struct control_call *call);
/* A query parameter as a number, any that there is; `otherwise` when it is missing or not one. */
long long control_number(struct http_request *r, const char *parameter, long long otherwise);
/* ?fd=N, or -1 when no process can have that one. */
int control_descriptor(struct http_request *r, int otherwise);
/* ?timeout=SECONDS; USEC_INFINITY: none. */
usec_t control_timeout(struct http_request *r, long long otherwise);
/* {"signal":"TERM"} of a body, or -EINVAL. */
int control_read_signal(struct http_request *r);
