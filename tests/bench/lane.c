/* lane.c - two ends of a lane for messages, and the least that a relay between them can be.
 *
 *   lane end NAME PEER MODE SIZE SECONDS OUT
 *       a process that talks over NODE_CHANNEL_FD to the one called PEER; the one called
 *       "a" begins.  MODE thr: a sends messages of SIZE bytes for SECONDS, b counts them;
 *       OUT gets "a T0_NS COUNT" and "b T1_NS COUNT".  MODE rtt: one message at a time,
 *       there and back; OUT gets "rtt COUNT P50_US P99_US".  MODE fds: thr with a
 *       descriptor in each, which nobody acknowledges.  MODE acks: one descriptor at a
 *       time, each acknowledged as Node does it.
 *   lane copy COMMAND... -- COMMAND...
 *       runs both and carries whole lines, found by their newlines, from each to the
 *       other: no look at what they say.  Descriptors go with the line that they came with;
 *       each hop acknowledges by itself, as a relay between Node programs has to.
 *
 * Everything is bounded: by SECONDS, by buffers of fixed size, by a sample's count.
 * Linked statically. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (4U << 20)
#define READ 65536
#define SAMPLES_MAX (1U << 20)
#define ACK "{\"cmd\":\"NODE_HANDLE_ACK\"}\n"

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "lane: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

/* -- bytes and descriptors ---------------------------------------------------- */

union control {
    char bytes[CMSG_SPACE(sizeof(int) * 8)];
    struct cmsghdr header;
};

static ssize_t send_some(int s, const char *p, size_t len, int fd)
{
    union control u;
    struct iovec part = { (void *)(uintptr_t)p, len };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
    if (fd < 0)
        return send(s, p, len, MSG_NOSIGNAL);
    m.msg_control = u.bytes;
    m.msg_controllen = CMSG_SPACE(sizeof(int));
    u.header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
    memcpy(CMSG_DATA(&u.header), &fd, sizeof(fd));
    return sendmsg(s, &m, MSG_NOSIGNAL);
}

static void send_all(int s, const char *p, size_t len, int fd)
{
    while (len > 0) {
        ssize_t n = send_some(s, p, len, fd);
        if (n < 0 && (errno == ETOOMANYREFS || errno == EAGAIN)) {
            poll(NULL, 0, 1);
            continue;
        }
        if (n < 0)
            die("send");
        p += n;
        len -= (size_t)n;
        fd = -1;
    }
}

/* *fd: the one that came, or -1; more than one closes the others. */
static ssize_t receive(int s, char *p, size_t len, int *fd)
{
    union control u;
    struct iovec part = { p, len };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = u.bytes, .msg_controllen = sizeof(u) };
    ssize_t n = recvmsg(s, &m, MSG_CMSG_CLOEXEC);
    *fd = -1;
    for (struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL; c != NULL; c = CMSG_NXTHDR(&m, c)) {
        if (c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
            int got;
            memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(got));
            if (*fd >= 0)
                close(*fd);
            *fd = got;
        }
    }
    return n;
}

/* -- an end -------------------------------------------------------------------- */

struct end {
    int s;
    char *in;
    size_t from, looked, have;
    uint64_t descriptors;
};

/* The next line with its newline; NULL when nothing came for `ms`. */
static char *line(struct end *e, size_t *len, int ms)
{
    for (;;) {
        char *newline = memchr(e->in + e->looked, '\n', e->have - e->looked);
        if (newline != NULL) {
            char *begin = e->in + e->from;
            *len = (size_t)(newline + 1 - begin);
            e->from = e->looked = (size_t)(newline + 1 - e->in);
            return begin;
        }
        e->looked = e->have;
        if (e->from > 0 && BUFFER - e->have < READ) {
            memmove(e->in, e->in + e->from, e->have -= e->from);
            e->looked -= e->from;
            e->from = 0;
        }
        if (ms >= 0 && poll(&(struct pollfd){ .fd = e->s, .events = POLLIN }, 1, ms) <= 0)
            return NULL;
        int fd;
        ssize_t n = receive(e->s, e->in + e->have, READ, &fd);
        if (n <= 0)
            die("the other end is gone");
        if (fd >= 0) {
            close(fd);
            e->descriptors++;
        }
        e->have += (size_t)n;
    }
}

static bool says(const char *text, size_t len, const char *word)
{
    return len < 128 && memmem(text, len, word, strlen(word)) != NULL;
}

/* A message of that many bytes with its newline, shaped like a report of many small members. */
static size_t compose(char *out, size_t size, const char *peer, bool handle)
{
    const char *before = handle ? "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":" : "";
    const char *behind = handle ? "\"}}}\n" : "\"}}\n";
    size_t n = (size_t)snprintf(out, 256, "%s{\"to\":\"%s\",\"msg\":{", before, peer);
    if (size >= 512) {
        n += (size_t)snprintf(out + n, 16, "\"items\":[");
        for (unsigned i = 0; n + 160 < size; i++)
            n += (size_t)snprintf(out + n, 128,
                                  "%s{\"id\":%u,\"name\":\"worker-%u\",\"state\":\"running\",\"pid\":%u,\"up\":true,"
                                  "\"load\":0.25}",
                                  i > 0 ? "," : "", i, i, 4000 + i);
        n += (size_t)snprintf(out + n, 8, "],");
    }
    n += (size_t)snprintf(out + n, 8, "\"p\":\"");
    while (n + strlen(behind) < size)
        out[n++] = 'x';
    memcpy(out + n, behind, strlen(behind));
    return n + strlen(behind);
}

