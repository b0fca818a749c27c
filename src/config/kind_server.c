/* kind_server.c - values of HTTP servers, of fcgi sockets and of event listeners. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "config/kind.h"
#include "config/load.h"

/* --- [inet_http_server] ------------------------------------------------------ */

static int parse_port(struct setting *s, const char *text, int64_t *port)
{
    int r = parse_int(text, port);
    if (r < 0) {
        s->compat = int_error(s->l, text);
        return r;
    }
    if (*port >= 1 && *port <= 65535)
        return 0;
    s->compat = scratchf(s->l, "%lld is %s bound (%s)", (long long)*port, *port < 1 ? "below lower" : "above upper",
                         *port < 1 ? "1" : "65535");
    return -ERANGE;
}

static int set_port(struct setting *s, const char *text)
{
    struct config_server *server = s->base;
    const char *colon = strrchr(text, ':');
    const char *number = colon != NULL ? colon + 1 : text;
    const char *host = colon != NULL ? lower(s->l, arena_copy(&s->l->scratch, text, (size_t)(colon - text))) : "";
    int64_t port = 0;
    int r = number[0] == '\0' && colon != NULL ? -ENODATA : parse_port(s, number, &port);
    if (r == -ENODATA)
        s->compat = "no port number specified in ''";
    if (r < 0 && colon == NULL)
        s->compat = scratchf(s->l, "not a valid port number: %s ", python_repr(s->l, text));
    if (r < 0)
        return setting_refuse(s, "\"%s\" is not an address; write host:port, with a port from 1 to 65535", text);
    server->host = keep_string(s->l, strcmp(host, "*") == 0 ? "" : host);
    server->port = (unsigned)port;
    return 0;
}

static bool print_port(const struct option *o, const void *base, struct buf *out)
{
    const struct config_server *server = base;
    (void)o;
    buf_printf(out, "%s:%u", server->host[0] != '\0' ? server->host : "*", server->port);
    return true;
}

const struct option_kind kind_port = { "host:port", SHAPE_STRING, set_port, print_port, NULL };

/* --- [unix_http_server] ------------------------------------------------------ */

static int set_socket_file(struct setting *s, const char *text)
{
    size_t len = strlen(text);
    utf8_strip(&text, &len);
    const char *path = path_normal(s->l, arena_copy(&s->l->scratch, text, len));
    *(const char **)option_field(s->option, s->base) = keep_string(s->l, path);
    return 0;
}

const struct option_kind kind_socket_file = { "a path", SHAPE_STRING, set_socket_file, print_text, equal_text };

/* "user:group" or "user"; false: unknown. */
static bool look_up_owner(struct loader *l, const char *text, uid_t *uid, gid_t *gid, const char **name)
{
    const char *colon = strchr(text, ':');
    const char *user = colon != NULL ? arena_copy(&l->scratch, text, (size_t)(colon - text)) : text;
    struct config_user u;
    char group[64] = "";
    gid_t g = (gid_t)-1;
    if (l->world->user(l->world->ctx, user, &u) < 0)
        return false;
    if (colon != NULL && l->world->group(l->world->ctx, colon + 1, &g, group) < 0)
        return false;
    *uid = u.uid;
    *gid = g;
    *name = keep_string(l, scratchf(l, "%s:%s", u.name, group));
    return true;
}

static int set_chown(struct setting *s, const char *text)
{
    struct config_server *server = s->base;
    if (look_up_owner(s->l, text, &server->owner_uid, &server->owner_gid, &server->owner))
        return 0;
    s->compat = scratchf(s->l, "Invalid sockchown value %s", text);
    return setting_refuse(s, "there is no such user or group: \"%s\"; write user or user:group", text);
}

const struct option_kind kind_chown = { "user or user:group", SHAPE_STRING, set_chown, print_text, equal_text };

/* An octal mode; supervisord has other words here than for umask. */
static int set_mode(struct setting *s, const char *text, const char *what)
{
    int64_t mode;
    if (parse_octal(text, &mode) == 0 && mode >= 0 && mode <= 07777) {
        *(int *)option_field(s->option, s->base) = (int)mode;
        return 0;
    }
    s->compat = scratchf(s->l, "Invalid %s value %s", what, text);
    return setting_refuse(s, "\"%s\" is not an octal mode such as 0700", text);
}

static int set_chmod(struct setting *s, const char *text)
{
    return set_mode(s, text, "chmod");
}

