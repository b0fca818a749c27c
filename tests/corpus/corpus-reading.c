/* corpus-reading.c - what Drover makes of a configuration file, as JSON.
 *
 *   corpus-reading [--env NAME=VALUE]... FILE
 *
 * Prints the same object as the reading of supervisord that it is compared with
 * (tests/corpus/run), in the same pinned world: the file is /HERE/supervisord.conf,
 * the working directory /CWD, the home /home/x, the host HOST; every user, group
 * and directory exists; included files do not; the environment has HOME and the
 * variables that the file itself names.  Nothing of the real machine is asked but
 * for FILE.  Unlike what droverd shows to clients, this prints passwords. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/utf8.h"
#include "config/config_load.h"
#include "config/print.h"
#include "wire/config_json.h"

#define MAIN "/HERE/supervisord.conf"
#define FRAGMENT "/HERE/conf.d/program.conf"

static const char wrapper[] = "[unix_http_server]\n"
                              "file=/run/supervisor.sock\n"
                              "[supervisord]\n"
                              "logfile=/var/log/supervisord.log\n"
                              "pidfile=/run/supervisord.pid\n"
                              "[rpcinterface:supervisor]\n"
                              "supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n"
                              "[supervisorctl]\n"
                              "serverurl=unix:///run/supervisor.sock\n"
                              "[include]\n"
                              "files = conf.d/*.conf\n";

/* --- the pinned world ---------------------------------------------------------- */

struct ids { /* any name exists; numbers are given out in the order of asking */
    char names[4096][256];
    int n;
};

struct pinned {
    const char *main_text, *fragment_text;
    size_t main_len, fragment_len;
    struct ids users, groups;
};

static long id_of(struct ids *ids, const char *name)
{
    if (strcmp(name, "root") == 0)
        return 0;
    for (int i = 0; i < ids->n; i++)
        if (strcmp(ids->names[i], name) == 0)
            return 1000001 + i;
    if (ids->n < (int)ELEMENTS(ids->names))
        snprintf(ids->names[ids->n++], sizeof ids->names[0], "%.255s", name);
    return 1000000 + ids->n;
}

static void name_of(const struct ids *ids, long id, char *name, size_t size)
{
    if (id == 0)
        snprintf(name, size, "root");
    else if (id > 1000000 && id <= 1000000 + ids->n)
        snprintf(name, size, "%s", ids->names[id - 1000001]);
    else
        snprintf(name, size, "%ld", id);
}

static int read_file(void *ctx, const char *path, char **text, size_t *len)
{
    struct pinned *w = ctx;
    bool fragment = strcmp(path, FRAGMENT) == 0;
    const char *from = fragment ? w->fragment_text : strcmp(path, MAIN) == 0 ? w->main_text : NULL;
    if (from == NULL)
        return -ENOENT;
    *len = fragment ? w->fragment_len : w->main_len;
    *text = malloc(*len + 1);
    if (*text == NULL)
        return -ENOMEM;
    memcpy(*text, from, *len);
    (*text)[*len] = '\0';
    return 0;
}

static int find_files(void *ctx, const char *pattern, char ***paths)
{
    struct pinned *w = ctx;
    (void)pattern;
    *paths = calloc(2, sizeof **paths);
    if (*paths != NULL && w->fragment_text != NULL)
        (*paths)[0] = strdup(FRAGMENT);
    return *paths != NULL ? 0 : -ENOMEM;
}

static int any_id(struct ids *ids, const char *text, long *id)
{
    int64_t number;
    if (text[0] == '\0')
        return -ENOENT;
    *id = parse_int(text, &number) == 0 ? (long)number : id_of(ids, text);
    return 0;
}

static int find_user(void *ctx, const char *text, struct config_user *ret)
{
    struct pinned *w = ctx;
    long id;
    int r = any_id(&w->users, text, &id);
    if (r < 0)
        return r;
    ret->uid = (uid_t)id;
    ret->gid = (gid_t)id;
    name_of(&w->users, id, ret->name, sizeof ret->name);
    return 0;
}