static void note(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(const char *path, const char *format, ...)
{
    va_list ap;
    char text[200];
    va_start(ap, format);
    int n = vsnprintf(text, sizeof(text), format, ap);
    va_end(ap);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, (size_t)n) < 0)
        die(path);
    close(fd);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

struct play {
    const char *mode, *out;
    char *message;
    size_t len;
    uint64_t until;
    char word[200];
};

/* a: until b says that it is there. */
static void meet(struct end *e, const char *peer)
{
    char hello[200];
    size_t len;
    int n = snprintf(hello, sizeof(hello), "{\"to\":\"%s\",\"msg\":\"hello\",\"id\":1}\n", peer);
    for (;;) {
        send_all(e->s, hello, (size_t)n, -1);
        for (char *text; (text = line(e, &len, 20)) != NULL;)
            if (says(text, len, "\"ready\""))
                return;
    }
}

static void flood(struct end *e, const struct play *p, bool descriptors)
{
    uint64_t begin = now(), n = 0;
    do {
        send_all(e->s, p->message, p->len, descriptors ? 0 : -1);
        n++;
    } while (now() < p->until);
    send_all(e->s, p->word, strlen(p->word), -1);
    note(p->out, "a %llu %llu\n", (unsigned long long)begin, (unsigned long long)n);
}

/* One at a time: back from the other end, or, with descriptors, acknowledged by the next one. */
static void exchange(struct end *e, const struct play *p, bool descriptors)
{
    uint64_t *samples = calloc(SAMPLES_MAX, sizeof(*samples)), begin = now();
    size_t n = 0, len;
    for (uint64_t at = begin; at < p->until && n < SAMPLES_MAX;) {
        send_all(e->s, p->message, p->len, descriptors ? 0 : -1);
        line(e, &len, -1);
        uint64_t then = now();
        samples[n++] = then - at;
        at = then;
    }
    if (descriptors) {
        send_all(e->s, p->word, strlen(p->word), -1);
        note(p->out, "a %llu %zu\n", (unsigned long long)begin, n);
        return;
    }
    qsort(samples, n, sizeof(*samples), compare);
    note(p->out, "rtt %zu %.1f %.1f\n", n, (double)samples[n / 2] / 1e3, (double)samples[n * 99 / 100] / 1e3);
    send_all(e->s, p->word, strlen(p->word), -1);
}

static void answer(struct end *e, const struct play *p, const char *peer)
{
    bool back = strcmp(p->mode, "rtt") == 0, acks = strcmp(p->mode, "acks") == 0;
    char ready[200];
    uint64_t n = 0;
    int ready_len = snprintf(ready, sizeof(ready), "{\"to\":\"%s\",\"msg\":\"ready\"}\n", peer);
    for (;;) {
        size_t len;
        char *text = line(e, &len, -1);
        if (says(text, len, "\"end\""))
            break;
        if (says(text, len, "\"hello\"")) {
            send_all(e->s, ready, (size_t)ready_len, -1);
            continue;
        }
        n++;
        if (back)
            send_all(e->s, p->message, p->len, -1);
        else if (acks)
            send_all(e->s, ACK, sizeof(ACK) - 1, -1);
    }
    if (e->descriptors > 0 && e->descriptors != n)
        note(p->out, "lost %lld\n", (long long)(n - e->descriptors));
    note(p->out, "b %llu %llu\n", (unsigned long long)now(), (unsigned long long)n);
}

static int end(char **argv)
{
    const char *name = argv[0], *peer = argv[1];
    struct play p = { .mode = argv[2], .out = argv[5] };
    size_t size = strtoul(argv[3], NULL, 10);
    bool handle = strcmp(p.mode, "fds") == 0 || strcmp(p.mode, "acks") == 0;
    struct end e = { .s = (int)strtol(getenv("NODE_CHANNEL_FD"), NULL, 10), .in = malloc(BUFFER) };
    p.message = malloc(size + 512);
    if (e.in == NULL || p.message == NULL)
        die("memory");
    p.len = compose(p.message, size, peer, handle);
    snprintf(p.word, sizeof(p.word), "{\"to\":\"%s\",\"msg\":\"end\"}\n", peer);
    if (strcmp(name, "a") != 0) {
        answer(&e, &p, peer);
        return 0;
    }
    meet(&e, peer);
    p.until = now() + (uint64_t)(strtod(argv[4], NULL) * 1e9);
    if (strcmp(p.mode, "thr") == 0 || strcmp(p.mode, "fds") == 0)
        flood(&e, &p, handle);
    else
        exchange(&e, &p, handle);
    return 0;
}

/* -- the least relay -------------------------------------------------------------- */

