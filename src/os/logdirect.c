/* logdirect.c - see logdirect.h.  Keeps no descriptor: they are the caller's.
 *
 * O_APPEND, since others may write the same file, and O_NONBLOCK only while it is
 * opened: a FIFO without a reader is to fail there, but who writes knows nothing of it. */
#include "os/logdirect.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

int log_direct(const char *path)
{
    int own = log_own_descriptor(path);
    if (own >= 0) {
        int fd = fcntl(own, F_DUPFD_CLOEXEC, 3);
        return fd < 0 ? -errno : fd;
    }
    _cleanup_close_ int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
    if (fd < 0 || fcntl(fd, F_SETFL, O_APPEND) < 0)
        return -errno;
    return TAKE_FD(fd);
}