static int find_group(void *ctx, const char *text, gid_t *gid, char name[64])
{
    struct pinned *w = ctx;
    long id;
    int r = any_id(&w->groups, text, &id);
    if (r < 0)
        return r;
    *gid = (gid_t)id;
    name_of(&w->groups, id, name, 64);
    return 0;
}

static int home_of(void *ctx, const char *user, char *buf, size_t size)
{
    (void)ctx;
    snprintf(buf, size, "/home/%s", user != NULL ? user : "x");
    return 0;
}

static bool exists(void *ctx, const char *path)
{
    (void)ctx;
    (void)path;
    return true;
}

/* --- the environment that the file asks for ------------------------------------- */

struct variables {
    char *entries[1024];
    size_t n;
};

static void set_variable(struct variables *v, const char *name, size_t len, const char *value, bool only_x)
{
    char *entry = NULL;
    for (size_t i = 0; i < v->n; i++) {
        char *old = v->entries[i];
        if (strncmp(old, name, len) != 0 || old[len] != '=')
            continue;
        if ((only_x && strcmp(old + len + 1, "x") != 0) || asprintf(&entry, "%.*s=%s", (int)len, name, value) < 0)
            return;
        free(old);
        v->entries[i] = entry;
        return;
    }
    if (v->n < ELEMENTS(v->entries) - 1 && asprintf(&entry, "%.*s=%s", (int)len, name, value) >= 0)
        v->entries[v->n++] = entry;
}

/* A value that the key can have. */
static const char *fitting_value(const char *key)
{
    static const char *const numbers[] = {
        "numprocs",
        "numprocs_start",
        "priority",
        "startsecs",
        "startretries",
        "stopwaitsecs",
        "buffer_size",
        "minfds",
        "minprocs",
        "umask",
        "chmod",
        "socket_backlog",
        "socket_mode",
        "exitcodes",
        "port",
        "logfile_maxbytes",
        "logfile_backups",
        "stdout_logfile_maxbytes",
        "stdout_logfile_backups",
        "stderr_logfile_maxbytes",
        "stderr_logfile_backups",
        "stdout_capture_maxbytes",
        "stderr_capture_maxbytes",
    };
    static const char *const booleans[] = {
        "autostart",
        "autorestart",
        "stopasgroup",
        "killasgroup",
        "redirect_stderr",
        "nodaemon",
        "silent",
        "nocleanup",
        "strip_ansi",
        "stdout_events_enabled",
        "stderr_events_enabled",
        "stdout_syslog",
        "stderr_syslog",
    };
    for (size_t i = 0; i < ELEMENTS(numbers); i++)
        if (strcmp(key, numbers[i]) == 0)
            return "2";
    for (size_t i = 0; i < ELEMENTS(booleans); i++)
        if (strcmp(key, booleans[i]) == 0)
            return "true";
    return strcmp(key, "stopsignal") == 0 ? "TERM"
           : strcmp(key, "loglevel") == 0 ? "info"
           : strcmp(key, "events") == 0   ? "TICK_5"
                                          : "x";
}

