/* mail.h - the guardian's state, for all of its parts; and its end of the pair to the
 * supervisor, and what it tells the service manager. */
#pragma once

#include <signal.h>
#include <stdbool.h>

#include "guardian/holder.h"
#include "guardian/message.h"
#include "os/sdnotify.h"

#define OWED_MAX 512
#define OWE_EVERY (20 * USEC_PER_MSEC) /* how often a manager without room is told again */
#define STORE_MAX 512                  /* storing costs the manager time by the square of them */

/* What the service manager stores, or is to; see store.h. */
struct store {
    uint32_t max;    /* how many it takes; 0: it has no store */
    uint32_t n;      /* names here: those that are wanted, and behind each at most one that is to go */
    uint32_t n_owed; /* ... of which it has not yet been told */
    uint64_t names[2 * STORE_MAX];
    uint8_t states[2 * STORE_MAX];
};

struct guardian {
    int (*supervise)(struct holder *h, void *arg);
    void *arg;
    struct holder holder; /* what each supervisor begins with */
    struct sdnotify manager;
    sigset_t mask_before;
    int signals;      /* signalfd */
    int socket;       /* to the supervisor; -1: none, or it has closed its end */
    int let_go;       /* a byte to the one who waits for us to be in the background; -1 */
    pid_t supervisor; /* 0: none now */
    int status;       /* of the supervisor that has ended */
    bool hello, bye, keeping, to_background, settled;
    int bye_status;
    bool gather;        /* children are being born */
    bool untold;        /* the supervisor has not yet taken all we have to say */
    uint64_t pending;   /* signals to pass on at hello; bit: number */
    uint64_t asked;     /* signals of those that end us which came */
    usec_t start_at;    /* of the next supervisor */
    usec_t beat_within; /* what the supervisor has promised; 0: nothing */
    usec_t beat_by;     /* ... so by then */
    usec_t feed_at;     /* the service manager's watchdog */
    usec_t owe_at;      /* when it is told again what it had no room for */
    size_t n_owed;      /* 0: nothing */
    char owed[OWED_MAX];
    char **argv;    /* as we were started */
    int fresh;      /* the program that we are to become, or -1 */
    bool ask, fits; /* it is to be asked; it has said yes, and follows this supervisor */
    pid_t asking;   /* the one that answers; 0: none */
    usec_t ask_by;
    struct store store;
    struct roll roll;
};

/* Tells the manager once more what it had no room for: a state, what it is to store. */
void mail_tell_owed(struct guardian *g);
bool mail_owes(const struct guardian *g);
/* At the end: waits for the manager to take what it is owed, for five seconds at most. */
void mail_finish(struct guardian *g);
/* Takes one message and does what it says; false: there is none now. */
bool mail_receive(struct guardian *g);
/* One message; false: the supervisor has no room for it. */
bool mail_tell(const struct guardian *g, struct message_op op, const void *data, size_t len);
/* Tells of those on the roll who have ended, as far as the supervisor has room for it. */
void mail_tell_ends(struct guardian *g);
