/* endpoint.h - which daemon to talk to, and as whom.
 *
 * Made of the command line and, for what that leaves open, of a configuration
 * file: [supervisorctl], or else the file's own servers. */
#pragma once

#include <stdbool.h>

struct endpoint {
    char *url; /* unix:///path or http://host:port, as messages show it */
    char *username;
    char *password;
    char *prompt;  /* of the shell, without "> " */
    char *history; /* file, or NULL */
};

void endpoint_done(struct endpoint *e);

/* Fills what is still NULL from `path`, or from the first file of the usual
 * places when it is NULL.  0, or a negative errno with *why telling a person. */
int endpoint_load(struct endpoint *e, const char *path, char **why);

/* Has it a scheme and something behind it? */
bool endpoint_is_url(const char *s);
