/* store.c - see store.h.
 *
 * Names in the store are ours with a plus in front, so that they are told from the
 * sockets of socket units, which come in the same list.  FDPOLL=0 always: otherwise
 * the manager throws away a pipe whose writer has gone, with what is still in it. */
#include "guardian/store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

#define FIRST_FD 3 /* of those that the manager passes */
#define PASSED_MAX 4096

static long number_of(const char *variable)
{
    const char *text = getenv(variable);
    char *end = NULL;
    long value = text != NULL ? strtol(text, &end, 10) : -1;
    return text != NULL && end != text && *end == '\0' && value >= 0 && value <= PASSED_MAX * 1024L ? value : -1;
}

static bool send_lines(const struct guardian *g, const char *lines, int fd)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = { 0 };
    struct msghdr m = { .msg_name = (void *)(uintptr_t)&g->manager.address,
                        .msg_namelen = g->manager.address_len,
                        .msg_iov = &(struct iovec){ (void *)(uintptr_t)lines, strlen(lines) },
                        .msg_iovlen = 1 };
    if (fd >= 0) {
        m.msg_control = control;
        m.msg_controllen = sizeof(control);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    return sendmsg(g->manager.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* Where the name is among those that are stored; n_stored: it is not. */
static unsigned find(const struct guardian *g, uint64_t name)
{
    unsigned i = 0;
    while (i < g->n_stored && g->stored[i] != name)
        i++;
    return i;
}

void store_drop(struct guardian *g, uint64_t name)
{
    char lines[64], text[ROLL_NAME_MAX + 1];
    unsigned i = find(g, name);
    if (i == g->n_stored)
        return;
    g->stored[i] = g->stored[--g->n_stored];
    snprintf(lines, sizeof(lines), "FDSTOREREMOVE=1\nFDNAME=+%s\n", roll_name_text(name, text));
    send_lines(g, lines, -1);
}

void store_clear(struct guardian *g)
{
    while (g->n_stored > 0)
        store_drop(g, g->stored[0]);
}

void store_put(struct guardian *g, uint64_t name, int fd)
{
    char lines[64], text[ROLL_NAME_MAX + 1];
    store_drop(g, name);
    if (g->n_stored >= g->store_max)
        return;
    snprintf(lines, sizeof(lines), "FDSTORE=1\nFDPOLL=0\nFDNAME=+%s\n", roll_name_text(name, text));
    if (send_lines(g, lines, fd))
        g->stored[g->n_stored++] = name;
}

/* -- at the start ------------------------------------------------------------------ */

/* Moves it out of the low numbers; whoever counts what was passed finds a gap. */
static void take_back(struct guardian *g, const char *text, size_t len, int fd)
{
    char name[ROLL_NAME_MAX + 1] = "";
    int before = -1, high = len <= ROLL_NAME_MAX ? fcntl(fd, F_DUPFD_CLOEXEC, 256) : -1;
    close(fd);
    if (high < 0)
        return;
    memcpy(name, text, len);
    if (roll_hold(&g->roll, roll_name(name), high, &before) < 0) {
        close(high);
        return;
    }
    cleanup_close(&before); /* of a name that was stored twice the last one is the newest */
    if (find(g, roll_name(name)) == g->n_stored && g->n_stored < STORE_MAX)
        g->stored[g->n_stored++] = roll_name(name);
}

void store_open(struct guardian *g)
{
    long max = number_of("FDSTORE"), n = number_of("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    unsetenv("FDSTORE");
    g->store_max = g->manager.fd < 0 || max < 0 ? 0 : max < STORE_MAX ? (unsigned)max : STORE_MAX;
    if (number_of("LISTEN_PID") != (long)getpid() || names == NULL)
        return;
    for (long i = 0; i < n && i < PASSED_MAX; i++) {
        size_t len = strcspn(names, ":");
        if (*names == '+')
            take_back(g, names + 1, len - 1, FIRST_FD + (int)i);
        names += len + (names[len] == ':');
    }
}
