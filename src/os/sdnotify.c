/* sdnotify.c - the socket of sd_notify(3).
 *
 * Not connected: each datagram goes to the address, so a manager that has opened
 * its socket anew (systemctl daemon-reexec) is reached as before.  Owns one
 * descriptor. */
#include "os/sdnotify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "wire/notify.h"

static int parse_u64(const char *text, uint64_t *ret)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] < '0' || text[0] > '9')
        return -EINVAL;
    *ret = v;
    return 0;
}

/* WATCHDOG_PID, when it is there, says for whom the request is meant. */
static usec_t watchdog_from_environment(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t value, owner;
    if (usec == NULL || parse_u64(usec, &value) < 0 || value == USEC_INFINITY)
        return 0;
    if (pid != NULL && (parse_u64(pid, &owner) < 0 || owner != (uint64_t)getpid()))
        return 0;
    return value;
}

int sdnotify_socket(void)
{
    return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int open_to(const char *text, struct sdnotify *n)
{
    int r = notify_address(text, &n->address, &n->address_len);
    if (r < 0)
        return r;
    n->fd = sdnotify_socket();
    return n->fd < 0 ? -errno : 0;
}

int sdnotify_open(struct sdnotify *ret)
{
    const char *text = getenv("NOTIFY_SOCKET");
    struct sdnotify n = SDNOTIFY_INIT;
    int r = text != NULL && text[0] != '\0' ? open_to(text, &n) : 0;
    n.watchdog = n.fd >= 0 ? watchdog_from_environment() : 0;
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    if (r < 0)
        return r;
    *ret = n;
    return 0;
}

int sdnotify_send(const struct sdnotify *n, const struct buf *state)
{
    if (n->fd < 0)
        return 0;
    if (state->error != 0)
        return state->error;
    ssize_t r = sendto(n->fd, state->data, state->len, MSG_DONTWAIT | MSG_NOSIGNAL,
                       (const struct sockaddr *)&n->address, n->address_len);
    return r < 0 ? -errno : 0;
}

void sdnotify_close(struct sdnotify *n)
{
    cleanup_close(&n->fd);
    n->watchdog = 0;
}
