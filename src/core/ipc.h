/* ipc.h - what a program says about its channel. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/usec.h"

struct program;

enum ipc_mode { IPC_FALSE, IPC_TRUE, IPC_JSON }; /* the last two are the same: JSON is the only form there is */

#define IPC_MESSAGE_MAX (1024U * 1024)
#define IPC_QUEUE_BYTES (1024U * 1024)
#define IPC_QUEUE_MESSAGES 1024U

#define IPC_WAIT (100 * USEC_PER_MSEC)

/* which descriptors others may send it */
enum ipc_handles {
    IPC_HANDLES_NODE, /* those that a Node program can be given */
    IPC_HANDLES_ANY,  /* it is no Node program, and does not acknowledge them */
    IPC_HANDLES_NONE,
};

/* what a program may ask of the supervisor over its channel */
enum ipc_control {
    IPC_CONTROL_NONE,
    IPC_CONTROL_READ, /* how processes are, and their events */
    IPC_CONTROL_SELF, /* that, and to start, stop and signal those of its own program */
    IPC_CONTROL_LIST, /* those of .control_names */
    IPC_CONTROL_ALL,
};

/* Few programs say anything of this, so it lies behind a pointer of theirs. */
struct ipc_settings {
    enum ipc_mode mode;
    uint64_t max_message;    /* bytes of one line, without its newline */
    uint64_t queue_bytes;    /* of what waits for a process to read it */
    uint32_t queue_messages; /* the same, counted */
    bool relay;              /* its envelopes are routed, and it can be sent some */
    enum ipc_handles handles;
    enum ipc_control control;
    usec_t wait;                    /* how long who sends to it is kept waiting while its queue is full */
    const char *const *send_to;     /* programs and groups, NULL-terminated; NULL: all */
    const char *const *accept_from; /* the same */
    const char *const *control_names;
};

/* Those of a program, or the defaults; never NULL. */
const struct ipc_settings *ipc_settings_of(const struct program *p);

/* Does it ask for a channel, by ipc or by relay?  `stdio` can do so as well. */
bool ipc_wanted(const struct program *p);

/* Which descriptor of the program is its channel: the one that `stdio` calls so,
 * else with `ipc` the first free one from 3 on.  -1: it has none. */
int ipc_descriptor(const struct program *p);
