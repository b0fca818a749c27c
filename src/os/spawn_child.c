/* spawn_child.c - a child gives up what it may not have; see spawn_child.h.
 *
 * Owns nothing.  Raw system calls where libc's wrapper would signal other threads
 * or take locks (setuid(3) and its kin).  What was given up is looked at again
 * afterwards: a job that runs with a right too many is worse than one that does
 * not run. */
#include "os/spawn_child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IOPRIO_WHO_PROCESS 1
#define CAPABILITIES_MAX 64

/* -- limits and priorities ---------------------------------------------------- */

static void limit(const struct confinement *c, int resource, int error_fd)
{
    struct rlimit l = { .rlim_cur = c->limits[resource].soft, .rlim_max = c->limits[resource].hard };
    if (setrlimit((__rlimit_resource_t)resource, &l) < 0)
        spawn_child_fail(error_fd, SPAWN_STAGE_LIMITS, errno);
}

static bool is_limited(const struct confinement *c, int resource)
{
    return c != NULL && (c->limits_set >> resource & 1) != 0;
}

/* snprintf is not on the list of what may be called here (signal-safety(7)). */
static size_t put_number(char text[16], int value)
{
    size_t n = 0;
    unsigned left = value < 0 ? 0U - (unsigned)value : (unsigned)value;
    do {
        text[15 - n++] = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0)
        text[15 - n++] = '-';
    memmove(text, text + 16 - n, n);
    return n;
}

static void score(int value, int error_fd)
{
    char text[16];
    size_t n = put_number(text, value);
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, n) != (ssize_t)n)
        spawn_child_fail(error_fd, SPAWN_STAGE_OOM, errno);
    close(fd);
}

void spawn_child_confine(const struct spawn_plan *plan, int error_fd)
{
    const struct confinement *c = plan->confinement;
    if (c == NULL)
        return;
    for (int i = 0; i < CONFINEMENT_LIMITS; i++)
        if (i != RLIMIT_NOFILE && is_limited(c, i))
            limit(c, i, error_fd);
    if (c->oom_score_adj != CONFINEMENT_UNSET)
        score(c->oom_score_adj, error_fd);
    if (c->nice != CONFINEMENT_UNSET && setpriority(PRIO_PROCESS, 0, c->nice) < 0)
        spawn_child_fail(error_fd, SPAWN_STAGE_NICE, errno);
    if (c->ionice != CONFINEMENT_UNSET && syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, c->ionice) < 0)
        spawn_child_fail(error_fd, SPAWN_STAGE_IONICE, errno);
    if (c->cpus_set && syscall(SYS_sched_setaffinity, 0, sizeof(c->cpus), c->cpus) < 0)
        spawn_child_fail(error_fd, SPAWN_STAGE_AFFINITY, errno);
}

void spawn_child_limit_files(const struct spawn_plan *plan, int error_fd)
{
    struct rlimit before = { .rlim_cur = plan->nofile_soft, .rlim_max = plan->nofile_hard };
    if (is_limited(plan->confinement, RLIMIT_NOFILE))
        limit(plan->confinement, RLIMIT_NOFILE, error_fd);
    else if (plan->restore_nofile && setrlimit(RLIMIT_NOFILE, &before) < 0)
        spawn_child_fail(error_fd, SPAWN_STAGE_LIMITS, errno);
}

/* -- capabilities --------------------------------------------------------------- */

static int capabilities_set(uint64_t effective, uint64_t permitted, uint64_t inheritable)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = {
        { .effective = (uint32_t)effective, .permitted = (uint32_t)permitted, .inheritable = (uint32_t)inheritable },
        { .effective = (uint32_t)(effective >> 32),
          .permitted = (uint32_t)(permitted >> 32),
          .inheritable = (uint32_t)(inheritable >> 32) },
    };
    return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

static int capabilities_permitted(uint64_t *ret)
{
    struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &head, data) < 0)
        return -errno;
    *ret = data[0].permitted | (uint64_t)data[1].permitted << 32;
    return 0;
}

/* Numbers that this kernel does not know end the loop with EINVAL; those that are
 * out of the bounding set already need no privilege. */
