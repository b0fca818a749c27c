/* notify.h - the text of sd_notify(3): what a service tells its manager. */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "base/buf.h"
#include "base/usec.h"

/* A state is lines of NAME=VALUE; these append one each.  A datagram may carry several. */
void notify_ready(struct buf *b);
void notify_reloading(struct buf *b, usec_t now); /* to be followed by notify_ready() when done; now: CLOCK_MONOTONIC */
void notify_stopping(struct buf *b);
void notify_status(struct buf *b, const char *text); /* control characters become blanks */

/* NOTIFY_SOCKET's value as an address: a path, or "@name" for an abstract one.
 * -EINVAL when it is neither, -ENAMETOOLONG. */
int notify_address(const char *text, struct sockaddr_un *ret, socklen_t *ret_len);
