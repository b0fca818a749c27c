/* sdnotify.h - speaking to the service manager that started us, if one did.
 *
 * Reads and unsets NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, so that jobs
 * do not inherit them and speak in our name. */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "base/buf.h"
#include "base/usec.h"

struct sdnotify {
    int fd;          /* -1: nobody wants to hear */
    usec_t watchdog; /* how often WATCHDOG=1 is expected at the latest; 0: never */
    struct sockaddr_un address;
    socklen_t address_len;
};

#define SDNOTIFY_INIT ((struct sdnotify){ .fd = -1 })

/* 0 also when there is no manager; a negative errno when it cannot be
 * spoken to (the environment is cleaned all the same). */
int sdnotify_open(struct sdnotify *n);
/* A socket for an address that is known already; or -1. */
int sdnotify_socket(void);

/* One datagram with the lines of wire/notify.h; never waits.  -EAGAIN when the
 * manager is behind: try again later.  0 when there is no manager. */
int sdnotify_send(const struct sdnotify *n, const struct buf *state);
void sdnotify_close(struct sdnotify *n);