static int bound(uint64_t wanted)
{
    for (unsigned i = 0; i < CAPABILITIES_MAX; i++) {
        int there = prctl(PR_CAPBSET_READ, i, 0, 0, 0);
        if (there < 0)
            return 0;
        if (there > 0 && (wanted >> i & 1) == 0 && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
            return -errno;
    }
    return 0;
}

/* The bounding set first, while CAP_SETPCAP is there; then exactly what is wanted,
 * as ambient ones too, or exec would take them from a user that is not root. */
static int take_capabilities(uint64_t wanted)
{
    uint64_t permitted = 0;
    int r = capabilities_permitted(&permitted);
    if (r == 0)
        r = capabilities_set(permitted, permitted, 0);
    if (r == 0)
        r = bound(wanted);
    if (r == 0)
        r = capabilities_set(wanted, wanted, wanted);
    if (r == 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
        r = -errno;
    for (unsigned i = 0; r == 0 && i < CAPABILITIES_MAX; i++)
        if ((wanted >> i & 1) != 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) < 0)
            r = -errno;
    return r;
}

/* -- identity ------------------------------------------------------------------- */

static void take_identity(const struct spawn_identity *id, int error_fd)
{
    if (geteuid() == 0 && syscall(SYS_setgroups, id->n_groups, id->groups) < 0)
        spawn_child_fail(error_fd, SPAWN_STAGE_GROUPS, errno);
    if (syscall(SYS_setresgid, id->gid, id->gid, id->gid) < 0)
        spawn_child_fail(error_fd, SPAWN_STAGE_GID, errno);
    if (syscall(SYS_setresuid, id->uid, id->uid, id->uid) < 0)
        spawn_child_fail(error_fd, SPAWN_STAGE_UID, errno);
}

/* The kernel's list is sorted and so is ours; behind ours is room for the kernel's. */
static bool has_groups(const struct spawn_identity *id)
{
    gid_t *room = (gid_t *)((uintptr_t)id->groups + ((id->n_groups * sizeof(gid_t) + 15) & ~(size_t)15));
    long n = syscall(SYS_getgroups, 0, NULL);
    if (n != (long)id->n_groups)
        return false;
    return n == 0 || (syscall(SYS_getgroups, n, room) == n && memcmp(room, id->groups, (size_t)n * sizeof(gid_t)) == 0);
}

static bool is_identity(const struct spawn_identity *id, bool root)
{
    uid_t r, e, s;
    gid_t gr, ge, gs;
    return getresuid(&r, &e, &s) == 0 && r == id->uid && e == id->uid && s == id->uid &&
           getresgid(&gr, &ge, &gs) == 0 && gr == id->gid && ge == id->gid && gs == id->gid &&
           (!root || has_groups(id));
}

/* What was given up must not be there to be taken again, except where its very
 * capability was asked for. */
static bool can_return(const struct spawn_identity *id, const struct confinement *c)
{
    uint64_t kept = c != NULL && c->capabilities_set ? c->capabilities : 0;
    if (id->uid == 0)
        return false;
    if ((kept >> CAP_SETUID & 1) == 0 && syscall(SYS_setresuid, 0, 0, 0) == 0)
        return true;
    return (kept >> CAP_SETGID & 1) == 0 && id->gid != 0 && syscall(SYS_setresgid, 0, 0, 0) == 0;
}

void spawn_child_become(const struct spawn_plan *plan, int error_fd)
{
    const struct spawn_identity *id = plan->identity;
    const struct confinement *c = plan->confinement;
    bool chosen = c != NULL && c->capabilities_set, root = geteuid() == 0;
    if (chosen && id != NULL && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
        spawn_child_fail(error_fd, SPAWN_STAGE_CAPABILITIES, errno);
    if (id != NULL)
        take_identity(id, error_fd);
    int r = chosen ? take_capabilities(c->capabilities) : 0;
    if (r < 0)
        spawn_child_fail(error_fd, SPAWN_STAGE_CAPABILITIES, -r);
    if (id != NULL && (!is_identity(id, root) || can_return(id, c)))
        spawn_child_fail(error_fd, SPAWN_STAGE_VERIFY, EPERM);
}

/* -- files ---------------------------------------------------------------------- */

/* What was opened may be at its place already, or in a hole below it. */
static int put_at(int fd, int index)
{
    if (fd == index)
        return fcntl(fd, F_SETFD, 0) < 0 ? -errno : 0;
    int r = dup2(fd, index) < 0 ? -errno : 0;
    close(fd);
    return r;
}

void spawn_child_open(const struct spawn_plan *plan, int error_fd)
{
    for (unsigned i = 0; i < plan->n_opens; i++) {
        const struct spawn_open *o = &plan->opens[i];
        int fd = o->path != NULL ? open(o->path, o->flags | O_CLOEXEC | O_NOCTTY, 0666)
                                 : fcntl(o->same_as, F_DUPFD_CLOEXEC, 0);
        int r = fd < 0 ? -errno : put_at(fd, o->index);
        if (r < 0)
            spawn_child_fail_at(error_fd, SPAWN_STAGE_STDIO, -r, o->index);
    }
}
