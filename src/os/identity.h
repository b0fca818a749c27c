/* identity.h - which process, said so that another one is never taken for it.
 *
 * A pid is given away again.  With the time of its start (field 22 of
 * /proc/PID/stat) and, from Linux 6.9 on, the number of its pidfd's inode, which
 * is never given away twice, it is not; both hold within one era: a boot of the
 * kernel and a pid name space. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

struct identity {
    pid_t pid;
    uint64_t start; /* in clock ticks since the boot; 0: unknown */
    uint64_t inode; /* of its pidfd; 0: this kernel has no such numbers */
};

/* Pids of two eras have nothing to do with each other. */
struct identity_era {
    uint8_t boot[16];
    uint64_t pid_namespace;
};

int identity_era(struct identity_era *ret);

/* Of the process that `pidfd` holds and that has not been reaped: -ESRCH if it has. */
int identity_of(pid_t pid, int pidfd, struct identity *ret);

/* The same of our own child, which nobody else can reap; as cheap as this kernel lets it be. */
void identity_of_child(pid_t pid, int pidfd, struct identity *ret);

/* Now, as .start tells it. */
uint64_t identity_clock(void);
/* Of the process with that number, if it has begun not before `from`, and not longer
 * than `within` microseconds after it; else -ESRCH. */
int identity_of_young(pid_t pid, uint64_t from, uint64_t within, struct identity *ret);

/* A pidfd of that very process, dead or alive, for as long as it is not reaped;
 * -ESRCH when it is gone, or when nothing is known that could tell. */
int identity_open(const struct identity *id);
