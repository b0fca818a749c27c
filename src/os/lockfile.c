/* lockfile.c - see lockfile.h.
 *
 * The lock is flock(2)'s: it goes when its holder dies, however that is, so a
 * file that is merely there means nothing.  The file is removed at an orderly
 * end; whoever had opened it just before notices that it has become nameless and
 * takes the new one. */
#include "os/lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#define TRIES 16
#define ENDING "ending\n" /* behind the pid */

static pid_t read_pid(int fd)
{
    char text[32];
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    long pid = strtol(text, NULL, 10);
    return pid > 0 && pid < 1L << 30 ? (pid_t)pid : 0;
}

static int write_pid(int fd, pid_t pid, const char *more)
{
    char text[32];
    int n = snprintf(text, sizeof(text), "%d\n%s", pid, more);
    /* in this order: whoever looks meanwhile finds a pid */
    if (pwrite(fd, text, (size_t)n, 0) < 0 || ftruncate(fd, n) < 0)
        return -errno;
    return 0;
}

/* Is the descriptor still that of the file with this name? */
static int is_named(int fd, const char *path)
{
    struct stat by_fd, by_name;
    return fstat(fd, &by_fd) == 0 && stat(path, &by_name) == 0 && by_fd.st_ino == by_name.st_ino &&
           by_fd.st_dev == by_name.st_dev;
}

int lockfile_take(const char *path, int *ret, pid_t *holder)
{
    *holder = 0;
    for (int i = 0; i < TRIES; i++) {
        _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (fd < 0)
            return -errno;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            int error = errno;
            *holder = read_pid(fd);
            return -error;
        }
        if (!is_named(fd, path))
            continue;
        int r = write_pid(fd, getpid(), "");
        if (r == 0)
            *ret = TAKE_FD(fd);
        return r;
    }
    return -EWOULDBLOCK;
}

void lockfile_update(int fd, pid_t pid)
{
    write_pid(fd, pid, "");
}

void lockfile_ending(int fd, pid_t pid)
{
    write_pid(fd, pid, ENDING);
}

/* One that nobody has reaped is dead, too. */
static bool is_dead(pid_t pid)
{
    _cleanup_close_ int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (pidfd < 0)
        return pid > 0 && errno == ESRCH;
    return poll(&(struct pollfd){ .fd = pidfd, .events = POLLIN }, 1, 0) > 0;
}

static bool says_it_ends(const char *path)
{
    char text[64];
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd >= 0 ? pread(fd, text, sizeof(text) - 1, 0) : -1;
    text[n > 0 ? n : 0] = '\0';
    return strstr(text, "\n" ENDING) != NULL;
}

enum lockfile_owner lockfile_owner(const char *path, pid_t holder)
{
    return is_dead(holder) ? LOCKFILE_DEAD : says_it_ends(path) ? LOCKFILE_ENDS : LOCKFILE_RUNS;
}

void lockfile_release(const char *path, int *fd)
{
    if (*fd < 0)
        return;
    if (is_named(*fd, path))
        unlink(path);
    cleanup_close(fd);
}

int pidfile_write(const char *path, pid_t pid)
{
    struct stat st;
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0644);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    return S_ISCHR(st.st_mode) ? 0 : write_pid(fd, pid, ""); /* /dev/null: there is to be none */
}

void pidfile_remove(const char *path, pid_t pid)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && read_pid(fd) == pid)
        unlink(path);
}
