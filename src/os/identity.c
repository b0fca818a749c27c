/* identity.c - see identity.h.  Keeps no descriptor; identity_open() gives its away.
 *
 * The order makes it safe: first a pidfd, which holds one process whatever becomes
 * of the number; then what /proc says about the number; then a look whether the
 * process that is held has not been reaped.  If not, the number was its own all
 * the while, and what was read is about it. */
#include "os/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/pidfd.h"

#define PIDFS 0x50494446L /* statfs(2) of a pidfd; before Linux 6.9 all shared one inode */
#define START_FIELD 22    /* of /proc/PID/stat */

static ssize_t read_file(const char *path, char *text, size_t size)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t n = read(fd, text, size - 1);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    return n;
}

/* "0af3..." with hyphens in between */
static int parse_boot_id(const char *text, uint8_t boot[16])
{
    for (unsigned i = 0; i < 16; i++) {
        char two[3] = { 0 };
        char *end;
        text += *text == '-';
        two[0] = text[0];
        two[1] = text[0] != '\0' ? text[1] : '\0';
        boot[i] = (uint8_t)strtoul(two, &end, 16);
        if (end != two + 2)
            return -EBADMSG;
        text += 2;
    }
    return 0;
}

int identity_era(struct identity_era *ret)
{
    char text[64];
    struct stat st;
    struct identity_era era = { .pid_namespace = 0 };
    ssize_t n = read_file("/proc/sys/kernel/random/boot_id", text, sizeof(text));
    int r = n < 0 ? (int)n : parse_boot_id(text, era.boot);
    if (r < 0)
        return r;
    if (stat("/proc/self/ns/pid", &st) == 0)
        era.pid_namespace = st.st_ino;
    *ret = era;
    return 0;
}

/* The name in the second field is the process's own choice, parentheses and blanks
 * included, so fields are counted from its last closing one. */
static int read_start(pid_t pid, uint64_t *ret)
{
    char path[32], text[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    ssize_t n = read_file(path, text, sizeof(text));
    if (n < 0)
        return (int)n;
    const char *p = strrchr(text, ')');
    for (unsigned field = 2; p != NULL && field < START_FIELD; field++)
        p = strchr(p + 1, ' ');
    char *end;
    uint64_t start = p != NULL ? strtoull(p, &end, 10) : 0;
    if (start == 0)
        return -EBADMSG;
    *ret = start;
    return 0;
}

static uint64_t inode_of(int pidfd)
{
    struct statfs fs;
    struct stat st;
    bool ok = fstatfs(pidfd, &fs) == 0 && fs.f_type == PIDFS && fstat(pidfd, &st) == 0;
    return ok ? st.st_ino : 0;
}

static bool is_reaped(int pidfd)
{
    return pidfd_signal(pidfd, 0) == -ESRCH;
}

void identity_of_child(pid_t pid, int pidfd, struct identity *ret)
{
    struct identity id = { .pid = pid, .inode = inode_of(pidfd) };
    bool enough = id.inode != 0 && sizeof(long) == 8; /* all 64 bits of it */
    if (!enough && read_start(pid, &id.start) < 0)
        id.start = 0;
    *ret = id;
}

int identity_of(pid_t pid, int pidfd, struct identity *ret)
{
    struct identity id = { .pid = pid, .inode = inode_of(pidfd) };
    if (read_start(pid, &id.start) < 0)
        id.start = 0; /* no /proc, or not for us to read */
    if (is_reaped(pidfd))
        return -ESRCH;
    *ret = id;
    return 0;
}

uint64_t identity_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);
    return (uint64_t)t.tv_sec * ticks + (uint64_t)t.tv_nsec * ticks / 1000000000;
}

int identity_of_young(pid_t pid, uint64_t from, uint64_t within, struct identity *ret)
{
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct identity id;
    int r = pidfd < 0 ? -ESRCH : identity_of(pid, pidfd, &id);
    if (r < 0)
        return r;
    uint64_t to = from + within * (uint64_t)sysconf(_SC_CLK_TCK) / 1000000;
    if (id.start < from || id.start > to)
        return -ESRCH;
    *ret = id;
    return 0;
}

/* The inode decides where both have one: two processes may start in one tick. */
static bool is_same(const struct identity *a, const struct identity *b)
{
    if (a->inode != 0 && b->inode != 0)
        return a->inode == b->inode;
    return a->start != 0 && a->start == b->start;
}

int identity_open(const struct identity *id)
{
    if (id->pid <= 0)
        return -ESRCH;
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, id->pid, 0); /* born with CLOEXEC */
    if (pidfd < 0)
        return errno == EINVAL ? -ESRCH : -errno; /* EINVAL: the number is a thread's now */
    struct identity found;
    int r = identity_of(id->pid, pidfd, &found);
    if (r < 0)
        return r;
    return is_same(id, &found) ? TAKE_FD(pidfd) : -ESRCH;
}
