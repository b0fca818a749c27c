/* stopwatch.c - how long commands take, from before their start to their end.
 *
 *   stopwatch TIMES COMMAND [ARG...] [-- COMMAND [ARG...]]...
 *
 * Runs the commands in turn, TIMES rounds, with their output thrown away, and
 * prints a line a round: microseconds and exit status of each.  In turn, so that
 * a noisy moment of the machine hits all alike; from a small static program, since
 * forking a large one (a Python) costs more than the commands do. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS_MAX 8

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static int measure(char **argv, FILE *report)
{
    int status = 0;
    uint64_t begin = now_ns();
    pid_t pid = vfork(); /* NOLINT: the parent is to be as quick as it can be */
    if (pid == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -errno;
    fprintf(report, "%.1f %d ", (double)(now_ns() - begin) / 1e3, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    return 0;
}

/* The report leaves by a descriptor that the commands do not inherit. */
static FILE *take_output(void)
{
    int out = open("/dev/null", O_WRONLY | O_CLOEXEC), kept = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    return out >= 0 && kept >= 0 && dup2(out, STDOUT_FILENO) >= 0 ? fdopen(kept, "w") : NULL;
}

static size_t split(int argc, char **argv, char ***commands)
{
    size_t n = 0;
    for (int i = 2, first = 2; i <= argc && n < COMMANDS_MAX; i++)
        if (i == argc || strcmp(argv[i], "--") == 0) {
            argv[i] = NULL;
            commands[n++] = argv + first;
            first = i + 1;
        }
    return n;
}

int main(int argc, char **argv)
{
    char **commands[COMMANDS_MAX];
    long times = argc > 2 ? strtol(argv[1], NULL, 10) : 0;
    size_t n = argc > 2 ? split(argc, argv, commands) : 0;
    if (times <= 0) {
        fputs("usage: stopwatch TIMES COMMAND [ARG...] [-- COMMAND [ARG...]]...\n", stderr);
        return 2;
    }
    FILE *report = take_output();
    for (int r = report != NULL ? 0 : -errno; times > 0; times--) {
        for (size_t i = 0; r == 0 && i < n; i++)
            r = measure(commands[i], report);
        if (r < 0) {
            fprintf(stderr, "stopwatch: %s\n", strerror(-r));
            return 1;
        }
        fputc('\n', report);
    }
    return fclose(report) == 0 ? 0 : 1;
}
