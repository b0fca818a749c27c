/* relay_handle.c - which descriptors may be given to whom.
 *
 * A Node program that is sent a regular file or a terminal aborts, and one that is
 * sent an eventfd or a directory can be sent no descriptor any more; a kind that
 * does not fit its descriptor ends it too.  So both are looked at here.  Owns
 * nothing. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "supervisor/relay_internal.h"

static int option_of(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? -1 : value;
}

/* What Node calls it; NODE_TYPE_NONE: it has no word for that. */
static enum node_type natural_type(int fd, enum node_dgram *dgram)
{
    struct stat st;
    *dgram = NODE_DGRAM_NONE;
    if (fstat(fd, &st) < 0)
        return NODE_TYPE_NONE;
    if (S_ISFIFO(st.st_mode))
        return NODE_TYPE_NATIVE;
    if (!S_ISSOCK(st.st_mode))
        return NODE_TYPE_NONE;
    int domain = option_of(fd, SO_DOMAIN), type = option_of(fd, SO_TYPE);
    bool internet = domain == AF_INET || domain == AF_INET6;
    if (type == SOCK_STREAM && (internet || domain == AF_UNIX))
        return option_of(fd, SO_ACCEPTCONN) == 1 ? NODE_TYPE_SERVER : NODE_TYPE_SOCKET;
    if (type != SOCK_DGRAM || !internet)
        return NODE_TYPE_NONE;
    *dgram = domain == AF_INET ? NODE_DGRAM_UDP4 : NODE_DGRAM_UDP6;
    return NODE_TYPE_DGRAM_SOCKET;
}

/* May a descriptor of that nature be called so?  A socket that is only bound is sent as a server. */
static bool fits(enum node_type said, enum node_type natural)
{
    switch (said) {
    case NODE_TYPE_SERVER:
    case NODE_TYPE_SOCKET:
        return natural == NODE_TYPE_SERVER || natural == NODE_TYPE_SOCKET;
    case NODE_TYPE_NATIVE:
        return natural != NODE_TYPE_DGRAM_SOCKET;
    case NODE_TYPE_DGRAM_SOCKET:
    case NODE_TYPE_DGRAM_NATIVE:
        return natural == NODE_TYPE_DGRAM_SOCKET;
    case NODE_TYPE_NONE:
        break;
    }
    return false;
}

int relay_handle_check(int fd, enum ipc_handles allowed, enum node_type *type, enum node_dgram *dgram)
{
    enum node_dgram family;
    enum node_type natural = natural_type(fd, &family);
    enum node_type said = *type != NODE_TYPE_NONE ? *type : natural;
    if (allowed == IPC_HANDLES_NONE)
        return -EBADF;
    if (allowed == IPC_HANDLES_ANY) {
        *type = said != NODE_TYPE_NONE ? said : NODE_TYPE_NATIVE;
        *dgram = family;
        return 0;
    }
    if (natural == NODE_TYPE_NONE || !fits(said, natural))
        return -EBADF;
    *type = said;
    *dgram = said == NODE_TYPE_DGRAM_SOCKET ? family : NODE_DGRAM_NONE;
    return 0;
}

/* Several can accept from one socket, or read one; a connection has one other end. */
bool relay_handle_for_many(enum node_type type, int fd)
{
    enum node_dgram dgram;
    enum node_type natural = natural_type(fd, &dgram);
    return natural != NODE_TYPE_SOCKET || type == NODE_TYPE_SERVER;
}
