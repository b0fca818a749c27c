/* cgroup.c - see cgroup.h.
 *
 * Which cgroup a process is in is asked of the kernel when it is to be ended, never
 * remembered: so it holds for a process that was found running, too, and for one
 * that has moved itself further down.  Owns no descriptor; the list of what is to be
 * removed is as long as there are processes on their way out. */
#include "os/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PREFIX "drover-"
#define KILL_PASSES 16 /* without cgroup.kill: who forks meanwhile is met by the next */

struct doomed {
    struct doomed *next;
    char directory[];
};

struct cgroups {
    struct doomed *doomed; /* killed, and still to be removed */
    pid_t owner;
    unsigned made;
    char mount[PATH_MAX]; /* where cgroup v2 is mounted */
    char own[PATH_MAX];   /* our own cgroup below it: "" or "/..." */
};

/* "... - cgroup2 cgroup2 rw" of a line of mountinfo; its fifth field is the place. */
static bool mount_of(const char *line, char place[PATH_MAX])
{
    const char *type = strstr(line, " - ");
    return type != NULL && strncmp(type, " - cgroup2 ", 11) == 0 && sscanf(line, "%*d %*d %*s %*s %4095s", place) == 1;
}

static int find_mount(char place[PATH_MAX])
{
    _cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
    char line[2 * PATH_MAX];
    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        if (mount_of(line, place))
            return 0;
    return -ENOENT;
}

/* The line "0::/path" of a process; "" for the root. */
static int find_cgroup(pid_t pid, char path[PATH_MAX])
{
    char name[64], line[PATH_MAX];
    snprintf(name, sizeof(name), "/proc/%d/cgroup", pid);
    _cleanup_fclose_ FILE *f = fopen(name, "re");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(path, PATH_MAX, "%s", line[4] != '\0' ? line + 3 : "");
        return 0;
    }
    return -ENOENT;
}

/* -- making and removing ------------------------------------------------------------ */

void cgroups_sweep(struct cgroups *c)
{
    for (struct doomed **at = &c->doomed; *at != NULL;) {
        struct doomed *d = *at;
        if (rmdir(d->directory) < 0 && errno == EBUSY) {
            at = &d->next;
        } else {
            *at = d->next;
            free(d);
        }
    }
}

static void doom(struct cgroups *c, const char *directory)
{
    struct doomed *d = malloc(sizeof(*d) + strlen(directory) + 1);
    if (d == NULL)
        return; /* cgroups_free() finds it */
    memcpy(d->directory, directory, strlen(directory) + 1);
    d->next = c->doomed;
    c->doomed = d;
}

static int make_one(struct cgroups *c, const char *name, char path[PATH_MAX])
{
    int n = snprintf(path, PATH_MAX, "%s%s/" PREFIX "%d-%u-%s", c->mount, c->own, c->owner, c->made++, name);
    if (n >= PATH_MAX)
        return -ENAMETOOLONG;
    return mkdir(path, 0755) < 0 ? -errno : 0;
}

int cgroups_make(struct cgroups *c, const char *name, int *fd)
{
    char path[PATH_MAX];
    cgroups_sweep(c);
    int r = make_one(c, name, path);
    if (r < 0)
        return r;
    int opened = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened < 0)
        return -errno;
    *fd = opened;
    return 0;
}

int cgroups_new(struct cgroups **ret)
{
    char probe[PATH_MAX];
    _cleanup_free_ struct cgroups *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return -ENOMEM;
    c->owner = getpid();
    int r = find_mount(c->mount);
    if (r == 0)
        r = find_cgroup(c->owner, c->own);
    if (r == 0)
        r = make_one(c, "probe", probe);
    if (r < 0)
        return r;
    rmdir(probe);
    *ret = TAKE_PTR(c);
    return 0;
}

/* Those of ours, and of daemons that are no more. */
static bool is_to_go(const struct cgroups *c, const char *name)
{
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
        return false;
    pid_t owner = (pid_t)strtol(name + strlen(PREFIX), NULL, 10);
    return owner > 0 && (owner == c->owner || (kill(owner, 0) < 0 && errno == ESRCH));
}

void cgroups_free(struct cgroups *c)
{
    char path[PATH_MAX];
    if (c == NULL)
        return;
    int n = snprintf(path, sizeof(path), "%s%s", c->mount, c->own);
    DIR *dir = n < PATH_MAX ? opendir(path) : NULL;
    const struct dirent *e;
    while (dir != NULL && (e = readdir(dir)) != NULL)
        if (is_to_go(c, e->d_name))
            unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR); /* not while somebody is in it */
    if (dir != NULL)
        closedir(dir);
    while (c->doomed != NULL) {
        struct doomed *d = c->doomed;
        c->doomed = d->next;
        free(d);
    }
    free(c);
}

/* -- ending all in one --------------------------------------------------------------- */

static bool kill_each(const char *directory)
{
    char path[2 * PATH_MAX + 32];
    int pid;
    bool any = false;
    snprintf(path, sizeof(path), "%s/cgroup.procs", directory);
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    while (f != NULL && fscanf(f, "%d", &pid) == 1) {
        any = true;
        if (pid > 1)
            kill(pid, SIGKILL);
    }
    return any;
}

static void kill_all(const char *directory)
{
    char path[2 * PATH_MAX + 32];
    snprintf(path, sizeof(path), "%s/cgroup.kill", directory);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, "1", 1) == 1)
        return;
    for (int i = 0; i < KILL_PASSES && kill_each(directory); i++) /* Linux before 5.14 */
        continue;
}

/* Never our own cgroup, nor one above it: the directory must be one that was made here. */
int cgroups_kill(struct cgroups *c, pid_t pid)
{
    char path[PATH_MAX], directory[2 * PATH_MAX];
    size_t own = strlen(c->own);
    int r = find_cgroup(pid, path);
    if (r < 0)
        return r;
    if (strncmp(path, c->own, own) != 0 || strncmp(path + own, "/" PREFIX, strlen(PREFIX) + 1) != 0)
        return -ENOENT;
    path[own + 1 + strcspn(path + own + 1, "/")] = '\0';
    snprintf(directory, sizeof(directory), "%s%s", c->mount, path);
    kill_all(directory);
    doom(c, directory);
    return 0;
}
