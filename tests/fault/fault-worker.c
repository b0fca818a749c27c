/* fault-worker.c - a worker of tests/fault that talks to others over its channel.
 *
 *     fault-worker DIRECTORY NAME PEERS SENDERS
 *
 * Until the file `gate` is gone it sends numbered messages to its peers, a few at a
 * time: three of four are to be acknowledged by the daemon, one is a question; of ten
 * one is neither, if it goes to a peer that is known to be there, and some are long,
 * of either kind.  It answers questions.  In the end it asks each peer once more and
 * waits for those answers and for such a question of all its senders, so that all that
 * was said before has come, too: then its trace is `quiet`.  It dies of whatever is not
 * as it was sent.
 *
 * Its book, DIRECTORY/book.NAME, says what became of each:
 *
 *     s TO N      sent message N          k N   it was acknowledged     b N   it bounced
 *     r FROM N    received message N
 *     w TO K      wrote answer K          v FROM K N   got answer K, to message N
 *     e TO N      message N was the last one
 *
 * worker.js and worker.py do the same. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "trace.h"

#define PEERS_MAX 8
#define ROOM (8 << 20)
#define ENOUGH (128 << 10) /* bytes that wait before no more is said */

static const char *peers[PEERS_MAX];
static long n_peers, n_senders, next = 1, answers, ends, open_ends[PEERS_MAX];
static bool heard[PEERS_MAX]; /* something came from it, so it is there */
static char in[ROOM], out[ROOM];
static size_t in_len, out_start, out_len;
static unsigned long long run;
static bool ending, told;
static volatile sig_atomic_t told_to_end;
static FILE *book;

static void on_term(int signal)
{
    (void)signal;
    told_to_end = 1;
}

static void not_as_sent(const char *line)
{
    trace("broken %s %d %llu\n", name, (int)getpid(), run);
    fprintf(stderr, "not as it was sent: %.200s\n", line);
    exit(3);
}

/* Without an id: nobody is told what becomes of it. */
static bool is_plain(long n)
{
    return n % 10 == 0 && n % 300 != 150 && n % 400 != 0;
}

static long length_of(long n)
{
    return n < 0 ? 0 : n % 200 == 0 ? 90000 : n % 100 == 50 ? 40000 : n * 7919 % 1500;
}

/* -- saying ---------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static void put(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (out_start + out_len + 2048 > ROOM) {
        memmove(out, out + out_start, out_len);
        out_start = 0;
    }
    out_len += (size_t)vsnprintf(out + out_start + out_len, 2048, format, args);
    va_end(args);
}

static void put_padding(long len)
{
    if (out_start + out_len + (size_t)len > ROOM) {
        memmove(out, out + out_start, out_len);
        out_start = 0;
    }
    memset(out + out_start + out_len, 'x', (size_t)len);
    out_len += (size_t)len;
}

static void say(long to, bool is_end)
{
    long n = next++;
    char id[64];
    snprintf(id, sizeof(id), "\"id\":%ld,%s", n, n % 4 != 0 && !is_end ? "\"ack\":true," : "");
    put("{\"to\":\"%s\",%s\"msg\":[%ld,\"", peers[to], is_plain(n) && !is_end && heard[to] ? "" : id, is_end ? -1 : n);
    put_padding(is_end ? 0 : length_of(n));
    put("\"]}\n");
    fprintf(book, "%c %s %ld\n", is_end ? 'e' : 's', peers[to], n);
    if (is_end)
        open_ends[to] = n;
}

static void burst(void)
{
    char gate[512];
    path_of(gate, "gate", "");
    if (access(gate, F_OK) < 0) {
        ending = true;
        for (long i = 0; i < n_peers; i++)
            say(i, true);
        return;
    }
    for (long k = random() % 8; k >= 0 && out_len < ENOUGH; k--)
        say(random() % n_peers, false);
}

/* -- hearing --------------------------------------------------------------------- */

static void take_message(const char *line, const char *from)
{
    const char *msg = strstr(line, "\"msg\":["), *id = strstr(line, "\"id\":");
    long n = strtol(msg + 7, NULL, 10);
    const char *text = strchr(msg + 7, '"');
    const char *end = text != NULL ? strchr(text + 1, '"') : NULL;
    if (end == NULL || end - text - 1 != length_of(n))
        not_as_sent(line);
    if (n < 0)
        ends++;
    else
        fprintf(book, "r %s %ld\n", from, n);
    if (id == NULL)
        return;
    fprintf(book, "w %s %ld\n", from, ++answers);
    put("{\"to\":\"%s\",\"re\":%ld,\"msg\":[%ld]}\n", from, strtol(id + 5, NULL, 10), answers);
}

