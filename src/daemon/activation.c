/* activation.c - see activation.h.
 *
 * The protocol: LISTEN_FDS descriptors from number 3 on, LISTEN_PID says for
 * whom, LISTEN_FDNAMES has a name for each, with colons between.  Owns the
 * descriptors for as long as the daemon runs: a server that is made anew (reload)
 * listens on a duplicate, and clients that connect meanwhile wait in the backlog.
 *
 * The environment is the manager's word, but it may also be a leftover of some
 * parent: descriptors that are not listening sockets are left alone. */
#include "daemon/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

#define FIRST_FD 3
#define SOCKETS_MAX 1024 /* what the guardian had stored among them; it has taken those out */

/* A number that is the whole text, or -1. */
static long number_of(const char *variable)
{
    const char *text = getenv(variable);
    char *end;
    if (text == NULL || text[0] < '0' || text[0] > '9')
        return -1;
    errno = 0;
    long value = strtol(text, &end, 10);
    return errno == 0 && *end == '\0' ? value : -1;
}

/* The i-th of the names, "" when there is none. */
static char *name_at(const char *names, size_t i)
{
    for (; i > 0 && *names != '\0'; i--) {
        names += strcspn(names, ":");
        names += *names == ':';
    }
    return strndup(names, strcspn(names, ":"));
}

static bool take_one(int fd, const char *names, size_t i, struct passed_socket *to)
{
    int listening = 0;
    socklen_t len = sizeof(listening);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 || !listening)
        return false;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return false;
    *to = (struct passed_socket){ .fd = fd, .name = name_at(names, i) };
    return true;
}

static void take_all(size_t n, const char *names, struct passed_sockets *p)
{
    p->list = calloc(n, sizeof(*p->list));
    for (size_t i = 0; p->list != NULL && i < n; i++)
        if (take_one(FIRST_FD + (int)i, names, i, &p->list[p->n]))
            p->n++;
}

void activation_take(pid_t starter, struct passed_sockets *ret)
{
    long pid = number_of("LISTEN_PID"), n = number_of("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    *ret = (struct passed_sockets){ 0 };
    if (pid == (long)starter && n > 0 && n <= SOCKETS_MAX)
        take_all((size_t)n, names != NULL ? names : "", ret);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

void activation_complain(const struct passed_sockets *passed, const struct config *config)
{
    for (size_t i = 0; i < passed->n; i++) {
        bool served = false;
        for (size_t k = 0; k < config->n_servers; k++)
            served = served || listener_fits(&config->servers[k], &passed->list[i]);
        if (!served)
            log_warn("socket %s, passed to the daemon, is not used: no section has its path (or, on TCP, its name)",
                     passed->list[i].name != NULL ? passed->list[i].name : "?");
    }
}

void activation_done(struct passed_sockets *passed)
{
    for (size_t i = 0; i < passed->n; i++) {
        cleanup_close(&passed->list[i].fd);
        free(passed->list[i].name);
    }
    free(passed->list);
    *passed = (struct passed_sockets){ 0 };
}
