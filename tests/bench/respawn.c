/* respawn.c - the least that a supervisor can be: the limit of starts and restarts.
 *
 *   respawn METHOD N COMMAND [ARG...]
 *
 * Starts N children by METHOD, fork or vfork, each with its number as its last
 * argument, and starts whatever dies again at once, for ever.  It has no pipes,
 * no logs, no configuration, no control and no policy, and it waits in waitpid(2)
 * itself, so nothing can answer a death sooner.  Linked statically.
 *
 * It keeps the pid of each number in one array and looks a dead one up by walking
 * it: a thousand integers are four KiB, less than a hash would cost. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NUMBER_SIZE 12

struct fleet {
    bool vfork;
    int n;
    pid_t *pids;
    char (*numbers)[NUMBER_SIZE];
    char **argv; /* the place for the number is the last before the NULL */
    int n_argv;
};

static int fleet_start(struct fleet *f, int i)
{
    f->argv[f->n_argv] = f->numbers[i];
    pid_t pid = f->vfork ? vfork() : fork(); /* NOLINT: to measure it is what this is for */
    if (pid == 0) {
        execve(f->argv[0], f->argv, environ);
        _exit(127);
    }
    if (pid < 0)
        return -errno;
    f->pids[i] = pid;
    return 0;
}

static int fleet_new(struct fleet *f, int argc, char **argv)
{
    *f = (struct fleet){ .vfork = strcmp(argv[1], "vfork") == 0, .n = (int)strtol(argv[2], NULL, 10) };
    if (f->n <= 0 || f->n > 1000000)
        return -EINVAL;
    f->n_argv = argc - 3;
    f->pids = calloc((size_t)f->n, sizeof(*f->pids));
    f->numbers = calloc((size_t)f->n, sizeof(*f->numbers));
    f->argv = calloc((size_t)f->n_argv + 2, sizeof(*f->argv));
    if (f->pids == NULL || f->numbers == NULL || f->argv == NULL)
        return -ENOMEM;
    memcpy(f->argv, argv + 3, (size_t)f->n_argv * sizeof(*f->argv));
    for (int i = 0; i < f->n; i++)
        snprintf(f->numbers[i], NUMBER_SIZE, "%d", i);
    return 0;
}

static int fleet_run(struct fleet *f)
{
    for (int i = 0; i < f->n; i++) {
        int r = fleet_start(f, i);
        if (r < 0)
            return r;
    }
    for (;;) {
        pid_t pid = waitpid(-1, NULL, 0);
        if (pid < 0)
            return -errno;
        for (int i = 0; i < f->n; i++)
            if (f->pids[i] == pid) {
                int r = fleet_start(f, i);
                if (r < 0)
                    return r;
                break;
            }
    }
}

int main(int argc, char **argv)
{
    struct fleet f;
    if (argc < 4) {
        fputs("usage: respawn fork|vfork N COMMAND [ARG...]\n", stderr);
        return 2;
    }
    int r = fleet_new(&f, argc, argv);
    if (r == 0)
        r = fleet_run(&f);
    fprintf(stderr, "respawn: %s\n", strerror(-r));
    return 1;
}
