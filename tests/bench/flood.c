/* flood.c - a job that prints as fast as it can.
 *
 *   flood GO REPORT BYTES SIZE
 *
 * Waits until somebody opens the fifo GO for writing, writes lines of 100 bytes to
 * standard output, SIZE bytes at a time, BYTES in all, and then a line to the fifo
 * REPORT: when it began and ended, and the processor time of its own, all in
 * nanoseconds.  Blocks of less than a line are no use, and are not refused. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE 100
#define SIZE_MAX_HERE (1 << 20)

static uint64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static int write_all(const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static char block[SIZE_MAX_HERE + LINE];
    if (argc < 5)
        return 2;
    uint64_t left = strtoull(argv[3], NULL, 10), size = strtoull(argv[4], NULL, 10);
    if (size == 0 || size > SIZE_MAX_HERE)
        return 2;
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = i % LINE == LINE - 1 ? '\n' : (char)('a' + i % 26);
    int go = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (go < 0)
        return 1;
    uint64_t begin = now_ns(CLOCK_MONOTONIC), at = 0;
    while (left > 0) {
        uint64_t n = left < size ? left : size;
        if (write_all(block + at % LINE, n) < 0)
            return 1;
        at += n;
        left -= n;
    }
    uint64_t end = now_ns(CLOCK_MONOTONIC);
    int report = open(argv[2], O_WRONLY | O_CLOEXEC);
    char line[128];
    int n = snprintf(line, sizeof(line), "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", begin, end,
                     now_ns(CLOCK_PROCESS_CPUTIME_ID));
    return report >= 0 && write(report, line, (size_t)n) == n ? 0 : 1;
}
