/* load_servers.c - [unix_http_server], [inet_http_server]; supervisord has the
 * latter first, and takes the address for its programs from the former. */
#include <string.h>

#include "base/utf8.h"
#include "config/load.h"

static bool check_login(struct loader *l, const struct ini_section *section, struct config_server *server)
{
    struct where w = { .section = section };
    struct scope scope = { 0 };
    const struct option_table *t = server->is_unix ? &options_unix_server : &options_inet_server;
    bool ok = set_option(l, section, t, "username", server, &scope);
    ok = set_option(l, section, t, "password", server, &scope) && ok;
    if (!ok || (server->username == NULL) == (server->password == NULL))
        return ok;
    report(l, DIAGNOSTIC_ERROR, &w,
           scratchf(l,
                    "Section [%s] contains incomplete authentication: If a username or a password is specified, both "
                    "the username and password must be specified",
                    section->name),
           "has only one of username and password; write both, or none");
    return false;
}

static void missing(struct loader *l, const struct ini_section *section, const char *option, const char *example)
{
    struct where w = { .section = section, .option = option };
    report(l, DIAGNOSTIC_ERROR, &w, scratchf(l, "section [%s] has no %s value", section->name, option),
           "is missing; write %s = %s", option, example);
}

static void load_inet(struct loader *l, const struct ini_section *section, struct config_server *server)
{
    struct scope scope = { 0 };
    check_login(l, section, server);
    if (set_option(l, section, &options_inet_server, "port", server, &scope) && server->host == NULL)
        missing(l, section, "port", "127.0.0.1:9001");
}

static void load_unix(struct loader *l, const struct ini_section *section, struct config_server *server)
{
    struct scope scope = { .here = l->here };
    const struct option_table *t = &options_unix_server;
    if (set_option(l, section, t, "file", server, &scope) && server->file == NULL)
        missing(l, section, "file", "/run/drover.sock");
    check_login(l, section, server);
    set_option(l, section, t, "chown", server, &scope);
    set_option(l, section, t, "chmod", server, &scope);
}

static void load_kind(struct loader *l, const struct option_table *t, bool is_unix)
{
    size_t len = strlen(t->section);
    for (const struct ini_section *s = l->ini.sections; s != NULL; s = s->next) {
        if (strncmp(s->name, t->section, len) != 0)
            continue;
        struct config_server *server = &l->c->servers[l->c->n_servers++];
        *server = (struct config_server){
            .section = keep_string(l, s->name),
            .is_unix = is_unix,
            .owner_uid = (uid_t)-1,
            .owner_gid = (gid_t)-1,
        };
        if (is_unix)
            load_unix(l, s, server);
        else
            load_inet(l, s, server);
    }
}

static const char *first_address(struct loader *l)
{
    const char *url = NULL;
    for (size_t i = 0; i < l->c->n_servers; i++) {
        const struct config_server *s = &l->c->servers[i];
        if (s->is_unix)
            return s->file != NULL ? scratchf(l, "unix://%s", s->file) : NULL;
        if (s->host != NULL)
            url = scratchf(l, "http://%s:%u", s->host[0] != '\0' ? s->host : "localhost", s->port);
    }
    return url;
}

void load_servers(struct loader *l)
{
    size_t n = 0;
    for (const struct ini_section *s = l->ini.sections; s != NULL; s = s->next)
        n += strncmp(s->name, "unix_http_server", 16) == 0 || strncmp(s->name, "inet_http_server", 16) == 0;
    l->c->servers = arena_new_array(l->keep, n, struct config_server);
    if (l->c->servers == NULL)
        return;
    load_kind(l, &options_inet_server, false);
    load_kind(l, &options_unix_server, true);
    const char *url = first_address(l);
    l->c->daemon.serverurl = url != NULL ? keep_string(l, url) : NULL;
}