struct side {
    int s;
    bool open;
    unsigned watched;
    char *in, *out;
    size_t in_len, out_from, out_len;
    int pass;     /* goes with the next line for it */
    bool unacked; /* and was not acknowledged yet */
};

static struct side sides[2];
static int epoll;
static bool hops;

static void flush(struct side *d)
{
    while (d->open && d->out_from < d->out_len && !(d->pass >= 0 && d->unacked)) {
        ssize_t n = send_some(d->s, d->out + d->out_from, d->out_len - d->out_from, d->pass);
        if (n < 0)
            break;
        if (d->pass >= 0) {
            close(d->pass);
            d->pass = -1;
            d->unacked = hops;
        }
        d->out_from += (size_t)n;
    }
    if (d->out_from == d->out_len)
        d->out_from = d->out_len = 0;
}

static void carry(struct side *d, const char *lines, size_t len)
{
    if (BUFFER - d->out_len < len) {
        memmove(d->out, d->out + d->out_from, d->out_len -= d->out_from);
        d->out_from = 0;
    }
    memcpy(d->out + d->out_len, lines, len);
    d->out_len += len;
}

static bool take(struct side *s, struct side *d)
{
    int fd;
    ssize_t n = receive(s->s, s->in + s->in_len, READ, &fd);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    if (fd >= 0) {
        d->pass = fd;
        if (hops)
            send_all(s->s, ACK, sizeof(ACK) - 1, -1);
    }
    char *from = s->in, *at = s->in + s->in_len, *newline;
    s->in_len += (size_t)n;
    if (hops && s->unacked && memmem(s->in, s->in_len, "_ACK\"}\n", 7) != NULL) {
        s->unacked = false;
        s->in_len = 0;
        flush(s);
        return true;
    }
    while ((newline = memchr(at, '\n', (size_t)(s->in + s->in_len - at))) != NULL) {
        carry(d, from, (size_t)(newline + 1 - from));
        from = at = newline + 1;
    }
    if (from > s->in)
        memmove(s->in, from, s->in_len -= (size_t)(from - s->in));
    flush(d);
    return true;
}

static void watch(int i)
{
    struct side *s = &sides[i], *d = &sides[!i];
    bool room = d->out_len - d->out_from < READ * 4 && d->pass < 0;
    unsigned events = (room ? EPOLLIN : 0U) | (s->out_len > s->out_from ? EPOLLOUT : 0U);
    if (s->unacked)
        events = (events | EPOLLIN) & ~(unsigned)(s->pass >= 0 ? EPOLLOUT : 0);
    if (!s->open || events == s->watched)
        return;
    s->watched = events;
    epoll_ctl(epoll, EPOLL_CTL_MOD, s->s, &(struct epoll_event){ .events = events, .data.u32 = (uint32_t)i });
}

static void begin(int i, char **command)
{
    int pair[2];
    char number[16];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        die("socketpair");
    for (int end_ = 0; end_ < 2; end_++) /* as Drover's are */
        setsockopt(pair[end_], SOL_SOCKET, SO_SNDBUF, &(int){ 1024 * 1024 }, sizeof(int));
    sides[i] = (struct side){ .s = pair[0], .open = true, .in = malloc(BUFFER), .out = malloc(BUFFER), .pass = -1 };
    if (fork() == 0) {
        snprintf(number, sizeof(number), "%d", dup(pair[1]));
        setenv("NODE_CHANNEL_FD", number, 1);
        setenv("NODE_CHANNEL_SERIALIZATION_MODE", "json", 1);
        execvp(command[0], command);
        _exit(127);
    }
    close(pair[1]);
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    sides[i].watched = EPOLLIN;
    epoll_ctl(epoll, EPOLL_CTL_ADD, pair[0], &(struct epoll_event){ .events = EPOLLIN, .data.u32 = (uint32_t)i });
}

static int copy(char **argv)
{
    char **second = argv;
    while (*second != NULL && strcmp(*second, "--") != 0)
        second++;
    if (*second == NULL)
        return 2;
    *second++ = NULL;
    hops = getenv("LANE_HOPS") != NULL;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    begin(0, argv);
    begin(1, second);
    while (sides[0].open || sides[1].open) {
        struct epoll_event ev[2];
        int n = epoll_wait(epoll, ev, 2, -1);
        for (int k = 0; k < n; k++) {
            unsigned i = ev[k].data.u32;
            if ((ev[k].events & EPOLLOUT) != 0)
                flush(&sides[i]);
            if (sides[i].open && (ev[k].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 &&
                !take(&sides[i], &sides[!i])) {
                close(sides[i].s);
                sides[i].open = false;
            }
            watch(0);
            watch(1);
        }
    }
    while (wait(NULL) > 0)
        ;
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 8 && strcmp(argv[1], "end") == 0 && getenv("NODE_CHANNEL_FD") != NULL)
        return end(argv + 2);
    if (argc > 4 && strcmp(argv[1], "copy") == 0)
        return copy(argv + 2);
    fprintf(stderr, "usage: lane end NAME PEER MODE SIZE SECONDS OUT | lane copy COMMAND... -- COMMAND...\n");
    return 2;
}
