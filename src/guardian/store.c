/* store.c - see store.h.
 *
 * Names in the store are ours with a plus in front, so that they are told from the
 * sockets of socket units, which come in the same list.  FDPOLL=0 always: otherwise
 * the manager throws away a pipe whose writer has gone, with what is still in it.
 *
 * Each name that the manager has or is to have has a state, and a table below says what
 * becomes of it.  Which descriptor a name stands for is the roll's word when the message
 * goes out, so nothing is kept open for a manager that does not listen.  Removals go
 * before additions: a store that is full refuses without a word. */
#include "guardian/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"

#define FIRST_FD 3 /* of those that the manager passes */
#define PASSED_MAX 4096

enum state {
    STORED, /* nothing is owed */
    TO_ADD,
    TO_REPLACE, /* it has an older one, which it is told to remove before */
    TO_REMOVE,
    NOWHERE, /* not in the table */
};

static const uint8_t next[][2] = {
    /* when the name is put, and when it is dropped */
    [STORED] = { TO_REPLACE, TO_REMOVE },    [TO_ADD] = { TO_ADD, NOWHERE },  [TO_REPLACE] = { TO_REPLACE, TO_REMOVE },
    [TO_REMOVE] = { TO_REPLACE, TO_REMOVE }, [NOWHERE] = { TO_ADD, NOWHERE },
};

static long number_of(const char *variable)
{
    const char *text = getenv(variable);
    char *end = NULL;
    long value = text != NULL ? strtol(text, &end, 10) : -1;
    return text != NULL && end != text && *end == '\0' && value >= 0 && value <= PASSED_MAX * 1024L ? value : -1;
}

/* False: there is no room now.  Another failure is the last word. */
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
    return sendmsg(g->manager.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ||
           (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM && errno != ETOOMANYREFS);
}

/* -- the table ---------------------------------------------------------------------- */

/* Where the name is; n: it is not. */
static uint32_t find(const struct store *s, uint64_t name)
{
    uint32_t i = 0;
    while (i < s->n && s->names[i] != name)
        i++;
    return i;
}

static enum state state_of(const struct store *s, uint32_t i)
{
    return i < s->n ? (enum state)s->states[i] : NOWHERE;
}

/* From NOWHERE, i is n; to NOWHERE, the last one takes its place. */
static void set(struct store *s, uint32_t i, uint64_t name, enum state state)
{
    enum state before = state_of(s, i);
    s->n_owed -= before != STORED && before != NOWHERE;
    s->n_owed += state != STORED && state != NOWHERE;
    s->n += before == NOWHERE && state != NOWHERE;
    if (state != NOWHERE) {
        s->names[i] = name;
        s->states[i] = (uint8_t)state;
    } else if (before != NOWHERE) {
        s->n--;
        s->names[i] = s->names[s->n];
        s->states[i] = s->states[s->n];
    }
}

static bool is_full(const struct store *s)
{
    uint32_t wanted = 0;
    for (uint32_t i = 0; i < s->n; i++)
        wanted += s->states[i] != TO_REMOVE;
    return wanted >= s->max || s->n == ELEMENTS(s->names);
}

bool store_is_whole(const struct store *s)
{
    uint32_t owed = 0;
    for (uint32_t i = 0; i < s->n && i < ELEMENTS(s->names); i++) {
        if (s->states[i] >= NOWHERE)
            return false;
        owed += s->states[i] != STORED;
    }
    return s->max <= STORE_MAX && s->n <= ELEMENTS(s->names) && s->n_owed == owed;
}

/* -- telling ------------------------------------------------------------------------- */

static bool tell_removal(struct guardian *g, uint32_t i)
{
    char lines[64], text[ROLL_NAME_MAX + 1];
    struct store *s = &g->store;
    enum state state = state_of(s, i);
    snprintf(lines, sizeof(lines), "FDSTOREREMOVE=1\nFDNAME=+%s\n", roll_name_text(s->names[i], text));
    if (!send_lines(g, lines, -1))
        return false;
    set(s, i, s->names[i], state == TO_REPLACE ? TO_ADD : NOWHERE);
    return true;
}

static bool tell_addition(struct guardian *g, uint32_t i)
{
    char lines[64], text[ROLL_NAME_MAX + 1];
    struct store *s = &g->store;
    int fd = roll_held(&g->roll, s->names[i]);
    snprintf(lines, sizeof(lines), "FDSTORE=1\nFDPOLL=0\nFDNAME=+%s\n", roll_name_text(s->names[i], text));
    if (fd >= 0 && !send_lines(g, lines, fd))
        return false;
    set(s, i, s->names[i], fd >= 0 ? STORED : NOWHERE);
    return true;
}

void store_tell(struct guardian *g)
{
    const struct store *s = &g->store;
    bool room = true;
    for (uint32_t i = s->n; i-- > 0 && room;) /* from behind: the last one fills a gap */
        if (s->states[i] == TO_REMOVE || s->states[i] == TO_REPLACE)
            room = tell_removal(g, i);
    for (uint32_t i = s->n; i-- > 0 && room;)
        if (s->states[i] == TO_ADD)
            room = tell_addition(g, i);
    if (s->n_owed > 0)
        g->owe_at = usec_now(CLOCK_MONOTONIC) + OWE_EVERY;
}

/* While anything is owed, what comes later waits behind it. */
static void change(struct guardian *g, uint64_t name, bool put)
{
    struct store *s = &g->store;
    uint32_t i = find(s, name);
    enum state before = state_of(s, i);
    put = put && s->max > 0; /* of what was given back by a store that is none any more */
    bool first = s->n_owed == 0;
    if (put && (before == NOWHERE || before == TO_REMOVE) && is_full(s))
        return;
    set(s, i, name, (enum state)next[before][put ? 0 : 1]);
    if (first && s->n_owed > 0)
        store_tell(g);
}

void store_put(struct guardian *g, uint64_t name)
{
    change(g, name, true);
}

void store_drop(struct guardian *g, uint64_t name)
{
    change(g, name, false);
}

void store_clear(struct guardian *g)
{
    struct store *s = &g->store;
    for (uint32_t i = s->n; i-- > 0;)
        set(s, i, s->names[i], (enum state)next[s->states[i]][1]);
    store_tell(g);
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
    uint32_t i = find(&g->store, roll_name(name));
    if (i < ELEMENTS(g->store.names))
        set(&g->store, i, roll_name(name), STORED);
}

void store_open(struct guardian *g)
{
    long max = number_of("FDSTORE"), n = number_of("LISTEN_FDS");
    const char *names = getenv("LISTEN_FDNAMES");
    unsetenv("FDSTORE");
    g->store.max = g->manager.fd < 0 || max < 0 ? 0 : max < STORE_MAX ? (uint32_t)max : STORE_MAX;
    if (number_of("LISTEN_PID") != (long)getpid() || names == NULL)
        return;
    for (long i = 0; i < n && i < PASSED_MAX; i++) {
        size_t len = strcspn(names, ":");
        if (*names == '+')
            take_back(g, names + 1, len - 1, FIRST_FD + (int)i);
        names += len + (names[len] == ':');
    }
}
