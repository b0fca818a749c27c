/* unixsock.c - listening sockets and peers.
 *
 * A unix socket appears under its name in one step, complete: it is bound beside
 * that name, given owner and mode, told to listen, and only then renamed.  So no
 * client ever meets one with the wrong mode or one that refuses, and there is no
 * instant without a socket when one replaces another.  What it replaces is asked
 * first: a socket that answers belongs to a living daemon.  (Two daemons that do
 * this at the same instant are kept apart by the pidfile's lock, not here.)
 *
 * Descriptors belong to the caller once they are returned. */
#include "os/unixsock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/cleanup.h"

#define BACKLOG 128

static int address_set(struct sockaddr_un *a, const char *path)
{
    *a = (struct sockaddr_un){ .sun_family = AF_UNIX };
    if (path[0] == '\0')
        return -EINVAL;
    if (strlen(path) >= sizeof(a->sun_path))
        return -ENAMETOOLONG;
    memcpy(a->sun_path, path, strlen(path) + 1);
    return 0;
}

/* 0 when a socket may be made at `path`. */
static int path_is_free(const char *path, const struct sockaddr_un *address)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -ENOTSOCK;
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
        return -EADDRINUSE;
    switch (errno) {
    case ECONNREFUSED:
    case ENOENT:
        return 0;
    case EAGAIN:     /* its backlog is full, so somebody owns it */
    case EPROTOTYPE: /* a datagram socket, which is not ours to replace */
        return -EADDRINUSE;
    default:
        return -errno;
    }
}

/* Binds, with no permission for anybody else from the first instant: Linux takes
 * the mode of the file from the socket's own. */
static int bind_private(int fd, const struct sockaddr_un *address)
{
    if (fchmod(fd, 0600) < 0)
        return -errno;
    if (unlink(address->sun_path) < 0 && errno != ENOENT)
        return -errno; /* what a crash of ours may have left */
    return bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;
}

static int dress(const char *path, const struct unixsock_options *o, struct unixsock_id *id)
{
    struct stat st;
    if ((o->uid != (uid_t)-1 || o->gid != (gid_t)-1) && lchown(path, o->uid, o->gid) < 0)
        return -errno;
    if (chmod(path, o->mode & 0777) < 0 || lstat(path, &st) < 0)
        return -errno;
    *id = (struct unixsock_id){ .dev = st.st_dev, .ino = st.st_ino };
    return 0;
}

int unixsock_listen(const char *path, const struct unixsock_options *o, int *ret_fd, struct unixsock_id *ret_id)
{
    struct sockaddr_un address, beside;
    char name[sizeof(address.sun_path) + 16];
    int r = address_set(&address, path);
    if (r < 0)
        return r;
    snprintf(name, sizeof(name), "%s.%ld", path, (long)getpid());
    r = address_set(&beside, name);
    if (r < 0)
        return r;
    r = path_is_free(path, &address);
    if (r < 0)
        return r;
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    r = bind_private(fd, &beside);
    if (r < 0)
        return r;
    struct unixsock_id id = { 0 };
    r = dress(name, o, &id);
    if (r == 0 && listen(fd, BACKLOG) < 0)
        r = -errno;
    if (r == 0 && rename(name, path) < 0)
        r = -errno;
    if (r < 0) {
        unlink(name);
        return r;
    }
    *ret_id = id;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

void unixsock_unlink(const char *path, const struct unixsock_id *id)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_dev == id->dev && st.st_ino == id->ino)
        unlink(path);
}

/* --- TCP ---------------------------------------------------------------- */

static int listen_at(const struct addrinfo *a, int *ret_fd)
{
    const int on = 1, off = 0;
    _cleanup_close_ int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (a->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
        return -errno;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* The first address of the family that can be listened at. */
static int listen_family(const struct addrinfo *list, int family, int *ret_fd)
{
    int r = -EADDRNOTAVAIL;
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        if (a->ai_family != family)
            continue;
        r = listen_at(a, ret_fd);
        if (r == 0)
            return 0;
    }
    return r;
}

static int resolve_error(int error)
{
    switch (error) {
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return errno > 0 ? -errno : -EIO;
    case EAI_AGAIN:
        return -EAGAIN;
    default:
        return -EADDRNOTAVAIL;
    }
}

int unixsock_listen_tcp(const char *host, unsigned port, int *ret_fd)
{
    char name[256], service[16];
    if (port > 65535)
        return -EINVAL;
    size_t len = strlen(host);
    bool brackets = len > 2 && host[0] == '[' && host[len - 1] == ']';
    if (len >= sizeof(name))
        return -ENAMETOOLONG;
    snprintf(name, sizeof(name), "%.*s", (int)(brackets ? len - 2 : len), brackets ? host + 1 : host);
    snprintf(service, sizeof(service), "%u", port);
    bool any = name[0] == '\0' || strcmp(name, "*") == 0;
    struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                              .ai_family = any ? AF_INET : AF_UNSPEC,
                              .ai_socktype = SOCK_STREAM };
    struct addrinfo *list;
    int error = getaddrinfo(any ? NULL : name, service, &hints, &list);
    if (error != 0)
        return resolve_error(error);
    int r = listen_family(list, AF_INET, ret_fd);
    if (r == -EADDRNOTAVAIL)
        r = listen_family(list, AF_INET6, ret_fd);
    freeaddrinfo(list);
    return r;
}

/* --- peers -------------------------------------------------------------- */

struct unixsock_peer unixsock_peer(int fd)
{
    struct ucred cred;
    socklen_t len = sizeof(cred);
    struct sockaddr_storage address = { 0 };
    socklen_t address_len = sizeof(address);
    struct unixsock_peer peer = { .uid = (uid_t)-1, .gid = (gid_t)-1 };
    if (getsockname(fd, (struct sockaddr *)&address, &address_len) < 0 || address.ss_family != AF_UNIX)
        return peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0 || cred.uid == (uid_t)-1)
        return peer;
    return (struct unixsock_peer){ .known = true, .uid = cred.uid, .gid = cred.gid, .pid = cred.pid };
}

static void inet_text(const struct sockaddr_storage *address, socklen_t len, char *out, size_t size)
{
    char host[INET6_ADDRSTRLEN + 16], port[8];
    if (getnameinfo((const struct sockaddr *)address, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        snprintf(out, size, "unknown");
    else
        snprintf(out, size, address->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

void unixsock_peer_text(int fd, const struct unixsock_peer *peer, char *out, size_t size)
{
    struct sockaddr_storage address = { 0 };
    socklen_t len = sizeof(address);
    if (peer->known)
        snprintf(out, size, "uid %ld pid %ld", (long)peer->uid, (long)peer->pid);
    else if (getpeername(fd, (struct sockaddr *)&address, &len) == 0 && address.ss_family != AF_UNIX)
        inet_text(&address, len, out, size);
    else
        snprintf(out, size, "unknown");
}

bool unixsock_is_loopback(int fd)
{
    struct sockaddr_storage address = { 0 };
    socklen_t len = sizeof(address);
    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return false;
    if (address.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&address;
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    if (address.ss_family != AF_INET6)
        return false;
    const struct in6_addr *in6 = &((const struct sockaddr_in6 *)&address)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(in6) || (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == 127);
}

bool unixsock_is_gone(int fd)
{
    struct pollfd p = { .fd = fd };
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}
