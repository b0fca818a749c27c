/* listen.h - the sockets that the configuration asks for. */
#pragma once

#include "config/config.h"
#include "control/http.h"
#include "os/unixsock.h"

struct listener {
    int fd; /* -1 once it was handed to the server */
    char *path; /* of a unix socket; NULL */
    struct unixsock_id id;
};

struct listeners {
    struct listener *list;
    size_t n;
};

/* Opens all of them, or none: 0, or a negative errno with one line for people in
 * `why`.  A server without a password beyond loopback is warned about. */
int listeners_open(const struct config *config, struct listeners *ret, char *why, size_t size);
/* Hands them to the server; the configuration's passwords are borrowed. */
int listeners_serve(struct listeners *l, const struct config *config, struct http_server *server);
/* Closes what was not handed over and removes the files that are still ours. */
void listeners_close(struct listeners *l);
