/* unixsock.h - listening sockets, made safely, and who is at the other end.
 *
 * All descriptors are CLOEXEC and non-blocking.  Negative errno on failure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Which file a listening socket is, so that only it is ever removed. */
struct unixsock_id {
    dev_t dev;
    ino_t ino;
};

struct unixsock_options {
    mode_t mode; /* 0600 and the like */
    uid_t uid;   /* (uid_t)-1 keeps the daemon's own */
    gid_t gid;
};

/* Listens at `path`.  A socket file that nobody answers is replaced; -EADDRINUSE
 * when somebody does, -ENOTSOCK when the path is a file of another kind,
 * -ENAMETOOLONG when it does not fit into an address. */
int unixsock_listen(const char *path, const struct unixsock_options *o, int *ret_fd, struct unixsock_id *ret_id);

/* Removes the file if it still is the one that was made. */
void unixsock_unlink(const char *path, const struct unixsock_id *id);

/* Listens on TCP.  Host "" or "*" is every IPv4 address, as supervisord has it;
 * "::" is every address of both kinds; brackets around IPv6 are allowed; of a
 * name that has both, the IPv4 address is taken.  Names are resolved here, which may wait: for start
 * and reload only.  -EADDRNOTAVAIL when the name means nothing. */
int unixsock_listen_tcp(const char *host, unsigned port, int *ret_fd);

struct unixsock_peer {
    bool known; /* a unix socket: vouched for by the kernel */
    uid_t uid;
    gid_t gid;
    pid_t pid;
};

/* The other end of a connected socket. */
struct unixsock_peer unixsock_peer(int fd);

/* For the log: "uid 0 pid 4711", "127.0.0.1:40022", "[::1]:40022". */
void unixsock_peer_text(int fd, const struct unixsock_peer *peer, char *out, size_t size);

/* True when the connection came in over the loopback interface's addresses. */
bool unixsock_is_loopback(int fd);

/* True when the peer has closed both directions, or is dead: no reply can reach it. */
bool unixsock_is_gone(int fd);
