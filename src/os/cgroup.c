/* cgroup.c - see cgroup.h.
 *
 * Which cgroup a process is in is asked of the kernel when it is to be ended, so it
 * holds for one that has moved itself further down, too.  A process that another
 * reaps, since it was found running, is gone by then: where it is was noted when it
 * was found.  Owns no descriptor; the list of what is to be removed is as long as
 * there are processes on their way out, that of notes as there were found ones. */
#include "os/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PREFIX "drover-"
#define LAST_LOOKS 400 /* two seconds: for what was killed to be gone, before we are */
#define LAST_LOOK_EVERY 5
#define KILL_PASSES 16 /* without cgroup.kill: who forks meanwhile is met by the next */

struct doomed {
    struct doomed *next;
    pid_t pid; /* of a note */
    char directory[];
};

struct cgroups {
    struct doomed *doomed; /* killed, and still to be removed */
    struct doomed *notes;  /* where processes are that somebody else reaps */
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

/* One place may be mounted over another, or show the hierarchy from elsewhere: it is the
 * one where our own cgroup is. */
static bool has_cgroup(const char *place, const char *own)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%s%s/cgroup.procs", place, own);
    return n < (int)sizeof(path) && access(path, F_OK) == 0;
}

static int find_mount(const char *own, char place[PATH_MAX])
{
    _cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
    char line[2 * PATH_MAX];
    while (f != NULL && fgets(line, sizeof(line), f) != NULL)
        if (mount_of(line, place) && has_cgroup(place, own))
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

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *place)
{
    (void)st;
    (void)place;
    if (type == FTW_DP)
        rmdir(path); /* not while somebody is in it */
    return 0;
}

/* With the cgroups that a program has made in its own. */
static bool remove_all(const char *directory)
{
    if (rmdir(directory) == 0 || errno != EBUSY)
        return true;
    nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return access(directory, F_OK) < 0;
}

void cgroups_sweep(struct cgroups *c)
{
    for (struct doomed **at = &c->doomed; *at != NULL;) {
        struct doomed *d = *at;
        if (!remove_all(d->directory)) {
            at = &d->next;
        } else {
            *at = d->next;
            free(d);
        }
    }
}

static void enlist(struct doomed **list, pid_t pid, const char *directory)
{
    struct doomed *d = malloc(sizeof(*d) + strlen(directory) + 1);
    if (d == NULL)
        return; /* cgroups_free() finds it */
    memcpy(d->directory, directory, strlen(directory) + 1);
    d->pid = pid;
    d->next = *list;
    *list = d;
}

static void free_list(struct doomed *d)
{
    for (struct doomed *next; d != NULL; d = next) {
        next = d->next;
        free(d);
    }
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
    if (opened < 0) {
        r = -errno;
        rmdir(path);
        return r;
    }
    *fd = opened;
    return 0;
}

void cgroups_unmake(int fd)
{
    char name[64], path[PATH_MAX];
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(name, path, sizeof(path));
    if (n <= 0 || n >= PATH_MAX)
        return; /* cgroups_free() finds it */
    path[n] = '\0';
    rmdir(path);
}

int cgroups_new(struct cgroups **ret)
{
    char probe[PATH_MAX];
    _cleanup_free_ struct cgroups *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return -ENOMEM;
    c->owner = getpid();
    int r = find_cgroup(c->owner, c->own);
    if (r == 0)
        r = find_mount(c->own, c->mount);
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

/* Nobody looks at these again when we are gone.  Who was killed needs a moment and a processor to end; one that the
 * kernel does not let go leaves its directory to the next daemon. */
static void wait_for_doomed(struct cgroups *c)
{
    for (int i = 0; i < LAST_LOOKS && c->doomed != NULL; i++) {
        cgroups_sweep(c);
        if (c->doomed != NULL)
            poll(NULL, 0, LAST_LOOK_EVERY);
    }
}

void cgroups_free(struct cgroups *c)
{
    char path[PATH_MAX], directory[PATH_MAX + NAME_MAX + 2];
    if (c == NULL)
        return;
    wait_for_doomed(c);
    int n = snprintf(path, sizeof(path), "%s%s", c->mount, c->own);
    DIR *dir = n < PATH_MAX ? opendir(path) : NULL;
    const struct dirent *e;
    while (dir != NULL && (e = readdir(dir)) != NULL)
        if (is_to_go(c, e->d_name)) {
            snprintf(directory, sizeof(directory), "%s/%s", path, e->d_name);
            remove_all(directory);
        }
    if (dir != NULL)
        closedir(dir);
    free_list(c->doomed);
    free_list(c->notes);
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
static int find_directory(const struct cgroups *c, pid_t pid, char directory[2 * PATH_MAX])
{
    char path[PATH_MAX];
    size_t own = strlen(c->own);
    int r = find_cgroup(pid, path);
    if (r < 0)
        return r;
    if (strncmp(path, c->own, own) != 0 || strncmp(path + own, "/" PREFIX, strlen(PREFIX) + 1) != 0)
        return -ENOENT;
    path[own + 1 + strcspn(path + own + 1, "/")] = '\0';
    snprintf(directory, 2 * PATH_MAX, "%s%s", c->mount, path);
    return 0;
}

void cgroups_note(struct cgroups *c, pid_t pid)
{
    char directory[2 * PATH_MAX];
    if (find_directory(c, pid, directory) == 0)
        enlist(&c->notes, pid, directory);
}

/* A note holds, and is used up: its number may be another's by now. */
static bool take_note(struct cgroups *c, pid_t pid, char directory[2 * PATH_MAX])
{
    struct doomed **at = &c->notes;
    while (*at != NULL && (*at)->pid != pid)
        at = &(*at)->next;
    struct doomed *d = *at;
    if (d == NULL)
        return false;
    *at = d->next;
    snprintf(directory, 2 * PATH_MAX, "%s", d->directory);
    free(d);
    return true;
}

static int end_all(struct cgroups *c, pid_t pid, const char *directory)
{
    kill_all(directory);
    enlist(&c->doomed, pid, directory);
    return 0;
}

int cgroups_kill_noted(struct cgroups *c, pid_t pid)
{
    char directory[2 * PATH_MAX];
    return take_note(c, pid, directory) ? end_all(c, pid, directory) : -ENOENT;
}

int cgroups_kill(struct cgroups *c, pid_t pid)
{
    char directory[2 * PATH_MAX];
    int r = find_directory(c, pid, directory);
    return r < 0 ? r : end_all(c, pid, directory);
}
