/* ipc.h - what a program says about its channel. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct program;

enum ipc_mode { IPC_FALSE, IPC_TRUE, IPC_JSON }; /* the last two are the same: JSON is the only form there is */

#define IPC_MESSAGE_MAX (1024U * 1024)
#define IPC_QUEUE_BYTES (1024U * 1024)
#define IPC_QUEUE_MESSAGES 1024U

/* Few programs say anything of this, so it lies behind a pointer of theirs. */
struct ipc_settings {
    enum ipc_mode mode;
    uint64_t max_message;    /* bytes of one line, without its newline */
    uint64_t queue_bytes;    /* of what waits for a process to read it */
    uint32_t queue_messages; /* the same, counted */
};

/* Those of a program, or the defaults; never NULL. */
const struct ipc_settings *ipc_settings_of(const struct program *p);

/* Which descriptor of the program is its channel: the one that `stdio` calls so,
 * else with `ipc` the first free one from 3 on.  -1: it has none. */
int ipc_descriptor(const struct program *p);