/* "KEY=" or "KEY :" at the very beginning of a line. */
static bool line_key(const char *line, size_t len, char *key, size_t size)
{
    uint32_t c;
    if (len == 0 || strchr("#;[=:", line[0]) != NULL)
        return false;
    utf8_next(line, len, &c);
    size_t n = utf8_is_space(c) ? len : 0;
    while (n < len && line[n] != '=' && line[n] != ':')
        n++;
    if (n == len)
        return false;
    utf8_rstrip(line, &n);
    snprintf(key, size, "%.*s", (int)n, line);
    for (char *p = key; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    return true;
}

static void line_variables(struct variables *v, const char *line, size_t len, const char *key)
{
    static const char mark[] = "%(ENV_";
    const char *end = line + len;
    for (const char *p = line; (p = memmem(p, (size_t)(end - p), mark, sizeof mark - 1)) != NULL;) {
        p += sizeof mark - 1;
        const char *close = memchr(p, ')', (size_t)(end - p));
        if (close == NULL)
            return;
        set_variable(v, p, (size_t)(close - p), fitting_value(key), true);
        p = close;
    }
}

/* Where a line ends for Python's splitlines(). */
static size_t line_end(const char *s, size_t len, size_t *end)
{
    uint32_t c;
    for (size_t i = 0, n; i < len; i += n) {
        n = utf8_next(s + i, len - i, &c);
        if ((c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029) {
            *end = i;
            return i + n;
        }
    }
    *end = len;
    return len;
}

static void find_variables(struct variables *v, const char *text, size_t len)
{
    char key[256] = "";
    size_t end, next;
    set_variable(v, "HOME", 4, "/home/x", false);
    for (; len > 0; text += next, len -= next) {
        next = line_end(text, len, &end);
        line_key(text, end, key, sizeof key);
        line_variables(v, text, end, key);
    }
}

/* --- output ---------------------------------------------------------------------- */

static void put_owner(struct jsonw *j, const char *name, const struct pinned *w, uid_t uid, gid_t gid)
{
    char user[256], group[256] = "", text[520];
    if (uid == (uid_t)-1) {
        jsonw_null(j, name);
        return;
    }
    name_of(&w->users, uid, user, sizeof user);
    if (gid != (gid_t)-1)
        name_of(&w->groups, gid, group, sizeof group);
    snprintf(text, sizeof text, "%s:%s", user, group);
    jsonw_string(j, name, text);
}

static void put_octal(struct jsonw *j, const char *name, int mode)
{
    char text[16];
    snprintf(text, sizeof text, "%03o", (unsigned)mode);
    jsonw_string(j, name, mode >= 0 ? text : NULL);
}

static void put_compat(struct jsonw *j, const char *name, const struct diagnostics *d, enum diagnostic_level level)
{
    jsonw_array(j, name);
    for (size_t i = 0; i < d->n_compat; i++)
        if (d->compat[i].level == level)
            jsonw_string(j, NULL, d->compat[i].compat);
    jsonw_array_end(j);
}

static void put_server(struct jsonw *j, const struct pinned *w, const struct config_server *s)
{
    jsonw_object(j, NULL);
    jsonw_string(j, "section", s->section);
    jsonw_string(j, "username", s->username);
    jsonw_string(j, "password", s->password);
    jsonw_string(j, "family", s->is_unix ? "unix" : "inet");
    if (s->is_unix) {
        jsonw_string(j, "file", s->file);
        put_octal(j, "chmod", s->mode);
        put_owner(j, "chown", w, s->owner_uid, s->owner_gid);
    } else {
        jsonw_string(j, "host", s->host);
        jsonw_int(j, "port", s->port);
    }
    jsonw_object_end(j);
}

static void put_plugins(struct jsonw *j, const char *name, const struct config_plugin *list, size_t n)
{
    jsonw_array(j, name);
    for (size_t i = 0; i < n; i++) {
        jsonw_object(j, NULL);
        jsonw_string(j, "name", list[i].name);
        jsonw_string(j, "factory", list[i].factory);
        jsonw_object(j, "settings");
        for (size_t k = 0; k < list[i].n_settings; k++)
            config_json_member(j, list[i].settings[k].name, list[i].settings[k].value);
        jsonw_object_end(j);
        jsonw_object_end(j);
    }
    jsonw_array_end(j);
}

static void put_listener(struct jsonw *j, const struct program_group_special *g)
{
    jsonw_int(j, "buffer_size", g->buffer_size);
    jsonw_array(j, "events");
    for (size_t i = 0; g->events[i] != NULL; i++)
        jsonw_string(j, NULL, g->events[i]);
    jsonw_array_end(j);
    jsonw_string(j, "result_handler", g->result_handler);
}

static void put_socket(struct jsonw *j, const struct pinned *w, const struct program_group_special *g)
{
    jsonw_object(j, "socket");
    jsonw_string(j, "url", g->socket_url);
    if (g->socket_backlog > 0)
        jsonw_int(j, "backlog", g->socket_backlog);
    else
        jsonw_null(j, "backlog");
    if (strncmp(g->socket_url, "unix:", 5) == 0) {
        put_octal(j, "mode", g->socket_mode);
        put_owner(j, "owner", w, g->socket_uid, g->socket_gid);
    }
    jsonw_object_end(j);
}

static void put_group(struct jsonw *j, const struct pinned *w, const struct config *c, const struct program_group *g)
{
    static const char *const types[] = { "program", "eventlistener", "fcgi" };
    jsonw_object(j, NULL);
    jsonw_string(j, "name", g->name);
    jsonw_string(j, "type", types[g->type]);
    jsonw_int(j, "priority", g->priority);
    if (g->type == PROGRAM_EVENTLISTENER)
        put_listener(j, g->special);
    if (g->type == PROGRAM_FCGI)
        put_socket(j, w, g->special);
    jsonw_array(j, "processes");
    for (size_t i = 0; i < g->n_programs; i++)
        config_json_program(j, NULL, c, &g->programs[i]);
    jsonw_array_end(j);
    jsonw_object_end(j);
}

static void put_strings(struct jsonw *j, const char *name, const char *const *list, size_t n)
{
    jsonw_array(j, name);
    for (size_t i = 0; i < n; i++)
        jsonw_string(j, NULL, list[i]);
    jsonw_array_end(j);
}

static void put_config(struct jsonw *j, const struct pinned *w, const struct config *c, const struct diagnostics *d)
{
    jsonw_bool(j, "ok", true);
    config_json_daemon(j, "supervisord", c);
    jsonw_array(j, "http_servers");
    for (size_t i = 0; i < c->n_servers; i++)
        put_server(j, w, &c->servers[i]);
    jsonw_array_end(j);
    put_plugins(j, "rpcinterfaces", c->rpcinterfaces, c->n_rpcinterfaces);
    put_strings(j, "include_patterns", c->include_patterns, c->n_include_patterns);
    jsonw_array(j, "groups");
    for (size_t i = 0; i < c->n_groups; i++)
        put_group(j, w, c, &c->groups[i]);
    jsonw_array_end(j);
    jsonw_array(j, "criticals");
    jsonw_array_end(j);
    put_compat(j, "warnings", d, DIAGNOSTIC_WARNING);
    put_compat(j, "infos", d, DIAGNOSTIC_INFO);
    put_strings(j, "plugins_assumed", c->plugins, c->n_plugins);
}

/* The first error is what supervisord stops with. */
static const char *first_error(const struct diagnostics *d)
{
    for (size_t i = 0; i < d->n_compat; i++)
        if (d->compat[i].level == DIAGNOSTIC_ERROR)
            return d->compat[i].compat;
    for (size_t i = 0; i < d->n; i++)
        if (d->list[i].level == DIAGNOSTIC_ERROR)
            return d->list[i].text;
    return "out of memory";
}

static void put_error(struct jsonw *j, const struct diagnostics *d, bool client)
{
    const char *error = first_error(d);
    jsonw_bool(j, "ok", false);
    jsonw_string(j, "error", error);
    if (client && strncmp(error, "File contains no section", 24) == 0)
        jsonw_string(j, "traceback", "MissingSectionHeaderError");
    if (client && strncmp(error, "Source contains parsing", 23) == 0)
        jsonw_string(j, "traceback", "ParsingError");
    jsonw_array(j, "diagnostics");
    for (size_t i = 0; i < d->n; i++)
        jsonw_string(j, NULL, d->list[i].text);
    jsonw_array_end(j);
}

static void put_client(struct jsonw *j, const struct config_world *world)
{
    struct diagnostics d = { 0 };
    struct config *c = NULL;
    jsonw_object(j, "supervisorctl");
    int r = config_load_client(world, MAIN, &c, &d);
    bool missing = r == 0 && !c->client.present;
    if (r < 0)
        put_error(j, &d, true);
    else
        jsonw_bool(j, "ok", !missing);
    if (missing)
        jsonw_string(j, "error", ".ini file does not include supervisorctl section");
    else if (r == 0) {
        jsonw_string(j, "serverurl", c->client.serverurl);
        jsonw_string(j, "username", c->client.username);
        jsonw_string(j, "password", c->client.password);
        jsonw_string(j, "prompt", c->client.prompt);
        jsonw_string(j, "history_file", c->client.history_file);
        put_plugins(j, "plugins", c->ctlplugins, c->n_ctlplugins);
    }
    jsonw_object_end(j);
    config_unref(c);
    diagnostics_clear(&d);
}

/* One reading; true when it failed for want of [supervisord]. */
static bool put_reading(struct jsonw *j, const char *name, struct config_world *world, bool client)
{
    struct pinned *w = world->ctx;
    struct diagnostics d = { 0 };
    struct config *c = NULL;
    w->users.n = w->groups.n = 0;
    jsonw_object(j, name);
    int r = config_load(world, MAIN, &c, &d);
    if (r == 0)
        put_config(j, w, c, &d);
    else
        put_error(j, &d, false);
    bool fragment = r < 0 && strcmp(first_error(&d), ".ini file does not include supervisord section") == 0;
    if (client)
        put_client(j, world);
    jsonw_object_end(j);
    config_unref(c);
    diagnostics_clear(&d);
    return fragment;
}

static void put_file(struct jsonw *j, struct config_world *world, struct variables *v)
{
    struct pinned *w = world->ctx;
    size_t where;
    const char *why;
    bool text = utf8_check(w->main_text, w->main_len, &where, &why) == 0;
    jsonw_string(j, "oracle", "supervisor 4.2.5");
    if (text)
        config_json_environment(j, "env", (const char *const *)v->entries);
    if (put_reading(j, "standalone", world, text)) {
        jsonw_string(j, "as_include_main", wrapper);
        w->fragment_text = w->main_text;
        w->fragment_len = w->main_len;
        w->main_text = wrapper;
        w->main_len = sizeof wrapper - 1;
        put_reading(j, "as_include", world, false);
    }
}

static int read_whole(const char *path, struct buf *out)
{
    char chunk[65536];
    size_t n;
    _cleanup_fclose_ FILE *f = fopen(path, "re");
    if (f == NULL)
        return -errno;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_add(out, chunk, n);
    return ferror(f) ? -EIO : out->error;
}

static int usage(void)
{
    fputs("usage: corpus-reading [--env NAME=VALUE]... FILE\n", stderr);
    return 2;
}

int main(int argc, char **argv)
{
    static struct pinned pinned;
    static struct variables v;
    struct config_world world = {
        .cwd = "/CWD",
        .host = "HOST",
        .tmpdir = "/tmp",
        .here = "/HERE",
        .ctx = &pinned,
        .read_file = read_file,
        .glob = find_files,
        .user = find_user,
        .group = find_group,
        .home = home_of,
        .is_directory = exists,
        .exists = exists,
    };
    struct buf text = BUF_INIT(1UL << 30), out = BUF_INIT(1UL << 30);
    if (argc < 2 || argc % 2 != 0)
        return usage();
    int r = read_whole(argv[argc - 1], &text);
    if (r < 0) {
        fprintf(stderr, "corpus-reading: %s: %s\n", argv[argc - 1], strerror(-r));
        return 1;
    }
    pinned.main_text = text.data != NULL ? text.data : "";
    pinned.main_len = text.len;
    find_variables(&v, pinned.main_text, pinned.main_len);
    for (int i = 1; i + 1 < argc - 1; i += 2) {
        const char *equals = strchr(argv[i + 1], '=');
        if (strcmp(argv[i], "--env") != 0 || equals == NULL)
            return usage();
        set_variable(&v, argv[i + 1], (size_t)(equals - argv[i + 1]), equals + 1, false);
    }
    world.environ = (const char *const *)v.entries;
    struct jsonw j = JSONW_INIT(&out);
    jsonw_object(&j, NULL);
    put_file(&j, &world, &v);
    jsonw_object_end(&j);
    if (out.error != 0 || puts(out.data) < 0 || fflush(stdout) != 0)
        return 1;
    for (size_t i = 0; i < v.n; i++)
        free(v.entries[i]);
    buf_done(&text);
    buf_done(&out);
    return 0;
}
