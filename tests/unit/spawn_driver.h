/* spawn_driver.h - makes children for test_spawn.c and reads what they saw.
 *
 * Every user may execute the copy of `inherits` in the scratch directory, wherever the
 * tree itself lies. */
#pragma once

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "os/pidfd.h"
#include "os/spawn.h"
#include "scratch.h"

static char tool[300], output[300];
static int standard[3]; /* what children get as 0, 1 and 2 unless a test says otherwise */
static char *no_environment[] = { NULL };

static inline int spawn_setup(void **state)
{
    char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 20);
    if (n < 0 || scratch_enter(state) != 0)
        return -1;
    path[n] = '\0';
    snprintf(strrchr(path, '/'), 20, "/inherits");
    snprintf(tool, sizeof(tool), "%s/inherits", scratch);
    snprintf(output, sizeof(output), "%s/output", scratch);
    _cleanup_close_ int from = open(path, O_RDONLY | O_CLOEXEC);
    _cleanup_close_ int to = open(tool, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    struct stat st;
    if (from < 0 || to < 0 || fstat(from, &st) < 0 || sendfile(to, from, NULL, (size_t)st.st_size) != st.st_size)
        return -1;
    fchmod(to, 0755);
    for (int i = 0; i < 3; i++)
        standard[i] = memfd_create("standard", MFD_CLOEXEC);
    return 0;
}

static inline int spawn_teardown(void **state)
{
    for (int i = 0; i < 3; i++)
        close(standard[i]);
    return scratch_leave(state);
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static inline struct spawn_plan plan_of(const char *file, const char *const *argv)
{
    return (struct spawn_plan){ .file = file,
                                .argv = (char **)argv,
                                .envp = no_environment,
                                .umask = -1,
                                .fds = { standard[0], standard[1], standard[2] },
                                .n_fds = 3 };
}

static inline struct spawn_plan plan_inherits(void)
{
    static const char *const argv[] = { tool, output, NULL };
    return plan_of(tool, argv);
}

struct end {
    struct spawn_report report; /* stage NONE: its program ran */
    int status;
};

/* Reads what there is of reports; true at their end. */
static inline bool read_reports(struct spawned *child, struct end *end)
{
    struct spawn_report r;
    ssize_t n;
    while ((n = read(child->error_fd, &r, sizeof(r))) == sizeof(r)) {
        cleanup_close(&child->held_fd); /* it has a table of its own now */
        if (r.stage != SPAWN_STAGE_NONE)
            end->report = r;
    }
    return n == 0;
}

/* Follows a child to its end, as the supervisor does: the reports, then the reaping. */
static inline struct end end_of(struct spawned *child)
{
    struct end end = { .status = -1 };
    struct pollfd p[2] = { { .fd = child->pidfd, .events = POLLIN }, { .fd = child->error_fd, .events = POLLIN } };
    while (poll(p, 2, 20000) > 0 && !read_reports(child, &end) && p[0].revents == 0)
        continue;
    cleanup_close(&child->held_fd); /* a child may die before it reports anything */
    read_reports(child, &end);
    if (poll(p, 1, 20000) != 1)
        pidfd_signal(child->pidfd, SIGKILL);
    while (pidfd_reap(child->pidfd, &end.status, NULL) == 0)
        poll(p, 1, 1000);
    close(child->error_fd);
    close(child->pidfd);
    return end;
}

/* What `inherits` had to say; good until the next call.  Asserts nothing before the
 * caller has its own descriptors and signals back: NULL says that it did not run. */
static inline const char *run_inherits(const struct spawn_plan *plan)
{
    static char text[65536];
    struct spawned child;
    int fd = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    fchmod(fd, 0666); /* whoever the child becomes */
    close(fd);
    if (spawn(plan, &child) < 0)
        return NULL;
    struct end end = end_of(&child);
    fd = open(output, O_RDONLY | O_CLOEXEC);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return end.report.stage == SPAWN_STAGE_NONE && end.status == 0 ? text : NULL;
}
