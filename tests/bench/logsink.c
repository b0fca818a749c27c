/* logsink.c - the least that can bring a job's output into files that rotate.
 *
 *   logsink read|splice PATH MAX-BYTES < PIPE
 *
 * Moves standard input to PATH until its end, and renames the file to PATH.N
 * whenever it holds MAX-BYTES: no look at lines, no other streams, no loop.  With
 * read, through 64 KiB of memory; with splice, by the kernel.  Then prints the
 * nanoseconds at which it was done, and its processor time. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *path;
static int fd = -1;
static uint64_t size, max;

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static int rotate(void)
{
    static unsigned number;
    char name[512];
    if (fd >= 0) {
        close(fd);
        snprintf(name, sizeof(name), "%s.%u", path, ++number);
        if (rename(path, name) < 0)
            return -errno;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size = 0;
    return fd < 0 ? -errno : 0;
}

static ssize_t move_by_read(void)
{
    static char data[64 * 1024];
    ssize_t n = read(STDIN_FILENO, data, sizeof(data)), done = 0;
    while (done < n) {
        ssize_t k = write(fd, data + done, (size_t)(n - done));
        if (k < 0)
            return k;
        done += k;
    }
    return n;
}

static ssize_t move_by_splice(void)
{
    return splice(STDIN_FILENO, NULL, fd, NULL, 1 << 20, SPLICE_F_MOVE);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    ssize_t (*move)(void) = strcmp(argv[1], "splice") == 0 ? move_by_splice : move_by_read;
    path = argv[2];
    max = strtoull(argv[3], NULL, 10);
    int r = rotate();
    ssize_t n = 0;
    while (r == 0 && (n = move()) > 0) {
        size += (uint64_t)n;
        if (size >= max)
            r = rotate();
    }
    if (r < 0 || n < 0) {
        fprintf(stderr, "logsink: %s: %s\n", path, strerror(r < 0 ? -r : errno));
        return 1;
    }
    printf("%" PRIu64 " %" PRIu64 "\n", now_ns(CLOCK_MONOTONIC), now_ns(CLOCK_PROCESS_CPUTIME_ID));
    return 0;
}
