/* mail.h - the guardian's state, and its end of the pair to the supervisor; for
 * guardian.c and mail.c. */
#pragma once

#include <signal.h>
#include <stdbool.h>

#include "guardian/holder.h"
#include "guardian/message.h"
#include "os/sdnotify.h"

#define OWED_MAX 512
#define STORE_MAX 512 /* storing costs the manager time by the square of them */

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
    unsigned store_max, n_stored; /* of the service manager's store; 0: it has none */
    uint64_t stored[STORE_MAX];   /* names that are in it */
    struct roll roll;
};

usec_t clock_now(void);

/* Tells the manager once more what it had no room for. */
void mail_tell_owed(struct guardian *g);
/* Takes one message and does what it says; false: there is none now. */
bool mail_receive(struct guardian *g);
/* One message; false: the supervisor has no room for it. */
bool mail_tell(const struct guardian *g, struct message_op op, const void *data, size_t len);
/* Tells of those on the roll who have ended, as far as the supervisor has room for it. */
void mail_tell_ends(struct guardian *g);
