/* channel.h - messages to and from one process, over its end of a socketpair.
 *
 * Lines of JSON in both directions, descriptors with some of them, and Node's own
 * protocol, which is answered here and seen by nobody.  Whoever owns a channel is
 * told of every message by a callback, and may in it do anything to this or any
 * other channel: what must not happen inside of it is done at the end of the turn.
 *
 * What is sent waits in a queue of the receiver's that has limits; it leaves at the
 * end of the turn, as much as there is in one write.  A long message that was just read
 * and that nothing waits before goes at once. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/ipc.h"
#include "supervisor/channel_owner.h"
#include "supervisor/loop.h"

struct channels; /* what all of them share */

/* `memory` is a memfd that is taken over when the result is 0, or -1: what a supervisor
 * before us was just reading and writing is gone on with. */
int channels_new(struct loop *loop, int memory, struct channels **ret);
void channels_free(struct channels *s); /* all channels have been freed */

/* Takes over `fd`, which does not block; the settings are copied.  `memory` is a memfd
 * that is taken over as well, or -1: what a supervisor before us has left there is gone
 * on with. */
int channel_new(struct channels *s, int fd, int memory, const struct ipc_settings *settings,
                const struct channel_owner *owner, void *arg, struct channel **ret);
/* Closes it at once and tells nobody: `ended` is not called.  May be called from a callback. */
void channel_free(struct channel *ch);

/* -- sending ---------------------------------------------------------------- */

enum {
    CHANNEL_RESERVE = 1, /* flags: an answer that may use what is kept for answers beyond the limits */
    CHANNEL_MUST = 2,    /* it knows no limit: whoever sends it has one of his own */
};

/* One line, of parts that are copied; the newline is added.  0, -EPIPE (it is closed,
 * or being closed), -ENOBUFS (its queue is full; `room` will be called), -ENOMEM.  A tag
 * other than 0 comes back in `sent`. */
int channel_send(struct channel *ch, const struct iovec *parts, unsigned n, unsigned flags, uint64_t tag);

/* The same with a descriptor, which is taken over when the result is 0: `parts` are a
 * whole NODE_HANDLE, see node_wrap_before().  To a receiver that acknowledges handles
 * the next one goes only after its answer.  The debt is held until the descriptor cannot
 * be lost any more. */
int channel_send_handle(struct channel *ch, const struct iovec *parts, unsigned n, int fd, struct channel_debt *debt,
                        uint64_t tag);

/* For who keeps a descriptor longer than .message; NULL is none. */
struct channel_debt *channel_debt_hold(struct channel_debt *d);
void channel_debt_release(struct channel_debt *d);

/* What was sent with that tag must not go any more: is taken out of the queue, if the
 * socket has nothing of it.  `sent` is not called. */
bool channel_cancel(struct channel *ch, uint64_t tag); /* false: it goes, or has gone */

/* It has refused something, and there has been no room since. */
bool channel_is_full(const struct channel *ch);
/* `room` is to be called as if it had refused something. */
void channel_want_room(struct channel *ch);

/* What waits to be taken by the socket. */
size_t channel_queued_bytes(const struct channel *ch);
uint32_t channel_queued(const struct channel *ch); /* messages */

/* -- reading ---------------------------------------------------------------- */

/* Each who pauses a channel has a reason of his own; it is read when nobody has any.
 * After the call no more messages come, not even of those that were read already. */
enum channel_reason { CHANNEL_PAUSE_RELAY = 1, CHANNEL_PAUSE_PACE = 2, CHANNEL_PAUSE_ANSWERS = 4 };
void channel_pause(struct channel *ch, enum channel_reason reason);
void channel_resume(struct channel *ch, enum channel_reason reason);

/* -- the end ------------------------------------------------------------------ */

/* Nothing more is sent but what waits; then it is closed.  `ended` follows. */
void channel_disconnect(struct channel *ch);

/* The process has ended: what it had sent is read (by and by, where somebody has paused
 * it), then `ended` is called, whoever still has the other end. */
void channel_last_words(struct channel *ch);

bool channel_is_open(const struct channel *ch); /* can be sent to */

/* Of this channel and no other, of whoever goes on after us as well. */
uint64_t channel_id(const struct channel *ch);
/* All messages that were ever sent have a number; the next one's, and that of the last one of
 * which the socket has a part, or which will get there though we are killed.  Those behind one
 * that is taken out move up when .taken_out is called. */
uint64_t channel_next_number(const struct channel *ch);
uint64_t channel_taken_number(const struct channel *ch);
const struct channel_counters *channel_counters(const struct channel *ch);
void channel_count_bounce(struct channel *ch);
/* Within .message: whoever goes on after us does not look at that message again. */
void channel_pass(struct channel *ch);
/* A message of its own waits with whoever owns it, and is lost if we are killed. */
void channel_park(struct channel *ch, bool waits);