static int set_socket_mode(struct setting *s, const char *text)
{
    return set_mode(s, text, "socket_mode");
}

const struct option_kind kind_chmod = { "an octal number", SHAPE_STRING, set_chmod, print_octal, equal_int };
const struct option_kind kind_socket_mode = { "an octal number", SHAPE_STRING, set_socket_mode, print_octal,
                                              equal_int };

/* --- [fcgi-program:x] ---------------------------------------------------------- */

static int set_socket_owner(struct setting *s, const char *text)
{
    struct program_group_special *g = s->base;
    if (look_up_owner(s->l, text, &g->socket_uid, &g->socket_gid, &g->socket_owner))
        return 0;
    s->compat = scratchf(s->l, "Invalid socket_owner value %s", text);
    return setting_refuse(s, "there is no such user or group: \"%s\"; write user or user:group", text);
}

const struct option_kind kind_socket_owner = { "user or user:group", SHAPE_STRING, set_socket_owner, print_text,
                                               equal_text };

static int set_backlog(struct setting *s, const char *text)
{
    int64_t value;
    int r = parse_int(text, &value);
    if (r < 0)
        return refuse_int(s, r, text);
    if (value < 1 || value > 65535) {
        s->compat = scratchf(s->l, "Invalid socket_backlog value %lld", (long long)value);
        return setting_refuse(s, "%lld is out of range; from 1 to 65535", (long long)value);
    }
    *(int *)option_field(s->option, s->base) = (int)value;
    return 0;
}

const struct option_kind kind_backlog = { "a number from 1 to 65535", SHAPE_LITERAL, set_backlog, print_int,
                                          equal_int };

static int refuse_socket(struct setting *s, const char *compat, const char *what)
{
    s->compat = scratchf(s->l, "%s in [%s] socket", compat, s->where.section->name);
    return setting_refuse(s, "%s; write unix:///absolute/path or tcp://host:port", what);
}

static int set_unix_socket(struct setting *s, const char *path)
{
    struct program_group_special *g = s->base;
    const struct special_draft *draft = s->base;
    if (path[0] != '/')
        return refuse_socket(s,
                             scratchf(s->l, "('Unix socket path %%s is not an absolute path', %s)",
                                      python_repr(s->l, path)),
                             "a relative path");
    g->socket_url = keep_string(s->l, scratchf(s->l, "unix://%s", path_normal(s->l, path)));
    if (g->socket_mode < 0)
        g->socket_mode = 0700;
    if (g->socket_uid == (uid_t)-1 && draft->proc_uid != (uid_t)-1 && draft->proc_uid != s->l->world->uid) {
        g->socket_uid = draft->proc_uid;
        g->socket_gid = draft->proc_gid;
    }
    return 0;
}

/* tcp://host:port; a host has neither blanks nor colons. */
static int set_tcp_socket(struct setting *s, const char *text)
{
    struct program_group_special *g = s->base;
    const char *host = text + 6;
    size_t len = strncmp(text, "tcp://", 6) == 0 ? strcspn(host, ": \t\n\v\f\r") : 0;
    const char *number = len > 0 && host[len] == ':' ? host + len + 1 : "";
    size_t digits = strspn(number, "0123456789");
    int64_t port;
    if (digits == 0 || number[digits] != '\0')
        return refuse_socket(s, scratchf(s->l, "('Bad socket format %%s', %s)", python_repr(s->l, text)),
                             "not an address");
    if (parse_port(s, number, &port) < 0)
        return refuse_socket(s, s->compat, "a port that is not from 1 to 65535");
    g->socket_url = keep_string(s->l, scratchf(s->l, "tcp://%s:%lld",
                                               lower(s->l, arena_copy(&s->l->scratch, host, len)), (long long)port));
    return 0;
}

static int set_socket(struct setting *s, const char *text)
{
    const struct program_group_special *g = s->base;
    if (strncmp(text, "unix://", 7) == 0)
        return set_unix_socket(s, text + 7);
    if (g->socket_uid != (uid_t)-1 || g->socket_mode >= 0)
        return refuse_socket(s, "socket_owner and socket_mode params should only be used with a Unix domain socket",
                             "socket_owner and socket_mode are of unix sockets only");
    return set_tcp_socket(s, text);
}

const struct option_kind kind_socket = { "unix:///path or tcp://host:port", SHAPE_STRING, set_socket, print_text,
                                         equal_text };

/* --- [eventlistener:x] ------------------------------------------------------- */

