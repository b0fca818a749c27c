/* endpoint.c - see endpoint.h.
 *
 * The command line wins, then [supervisorctl], then what the file's own servers
 * say: a file that was written for droverd alone needs no [supervisorctl]. */
#include "ctl/endpoint.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "config/config_load.h"
#include "os/world.h"

#define ENDPOINT_DEFAULT_URL "http://localhost:9001"
#define ENDPOINT_DEFAULT_PORT 9001
#define ENDPOINT_DEFAULT_PROMPT "supervisor"

void endpoint_done(struct endpoint *e)
{
    free(e->url);
    free(e->username);
    free(e->password);
    free(e->prompt);
    free(e->history);
    *e = (struct endpoint){ 0 };
}

bool endpoint_is_url(const char *s)
{
    size_t scheme = strcspn(s, ":/?#");
    return scheme > 0 && s[scheme] == ':' && s[scheme + 1] != '\0' && strcmp(s + scheme, "://") != 0;
}

/* What the command line has given stays. */
static int endpoint_fill(char **to, const char *value)
{
    if (*to == NULL && value != NULL && (*to = strdup(value)) == NULL)
        return -ENOMEM;
    return 0;
}

/* The server that a client without [supervisorctl] serverurl should ask: a unix
 * socket, unless something listens where supervisorctl looks by default. */
static const struct config_server *endpoint_server(const struct config *c)
{
    const struct config_server *best = NULL;
    for (size_t i = 0; i < c->n_servers; i++) {
        const struct config_server *s = &c->servers[i];
        if (!s->is_unix && s->port == ENDPOINT_DEFAULT_PORT && c->client.present)
            return s;
        if (best == NULL || (s->is_unix && !best->is_unix))
            best = s;
    }
    return best;
}

static int endpoint_use_server(struct endpoint *e, const struct config_server *s)
{
    _cleanup_free_ char *url = NULL;
    int n = s->is_unix ? asprintf(&url, "unix://%s", s->file)
                       : asprintf(&url, "http://%s:%u", *s->host != '\0' ? s->host : "localhost", s->port);
    if (n < 0) {
        url = NULL;
        return -ENOMEM;
    }
    int r = endpoint_fill(&e->url, url);
    if (r == 0)
        r = endpoint_fill(&e->username, s->username);
    if (r == 0 && s->password != NULL && strncmp(s->password, "{SHA}", 5) != 0)
        r = endpoint_fill(&e->password, s->password);
    return r;
}

static int endpoint_use(struct endpoint *e, const struct config *c)
{
    const struct config_server *server = endpoint_server(c);
    bool own =
        !c->client.present || c->client.serverurl == NULL || strcmp(c->client.serverurl, ENDPOINT_DEFAULT_URL) == 0;
    int r = endpoint_fill(&e->username, c->client.username);
    if (r == 0)
        r = endpoint_fill(&e->password, c->client.password);
    if (r == 0)
        r = endpoint_fill(&e->prompt, c->client.prompt);
    if (r == 0)
        r = endpoint_fill(&e->history, c->client.history_file);
    if (r == 0 && e->url == NULL && own && server != NULL)
        r = endpoint_use_server(e, server);
    return r == 0 && c->client.present ? endpoint_fill(&e->url, c->client.serverurl) : r;
}

static char *endpoint_why(const char *path, const struct diagnostics *d)
{
    char *why = NULL;
    if (access(path, F_OK) < 0)
        return asprintf(&why, "could not find config file %s", path) < 0 ? NULL : why;
    for (size_t i = 0; i < d->n; i++)
        if (d->list[i].level == DIAGNOSTIC_ERROR)
            return strdup(d->list[i].text);
    return strdup("the configuration file cannot be read");
}

static int endpoint_read(struct endpoint *e, const struct config_world *world, const char *path, char **why)
{
    struct diagnostics d = { 0 };
    struct config *c = NULL;
    bool found = e->url != NULL;
    int r = config_load_endpoint(world, path, &c, &d);
    if (r == 0) {
        found = found || c->client.present || c->n_servers > 0;
        r = endpoint_use(e, c);
    } else if (r == -EINVAL) {
        *why = endpoint_why(path, &d);
    }
    if (r == 0 && !found) {
        if (asprintf(why, "%s: neither [supervisorctl] nor [unix_http_server] says where the daemon is; use -s URL",
                     path) < 0)
            *why = NULL;
        r = -EINVAL;
    }
    config_unref(c);
    diagnostics_clear(&d);
    return r;
}

int endpoint_load(struct endpoint *e, const char *path, char **why)
{
    struct world world;
    bool asked = path != NULL, known = e->url != NULL;
    int r = world_open(&world);
    if (r < 0)
        return r;
    if (asked || config_find_default(&world.config_world, &path) == 0)
        r = endpoint_read(e, &world.config_world, path, why);
    world_close(&world);
    if (r == -EINVAL && known && !asked)
        r = 0; /* -s says where: what else lies around does not matter */
    if (r == 0)
        r = endpoint_fill(&e->url, ENDPOINT_DEFAULT_URL);
    return r == 0 ? endpoint_fill(&e->prompt, ENDPOINT_DEFAULT_PROMPT) : r;
}
