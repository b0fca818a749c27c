/* child_ipc.h - the channels of a process: that of its present run, and those of
 * earlier ones that have not been read to their end; what it has sent to the
 * supervisor, and who wants to hear of it. */
#pragma once

#include "supervisor/channel.h"
#include "supervisor/child.h"
#include "supervisor/messages.h"
#include "supervisor/relay.h"
#include "wire/envelope.h"

/* What is looked for in every message. */
enum { IPC_KEY_RE = ENVELOPE_RE };

/* Somebody who listens.  Each of these may be NULL, and may end only its own watch. */
struct ipc_watch {
    struct ipc_watch *next, **at;
    void (*message)(const struct channel_message *m, void *arg);
    void (*room)(void *arg);  /* there is room to send again */
    void (*ended)(void *arg); /* the channel of a run has come to its end */
    void (*gone)(void *arg);  /* the process is about to be freed; the watch has ended */
    void *arg;
};

/* It takes part in the relay, or no longer, as its program says; while it is down. */
int child_ipc_join(struct child *c);
struct relay_lane *child_lane(const struct child *c); /* NULL: it takes no part */

/* Takes over the descriptor of a run, and its memory (channel_new()); on failure they
 * remain the caller's. */
int child_ipc_begin(struct child *c, int fd, int memory, pid_t run);
/* Its program runs. */
void child_ipc_started(struct child *c);
/* It never did, so nothing is told. */
void child_ipc_abandon(struct child *c);
/* It has ended: what it had sent is told before its exit. */
void child_ipc_last_words(struct child *c);
bool child_ipc_is_open(const struct child *c, pid_t run);
void child_ipc_free(struct child *c);

/* The channel that it can be reached through, or NULL. */
struct channel *child_channel(const struct child *c);

struct child_ipc_state {
    bool open;
    int fd; /* its number in the process */
    uint32_t queued;
    struct channel_counters counters; /* of the present or the last run */
};
/* False: it has none, and never had one. */
bool child_ipc_state(const struct child *c, struct child_ipc_state *ret);

/* What it has sent; NULL: nothing yet. */
const struct messages *child_messages(const struct child *c);
/* A number for a question, which its answer will have as `re`. */
uint64_t child_ipc_next_id(struct child *c);

int child_ipc_watch(struct child *c, struct ipc_watch *w); /* -ENOMEM */
void child_ipc_unwatch(struct child *c, struct ipc_watch *w);
const struct ipc_watch *child_ipc_watches(const struct child *c); /* by .next */

/* A watch that sets the pace: what the process sends is not read while it is held.
 * -EBUSY: another does so already.  The end of the watch ends it. */
int child_ipc_pace(struct child *c, struct ipc_watch *w);
void child_ipc_hold(struct child *c, bool hold);
