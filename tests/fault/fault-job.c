/* fault-job.c - the job of tests/fault: whatever happens to it, it leaves a trace.
 *
 *     fault-job DIRECTORY NAME KIND
 *
 * `stay` does nothing; `exit` ends by itself after a moment; `log` writes numbered
 * lines to both streams until the file `gate` is gone; `echo` repeats what it reads.
 * Its birth and its end are lines in DIRECTORY/trace, one write each in append mode;
 * two of one name at the same time are found by a lock, which ends with its process.
 * The status that it exits with follows from its pid, so that a status which was
 * mixed up is seen. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "trace.h"

static volatile sig_atomic_t told_to_end, told_usr1;
static unsigned long lines[2]; /* written to stdout and stderr */
static unsigned long long run; /* the nanosecond in which it was started: pids come again */

static void on_signal(int signal)
{
    if (signal == SIGUSR1)
        told_usr1 = 1;
    else
        told_to_end = 1;
}

static void catch_signals(void)
{
    struct sigaction a = { .sa_handler = on_signal };
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGUSR1, &a, NULL);
}

static void lock_name(void)
{
    char path[512];
    path_of(path, "lock.", name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        trace("double %s %d %llu\n", name, (int)getpid(), run);
}

static void nap(long ms)
{
    nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
    if (told_usr1) {
        told_usr1 = 0;
        trace("usr1 %s %d %llu\n", name, (int)getpid(), run);
    }
}

static void write_all(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t written = write(fd, data, n);
        if (written > 0) {
            data += written;
            n -= (size_t)written;
        }
    }
}

/* Some lines at once: their length follows from their number. */
static void say(int fd, unsigned n)
{
    static char data[65536];
    size_t at = 0;
    for (unsigned i = 0; i < n && at < sizeof(data) - 400; i++) {
        unsigned long number = lines[fd - 1]++;
        at += (size_t)snprintf(data + at, sizeof(data) - at, "%llu %lu ", run, number);
        memset(data + at, 'x', number * 7919 % 190);
        at += number * 7919 % 190;
        data[at++] = '\n';
    }
    write_all(fd, data, at);
}

static void stay(void)
{
    say(1, 1);
    while (!told_to_end)
        nap(1000);
}

static void run_and_exit(void)
{
    say(1, (unsigned)random() % 5);
    nap(20 + random() % 300);
    say(1, (unsigned)random() % 3);
}

static void log_lines(void)
{
    static const unsigned bursts[] = { 1, 1, 1, 2, 5, 300 };
    char gate[512];
    path_of(gate, "gate", "");
    while (!told_to_end && access(gate, F_OK) == 0) {
        say(1 + (int)(random() % 2), bursts[(unsigned long)random() % 6]);
        nap(1 + random() % 20);
    }
    trace("quiet %s %d %llu %lu %lu\n", name, (int)getpid(), run, lines[0], lines[1]);
    while (!told_to_end)
        nap(1000);
}

static void echo(void)
{
    char data[4096];
    struct pollfd p = { .fd = 0, .events = POLLIN };
    while (!told_to_end) {
        if (poll(&p, 1, 1000) <= 0)
            continue;
        ssize_t n = read(0, data, sizeof(data));
        if (n == 0)
            trace("eof %s %d %llu\n", name, (int)getpid(), run);
        if (n <= 0)
            break;
        write_all(1, data, (size_t)n);
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} kinds[] = { { "stay", stay }, { "exit", run_and_exit }, { "log", log_lines }, { "echo", echo } };

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    directory = argv[1];
    name = argv[2];
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    run = (unsigned long long)now.tv_sec * 1000000000 + (unsigned long long)now.tv_nsec;
    srandom((unsigned)run);
    catch_signals();
    lock_name();
    trace("start %s %d %llu\n", name, (int)getpid(), run);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strcmp(kinds[i].name, argv[3]) == 0)
            kinds[i].run();
    int status = (int)getpid() % 200 + 1;
    trace("end %s %d %llu %d %lu %lu\n", name, (int)getpid(), run, status, lines[0], lines[1]);
    return status;
}
