/* listen.h - the sockets that the configuration asks for. */
#pragma once

#include "config/config.h"
#include "control/http.h"
#include "guardian/holder.h"
#include "os/unixsock.h"

struct listener {
    int fd;     /* -1 once it was handed to the server */
    char *path; /* of a unix socket that we have made; NULL */
    struct unixsock_id id;
    char name[ROLL_NAME_MAX + 1]; /* under which the guardian holds it; "": it does not */
};

struct listeners {
    struct holder *holder;
    struct listener *list;
    size_t n;
};

/* A listening socket that somebody else has made for us (systemd).  It stays
 * theirs: a duplicate of it is served, and its file is never removed. */
struct passed_socket {
    int fd;
    char *name; /* FileDescriptorName=, or NULL */
};

struct passed_sockets {
    struct passed_socket *list;
    size_t n;
};

/* Whether that section is served on that socket: a unix socket has the same path,
 * an inet socket has the section's name. */
bool listener_fits(const struct config_server *s, const struct passed_socket *p);

/* Opens all of them, or takes those that were passed, or that the guardian holds
 * since a supervisor before us has opened them; all or none: 0, or a negative errno
 * with one line for people in `why`.  A server without a password beyond loopback
 * is warned about. */
int listeners_open(const struct config *config, const struct passed_sockets *passed, struct holder *holder,
                   struct listeners *ret, char *why, size_t size);
/* Hands them to the server; the configuration's passwords are borrowed. */
int listeners_serve(struct listeners *l, const struct config *config, struct http_server *server);
/* Closes what was not handed over and removes the files that are still ours. */
void listeners_close(struct listeners *l);