static void take_line(const char *line)
{
    char from[64];
    const char *re = strstr(line, "\"re\":"), *msg = strstr(line, "\"msg\":[");
    if (sscanf(line, "{\"from\":\"%63[^\"]\"", from) != 1 || line[strlen(line) - 1] != '}')
        not_as_sent(line);
    long n = re != NULL ? strtol(re + 5, NULL, 10) : 0;
    long i = 0;
    for (long k = 0; k < n_peers; k++)
        heard[k] |= strcmp(peers[k], from) == 0;
    while (i < n_peers && open_ends[i] != n)
        i++;
    if (re != NULL && strcmp(from, "$") == 0) {
        bool bounced = strstr(line, "\"err\":") != NULL;
        const char *code = bounced ? strstr(line, "\"err\":") + 7 : "";
        fprintf(book, "%c %ld %.*s\n", bounced ? 'b' : 'k', n, (int)strcspn(code, "\""), code);
        if (bounced && i < n_peers)
            say(i, true);
    } else if (re != NULL && msg != NULL) {
        fprintf(book, "v %s %ld %ld\n", from, strtol(msg + 7, NULL, 10), n);
        if (i < n_peers)
            open_ends[i] = 0;
    } else if (msg != NULL) {
        take_message(line, from);
    } else {
        not_as_sent(line);
    }
}

static void hear(int fd)
{
    ssize_t n = read(fd, in + in_len, sizeof(in) - in_len);
    if (n == 0)
        trace("eof %s %d %llu\n", name, (int)getpid(), run);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        exit(4);
    in_len += n > 0 ? (size_t)n : 0;
    char *line = in, *end;
    while ((end = memchr(line, '\n', in_len - (size_t)(line - in))) != NULL) {
        *end = '\0';
        take_line(line);
        line = end + 1;
    }
    in_len -= (size_t)(line - in);
    memmove(in, line, in_len);
}

/* -- all of it ------------------------------------------------------------------- */

static void finish(void)
{
    long left = 0;
    for (long i = 0; i < n_peers; i++)
        left += open_ends[i] != 0;
    if (told || !ending || left > 0 || ends < n_senders || out_len > 0)
        return;
    told = true;
    fflush(book);
    trace("quiet %s %d %llu 0 0\n", name, (int)getpid(), run);
}

static long long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void talk(int fd)
{
    long long following = now_ms();
    while (!told_to_end) {
        long long left = following - now_ms();
        struct pollfd p = { .fd = fd, .events = (short)(POLLIN | (out_len > 0 ? POLLOUT : 0)) };
        poll(&p, 1, left > 0 ? (int)left : 0);
        if ((p.revents & (POLLIN | POLLHUP)) != 0)
            hear(fd);
        ssize_t n = (p.revents & POLLOUT) != 0 ? send(fd, out + out_start, out_len, MSG_NOSIGNAL) : 0;
        out_start += n > 0 ? (size_t)n : 0;
        out_len -= n > 0 ? (size_t)n : 0;
        finish();
        if (now_ms() < following)
            continue;
        following = now_ms() + 5 + random() % 40;
        if (!ending)
            burst();
    }
}

int main(int argc, char **argv)
{
    char path[512];
    const char *channel = getenv("DROVER_CHANNEL_FD");
    if (argc != 5 || channel == NULL)
        return 2;
    directory = argv[1];
    name = argv[2];
    for (char *p; n_peers < PEERS_MAX && (p = strsep(&argv[3], ",")) != NULL;)
        peers[n_peers++] = p;
    n_senders = strtol(argv[4], NULL, 10);
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    run = (unsigned long long)now.tv_sec * 1000000000 + (unsigned long long)now.tv_nsec;
    srandom((unsigned)run);
    path_of(path, "book.", name);
    book = fopen(path, "ae");
    if (book == NULL)
        return 2;
    sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_term }, NULL);
    int fd = (int)strtol(channel, NULL, 10);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    trace("start %s %d %llu\n", name, (int)getpid(), run);
    talk(fd);
    int status = (int)getpid() % 200 + 1;
    trace("end %s %d %llu %d 0 0\n", name, (int)getpid(), run, status);
    return status;
}
