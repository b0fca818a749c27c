/* exchange.c - bare requests and answers over a unix socket: the limit of control.
 *
 *   exchange serve SOCKET ANSWER            answers each read with the bytes of the file ANSWER
 *   exchange once SOCKET REQUEST [REQUEST]  sends each file's bytes, prints the answers, ends
 *   exchange rate SOCKET REQUEST SECONDS    asks again and again on one connection;
 *                                           prints: requests a second, p50 and p99 in us
 *
 * `once` against `serve` is what a command line client costs before it does
 * anything.  `rate` is the client for the daemons as well as for the limit, so it
 * reads answers as HTTP: up to the blank line, and then Content-Length bytes.  A
 * server that closes after an answer is asked again on a new connection.
 * Everything is bounded: by the file, by ANSWER_MAX, by SECONDS.  Linked statically. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_MAX (64U << 20)
#define SAMPLES_MAX (1U << 20)
#define SILENCE_MAX 30 /* seconds */

struct bytes {
    char *data;
    size_t len, room;
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "exchange: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void bytes_grow(struct bytes *b)
{
    size_t room = b->room > 0 ? 2 * b->room : 65536;
    char *data = room <= ANSWER_MAX ? realloc(b->data, room) : NULL;
    if (data == NULL)
        die("an answer that is too long");
    *b = (struct bytes){ data, b->len, room };
}

static bool bytes_read(struct bytes *b, int fd)
{
    if (b->room - b->len < 2) /* one for the NUL that strtoul() needs */
        bytes_grow(b);
    ssize_t n = read(fd, b->data + b->len, b->room - b->len - 1);
    if (n > 0)
        b->len += (size_t)n;
    if (b->data != NULL)
        b->data[b->len] = '\0';
    return n > 0;
}

static struct bytes bytes_of_file(const char *path)
{
    struct bytes b = { 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        die(path);
    while (bytes_read(&b, fd))
        ;
    close(fd);
    return b;
}

static void send_all(int fd, const struct bytes *b)
{
    for (size_t sent = 0; sent < b->len;) {
        ssize_t n = send(fd, b->data + sent, b->len - sent, MSG_NOSIGNAL);
        if (n < 0)
            return; /* the reader notices */
        sent += (size_t)n;
    }
}

static int unix_socket(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){ .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || snprintf(address->sun_path, sizeof(address->sun_path), "%s", path) >= (int)sizeof(address->sun_path))
        die(path);
    return fd;
}

static int dial(const char *path)
{
    struct sockaddr_un address;
    const struct timeval patience = { .tv_sec = SILENCE_MAX };
    int fd = unix_socket(path, &address);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        die(path);
    return fd;
}

static int serve(const char *path, const struct bytes *answer)
{
    struct sockaddr_un address;
    int listener = unix_socket(path, &address), poller = epoll_create1(EPOLL_CLOEXEC);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(listener, 64) < 0)
        die(path);
    struct epoll_event e = { .events = EPOLLIN, .data.fd = listener };
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        char request[4096];
        if (epoll_wait(poller, &e, 1, -1) < 1)
            continue;
        int fd = e.data.fd;
        if (fd == listener) {
            e = (struct epoll_event){ .events = EPOLLIN, .data.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC) };
            if (e.data.fd >= 0)
                epoll_ctl(poller, EPOLL_CTL_ADD, e.data.fd, &e);
        } else if (read(fd, request, sizeof(request)) <= 0) {
            close(fd);
        } else {
            send_all(fd, answer);
        }
    }
}

/* How long the answer is once its head is there; 0: not known yet. */
static size_t answer_length(const struct bytes *b)
{
    const char *head_end = memmem(b->data, b->len, "\r\n\r\n", 4);
    const char *field = head_end != NULL ? strcasestr(b->data, "\r\ncontent-length:") : NULL;
    if (head_end == NULL)
        return 0;
    if (field == NULL || field > head_end) {
        errno = EPROTO;
        die("an answer without Content-Length");
    }
    return (size_t)(head_end + 4 - b->data) + strtoul(field + strlen("\r\ncontent-length:"), NULL, 10);
}

static bool ask(int fd, const struct bytes *request, struct bytes *answer)
{
    size_t want = 0;
    answer->len = 0;
    send_all(fd, request);
    while (want == 0 || answer->len < want) {
        if (!bytes_read(answer, fd))
            return false;
        if (want == 0)
            want = answer_length(answer);
    }
    return true;
}

static int once(const char *path, char **requests)
{
    struct bytes answer = { 0 };
    int fd = dial(path);
    for (; *requests != NULL; requests++) {
        struct bytes request = bytes_of_file(*requests);
        if (!ask(fd, &request, &answer))
            die("an answer that ends early");
        fwrite(answer.data, 1, answer.len, stdout);
        free(request.data);
    }
    free(answer.data);
    close(fd);
    return 0;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static int rate(const char *path, const struct bytes *request, double seconds)
{
    uint32_t *samples = calloc(SAMPLES_MAX, sizeof(*samples));
    struct bytes answer = { 0 };
    size_t n = 0, failures = 0;
    int fd = dial(path);
    if (samples == NULL)
        die("memory");
    uint64_t begin = now_ns(), now = begin;
    while ((double)(now - begin) < seconds * 1e9 && n < SAMPLES_MAX) {
        uint64_t before = now;
        if (ask(fd, request, &answer)) {
            now = now_ns();
            samples[n++] = (uint32_t)((now - before) / 1000);
            failures = 0;
        } else if (++failures > 2) {
            die("no answer");
        } else {
            close(fd);
            fd = dial(path);
        }
    }
    qsort(samples, n, sizeof(*samples), compare);
    printf("%.1f %u %u\n", (double)n / ((double)(now - begin) / 1e9), samples[n / 2], samples[n * 99 / 100]);
    free(samples);
    free(answer.data);
    close(fd);
    return 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 3 ? argv[1] : "";
    if (strcmp(mode, "once") == 0)
        return once(argv[2], argv + 3);
    struct bytes file = argc > 3 ? bytes_of_file(argv[3]) : (struct bytes){ 0 };
    if (strcmp(mode, "serve") == 0)
        return serve(argv[2], &file);
    if (strcmp(mode, "rate") == 0 && argc > 4)
        return rate(argv[2], &file, strtod(argv[4], NULL));
    fputs("usage: exchange serve|once|rate SOCKET FILE [SECONDS|FILE...]\n", stderr);
    return 2;
}
