/* control.c - finds the command for a request, and whether its sender may.
 *
 * Owns the HTTP server.  Knows no verb: those are rows of the tables that the
 * cmd_*.c files export.  Every request that changes something is logged with the
 * one who sent it. */
#include "control/control.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "control/desk.h"

static const struct command *const tables[] = { commands_process, commands_action, commands_log, commands_config,
                                                commands_daemon,  commands_events, commands_run, commands_message,
                                                commands_upgrade, commands_relay };

/* -- who may what ------------------------------------------------------------- */

static bool in_group(uid_t uid, gid_t gid, const char *name)
{
    struct group *wanted = getgrnam(name);
    if (wanted == NULL)
        return false;
    gid_t target = wanted->gr_gid;
    struct passwd *pw = gid == target ? NULL : getpwuid(uid);
    gid_t groups[256];
    int n = (int)ELEMENTS(groups);
    if (gid == target)
        return true;
    if (pw == NULL || getgrouplist(pw->pw_name, gid, groups, &n) < 0)
        return false;
    for (int i = 0; i < n; i++)
        if (groups[i] == target)
            return true;
    return false;
}

static const struct config_server *unix_server(const struct config *config)
{
    for (size_t i = 0; i < config->n_servers; i++)
        if (config->servers[i].is_unix)
            return &config->servers[i];
    return NULL;
}

/* The daemon's uid, root and the socket's owner may do all.  In a supervisord
 * file the mode of the socket is the whole rule, as it always was there: whoever
 * it lets in may do all.  In a native file the others whom the mode lets in may
 * look, and members of control_group may control.  Over TCP the password is the
 * rule, where there is one. */
static enum role role_of(const struct control *c, const struct http_peer *peer)
{
    const struct config *config = c->supervisor->config;
    if (!peer->known || peer->uid == 0 || peer->uid == geteuid())
        return ROLE_ADMIN;
    const struct config_server *server = unix_server(config);
    if (config->kind == CONFIG_SUPERVISORD || (server != NULL && peer->uid == server->owner_uid))
        return ROLE_ADMIN;
    if (config->daemon.control_group != NULL && in_group(peer->uid, peer->gid, config->daemon.control_group))
        return ROLE_CONTROL;
    return ROLE_READ;
}

/* -- finding the command ------------------------------------------------------ */

/* Does the path fit the pattern?  Then *name and *length are what {} stood for. */
static bool path_matches(const char *pattern, const char *path, const char **name, size_t *length)
{
    *length = 0;
    *name = path;
    while (*pattern != '\0') {
        if (pattern[0] == '{') {
            *name = path;
            *length = strcspn(path, "/");
            if (*length == 0)
                return false;
            path += *length;
            pattern += 2;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *path == '\0';
}

struct lookup {
    const struct command *command;
    const char *name;
    size_t length;
    bool other_method;
};

static struct lookup find_command(const char *method, const char *path)
{
    struct lookup found = { 0 };
    for (size_t t = 0; t < ELEMENTS(tables); t++) {
        for (const struct command *c = tables[t]; c->method != NULL; c++) {
            const char *name;
            size_t length;
            if (!path_matches(c->path, path, &name, &length))
                continue;
            if (strcmp(c->method, method) == 0)
                return (struct lookup){ .command = c, .name = name, .length = length };
            found.other_method = true;
        }
    }
    return found;
}

/* Of a transient process, which was logged when it began; there are many pieces. */
static bool is_input(const char *path)
{
    size_t len = strlen(path);
    return strncmp(path, "/v1/run/", 8) == 0 && len > 6 && strcmp(path + len - 6, "/stdin") == 0;
}

static void log_call(const struct http_request *r, const struct command *command)
{
    if (command->role == ROLE_READ || is_input(http_request_path(r)))
        return;
    log_info("%s %s by %s", http_request_method(r), http_request_path(r), http_request_peer(r)->text);
}

/* Who asks for these has supervisord in mind. */
static void no_such_path(struct http_request *r)
{
    const char *path = http_request_path(r);
    if (strcmp(path, "/RPC2") == 0)
        http_reply_error(r, 404, "ENOENT",
                         "no such path: /RPC2; there is no XML-RPC here, droverctl stands in for supervisorctl, "
                         "and drover-api(7) describes the HTTP interface");
    else if (strcmp(path, "/") == 0 || strcmp(path, "/index.html") == 0)
        http_reply_error(r, 404, "ENOENT",
                         "no such path: %s; there is no web page yet, but droverctl status, and /v1/processes", path);
    else
        http_reply_error(r, 404, "ENOENT", "no such path: %s; see drover-api(7)", path);
}

static void on_request(struct http_request *r, void *arg)
{
    struct control *c = arg;
    struct lookup found = find_command(http_request_method(r), http_request_path(r));
    if (found.command == NULL) {
        if (found.other_method)
            http_reply_error(r, 405, "EOPNOTSUPP", "method %s does not fit %s", http_request_method(r),
                             http_request_path(r));
        else
            no_such_path(r);
        return;
    }
    /* all who come in may read; whether more is asked of the name service, which may be slow */
    if (found.command->role > ROLE_READ && role_of(c, http_request_peer(r)) < found.command->role) {
        http_reply_error(r, 403, "EPERM", "%s may not do this; see control_group in drover.conf(5)",
                         http_request_peer(r)->text);
        return;
    }
    struct control_call call = { .control = c, .request = r };
    if (http_decode(found.name, found.length, call.name, sizeof(call.name)) < 0) {
        http_reply_error(r, 400, "EINVAL", "the name in the path is too long or badly encoded");
        return;
    }
    log_call(r, found.command);
    found.command->fn(&call);
}

int control_new(struct supervisor *s, const struct control_hooks *hooks, struct control **ret)
{
    struct control *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return -ENOMEM;
    c->supervisor = s;
    c->hooks = *hooks;
    int r = http_server_new(s->loop, on_request, c, &c->http);
    if (r < 0) {
        free(c);
        return r;
    }
    desk_open(s);
    *ret = c;
    return 0;
}

void control_free(struct control *c)
{
    if (c == NULL)
        return;
    http_server_free(c->http);
    free(c);
}
