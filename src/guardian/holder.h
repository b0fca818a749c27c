/* holder.h - what the supervisor and the guardian say to each other.
 *
 * A SOCK_SEQPACKET pair for each supervisor.  The supervisor is the guardian's
 * fork: at its start it has the tables (roll.h) in its own memory, as the guardian
 * knew them at that instant, and every held descriptor open at the same number;
 * only what happens later comes as messages.
 *
 * Nothing here waits for the guardian.  What is told is queued, and sent by
 * holder_flush(), many to a message.  A queue that the guardian does not empty
 * (-EAGAIN) is kept, in order; nothing is lost.  A name is queued once: the last
 * word about it counts. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "base/usec.h"
#include "guardian/roll.h"

struct holder_item;

/* In memory that the guardian and all supervisors share: how many HUPs have come, and up
 * to which of them one has read the files anew. */
struct holder_hups {
    _Atomic uint32_t came, heeded;
};

/* The supervisor's side; made by guardian_run(). */
struct holder {
    int fd; /* readable: holder_receive(); -1 where there is no guardian (tests) */
    pid_t guardian;
    pid_t starter;               /* what was started; not the guardian when that went to the background */
    struct roll *roll;           /* our own copy, as it was when this supervisor was made */
    unsigned generation;         /* 1: the first */
    unsigned early_deaths;       /* of those before, since one said hello */
    unsigned recoveries;         /* took over from one that had died */
    unsigned upgrades;           /* ... or went on in place of another program */
    int last_status;             /* of wait(2): how the one before ended */
    bool last_hung;              /* ... killed by the guardian, since its heart had stopped */
    bool last_upgraded;          /* ... so that the guardian could become this program */
    int upgrade_error;           /* ... but it could not: an errno */
    bool background;             /* the guardian has left the terminal, or is about to */
    bool notify;                 /* a service manager listens */
    usec_t watchdog;             /* it wants to hear from us this often; 0: does not care */
    uint64_t given_fds;          /* daemonize_seal_fds() */
    struct rlimit nofile, nproc; /* as they were before any was raised */
    struct holder_hups *hups;    /* or NULL: no memory */
    struct holder_item *queue;
    size_t n, capacity;
};

/* -- descriptors ------------------------------------------------------------------ */
/* The guardian is to hold a duplicate.  The descriptor is borrowed until the next
 * flush that succeeds: drop the name before you close it.  -ENOMEM, -EINVAL. */
int holder_put(struct holder *h, const char *name, int fd);
int holder_drop(struct holder *h, const char *name);
/* Held when this supervisor began: ours to use and to close, once; or -1. */
int holder_take(struct holder *h, const char *name);
/* All is taken that is wanted: what is left is closed and dropped, and the copy of
 * the tables given back (h->roll is empty from then on). */
void holder_end_of_taking(struct holder *h);

/* 0: the guardian has it all (it survives us from here on); -EAGAIN: some is still
 * queued, try again when the descriptor is writable; -EPIPE: there is no guardian. */
int holder_flush(struct holder *h);
/* The guardian keeps up: what a few starts have for it, it can be told at once. */
bool holder_has_room(const struct holder *h);

/* -- children ------------------------------------------------------------------------ */
/* What a child sends on h->fd just before exec: the call may block, which is the
 * child's own affair, and fails with EPIPE once the supervisor that made it is
 * dead: then it must not exec, since the next supervisor does not count on it. */
#define HOLDER_BORN_SIZE 16 /* the tag is not 0 */
void holder_born(uint64_t tag, unsigned char message[HOLDER_BORN_SIZE]);
/* Its end is on record: the guardian may forget that child. */
int holder_forget(struct holder *h, pid_t pid, uint64_t tag);

struct holder_events {
    /* The guardian has reaped a child of an earlier supervisor; on record until
     * holder_forget().  Those of before our time are in h->roll. */
    void (*ended)(const struct roll_child *child, void *arg);
    /* ... or somebody that nobody knows: PID 1's duty.  Not on record. */
    void (*stranger)(const struct roll_child *child, void *arg);
    /* The program that was sent with holder_upgrade() was asked: a status of wait(2),
     * the exit status one of enum upgrade_answer; 127: it cannot be executed. */
    void (*answer)(int status, void *arg);
    /* It could not hold that: no room, or no descriptor left. */
    void (*refused)(const char *name, void *arg);
    void *arg;
};
/* 0, or -EPIPE: the guardian is gone. */
int holder_receive(struct holder *h, const struct holder_events *e);

/* -- the daemon as a whole ------------------------------------------------------- */
/* Dies with the guardian, from here on; again after each change of user. */
void holder_bind(const struct holder *h);
/* The loop turns and signals are handled: those that came before are passed on now. */
int holder_hello(struct holder *h);
/* Alive; if there is no other within so many milliseconds, the guardian kills us
 * and starts another.  0: none will follow. */
int holder_beat(struct holder *h, unsigned milliseconds);
/* Ends on purpose: the guardian ends, too, with that status. */
int holder_bye(struct holder *h, int status);
/* The same with status 0, but what the service manager stores stays there for the next
 * daemon; to be followed by our end, with everything as it is. */
int holder_leave(struct holder *h);
/* Go to the background and begin again; to be followed by our end. */
int holder_background(struct holder *h);
/* Nothing can be refused any more.  The guardian takes our user, groups and limit
 * of descriptors, and lets the one who started it go. */
int holder_settle(struct holder *h);
/* The guardian is to become this program, and asks it; borrowed until the answer.  If it
 * fits, our end is to follow, and, whatever that is, the next supervisor is the new
 * program's, or the old one's if that did not work. */
int holder_upgrade(struct holder *h, int fd);
/* How many HUPs have come: to be asked before the files are read.  When what was read is
 * with the guardian, those are heeded; of others, a next supervisor is told again. */
uint32_t holder_hups_came(const struct holder *h);
void holder_hups_heeded(const struct holder *h, uint32_t came);
/* Lines of sd_notify(3), from a closed set; -EINVAL, or as sendto(2): may be lost. */
int holder_notify(struct holder *h, const char *lines, size_t len);

void holder_done(struct holder *h);
