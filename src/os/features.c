/* features.c - see features.h.
 *
 * A call that is there is told from one that is not by arguments that do nothing.
 * Those who need a feature find out by themselves and go the other way (spawn.c,
 * identity.c): this is for people.  Owns nothing. */
#include "os/features.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/identity.h"

static bool has_clone3(void)
{
    syscall(SYS_clone3, NULL, 0UL); /* never makes a child: no arguments are too few */
    return errno == EINVAL;
}

static bool has_close_range(void)
{
    return syscall(SYS_close_range, ~0U, ~0U, 0U) == 0; /* no descriptor has that number */
}

static bool has_pidfd_inodes(void)
{
    struct identity self;
    _cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    return fd >= 0 && identity_of(getpid(), fd, &self) == 0 && self.inode != 0;
}

static const struct {
    struct feature feature;
    bool (*is_there)(void);
} features[] = {
    { { "clone3", "children are made by clone, and handlers of signals reset one by one" }, has_clone3 },
    { { "close_range", "each start copies the whole table of descriptors" }, has_close_range },
    { { "pidfd inodes", "a process is known again by its pid and the time of its start alone (Linux 6.9 has them)" },
      has_pidfd_inodes },
};

const struct feature *features_lacking(size_t i)
{
    static const struct feature *lacking[ELEMENTS(features)];
    static size_t n;
    static bool looked;
    for (size_t k = 0; k < ELEMENTS(features) && !looked; k++)
        if (!features[k].is_there())
            lacking[n++] = &features[k].feature;
    looked = true;
    return i < n ? lacking[i] : NULL;
}