static const char *const events[] = {
    "EVENT",
    "PROCESS_COMMUNICATION",
    "PROCESS_COMMUNICATION_STDERR",
    "PROCESS_COMMUNICATION_STDOUT",
    "PROCESS_GROUP",
    "PROCESS_GROUP_ADDED",
    "PROCESS_GROUP_REMOVED",
    "PROCESS_LOG",
    "PROCESS_LOG_STDERR",
    "PROCESS_LOG_STDOUT",
    "PROCESS_STATE",
    "PROCESS_STATE_BACKOFF",
    "PROCESS_STATE_EXITED",
    "PROCESS_STATE_FATAL",
    "PROCESS_STATE_RUNNING",
    "PROCESS_STATE_STARTING",
    "PROCESS_STATE_STOPPED",
    "PROCESS_STATE_STOPPING",
    "PROCESS_STATE_UNKNOWN",
    "REMOTE_COMMUNICATION",
    "SUPERVISOR_STATE_CHANGE",
    "SUPERVISOR_STATE_CHANGE_RUNNING",
    "SUPERVISOR_STATE_CHANGE_STOPPING",
    "TICK",
    "TICK_3600",
    "TICK_5",
    "TICK_60",
};

static size_t find_event(const char *name)
{
    size_t i = 0;
    while (i < ELEMENTS(events) && strcmp(events[i], name) != 0)
        i++;
    return i;
}

/* The table is sorted, so marking names in it both sorts and merges the list. */
static int set_events(struct setting *s, const char *text)
{
    bool chosen[ELEMENTS(events)] = { false };
    const char **words;
    size_t n = split_list(s->l, text, &words), count = 0;
    for (size_t i = 0; i < n; i++) {
        char *word = arena_string(&s->l->scratch, words[i]);
        for (char *p = word; *p != '\0'; p++)
            *p = (char)toupper((unsigned char)*p);
        size_t event = find_event(word);
        if (event == ELEMENTS(events)) {
            s->compat = scratchf(s->l, "Unknown event type %s in [%s] events", word, s->where.section->name);
            return setting_refuse(s,
                                  "there is no event \"%s\"; PROCESS_STATE is all state changes, EVENT is everything",
                                  words[i]);
        }
        count += !chosen[event];
        chosen[event] = true;
    }
    const char **list = arena_new_array(s->l->keep, count + 1, const char *);
    if (list == NULL)
        return -ENOMEM;
    *(const char *const **)option_field(s->option, s->base) = list;
    for (size_t i = 0; i < ELEMENTS(events); i++)
        if (chosen[i])
            *list++ = events[i];
    return 0;
}

static bool print_events(const struct option *o, const void *base, struct buf *out)
{
    const char *const *list = *(const char *const *const *)option_field(o, base);
    for (size_t i = 0; list != NULL && list[i] != NULL; i++)
        buf_printf(out, "%s%s", i > 0 ? "," : "", list[i]);
    return list != NULL;
}

static bool equal_events(const struct option *o, const void *a, const void *b)
{
    const char *const *p = *(const char *const *const *)option_field(o, a);
    const char *const *q = *(const char *const *const *)option_field(o, b);
    while (p != NULL && q != NULL && *p != NULL && *p == *q) {
        p++;
        q++;
    }
    return (p == NULL ? NULL : *p) == (q == NULL ? NULL : *q);
}

const struct option_kind kind_events = { "names of events, with commas", SHAPE_STRING, set_events, print_events,
                                         equal_events };

static int set_buffer_size(struct setting *s, const char *text)
{
    int64_t value;
    int r = parse_int(text, &value);
    if (r < 0)
        return refuse_int(s, r, text);
    if (value < 1 || value > INT32_MAX) {
        s->compat =
            scratchf(s->l, "[%s] section sets invalid buffer_size (%lld)", s->where.section->name, (long long)value);
        return setting_refuse(s, "%lld is out of range; it must be 1 or more", (long long)value);
    }
    *(unsigned *)option_field(s->option, s->base) = (unsigned)value;
    return 0;
}

const struct option_kind kind_buffer_size = { "a number", SHAPE_LITERAL, set_buffer_size, print_count, equal_int };

static int set_plugin(struct setting *s, const char *text)
{
    if (!check_plugin(s->l, &s->where, text))
        return -EINVAL;
    *(const char **)option_field(s->option, s->base) = keep_string(s->l, text);
    return 0;
}

const struct option_kind kind_plugin = { "package:function", SHAPE_STRING, set_plugin, print_text, equal_text };
