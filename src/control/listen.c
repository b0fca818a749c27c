/* listen.c - see listen.h.  Owns the descriptors until listeners_serve(). */
#include "control/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/log.h"

/* Two ways to one socket file are the same: /run and /var/run. */
static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    if (strcmp(a, b) == 0)
        return true;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool listener_fits(const struct config_server *s, const struct passed_socket *p)
{
    union {
        struct sockaddr any;
        struct sockaddr_un un;
        struct sockaddr_storage room;
    } address = { 0 };
    socklen_t len = sizeof(address) - 1; /* a NUL is left behind the longest path */
    if (getsockname(p->fd, &address.any, &len) < 0)
        return false;
    bool is_unix = address.any.sa_family == AF_UNIX;
    if (is_unix != s->is_unix)
        return false;
    if (is_unix) /* clients go by the path, so nothing else can make it this section's */
        return address.un.sun_path[0] == '/' && same_file(address.un.sun_path, s->file);
    return p->name != NULL && strcmp(p->name, s->section) == 0;
}

/* 1 when the socket of that section was passed, 0 when it is to be made. */
static int open_passed(const struct config_server *s, const struct passed_sockets *passed, struct listener *l)
{
    for (size_t i = 0; i < passed->n; i++) {
        if (!listener_fits(s, &passed->list[i]))
            continue;
        l->fd = fcntl(passed->list[i].fd, F_DUPFD_CLOEXEC, 3);
        return l->fd < 0 ? -errno : 1;
    }
    return 0;
}

static int open_unix(const struct config_server *s, struct listener *l, char *why, size_t size)
{
    struct unixsock_options o = { .mode = (mode_t)s->mode, .uid = s->owner_uid, .gid = s->owner_gid };
    l->path = strdup(s->file);
    if (l->path == NULL)
        return -ENOMEM;
    int r = unixsock_listen(s->file, &o, &l->fd, &l->id);
    if (r == -EADDRINUSE)
        snprintf(why, size, "[%s] %s: another program answers there; end it, or name another file", s->section,
                 s->file);
    else if (r < 0)
        snprintf(why, size, "[%s] cannot listen at %s: %s", s->section, s->file, strerror(-r));
    return r;
}

static int open_inet(const struct config_server *s, struct listener *l, char *why, size_t size)
{
    int r = unixsock_listen_tcp(s->host, s->port, &l->fd);
    if (r < 0) {
        snprintf(why, size, "[%s] cannot listen at %s:%u: %s", s->section, s->host, s->port, strerror(-r));
        return r;
    }
    if (s->username == NULL && !unixsock_is_loopback(l->fd))
        log_warn("[%s] %s:%u is open to the network without a password; set username and password, or listen on "
                 "127.0.0.1",
                 s->section, s->host, s->port);
    return 0;
}

/* A name for what the section asks for, so that a socket which was opened for
 * something else (the file has been changed) is not taken for it. */
static void name_listener(const struct config_server *s, struct listener *l)
{
    char text[1024];
    if (s->is_unix)
        snprintf(text, sizeof(text), "%s %o %u %u", s->file, s->mode, s->owner_uid, s->owner_gid);
    else
        snprintf(text, sizeof(text), "%s %u", s->host, s->port);
    uint32_t hash = 0x811c9dc5; /* FNV-1a */
    for (const char *c = text; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * 0x01000193;
    snprintf(l->name, sizeof(l->name), "l%07x", hash & 0xfffffff);
}

/* 1 when a supervisor before us has opened it, and its file is still there. */
static int open_held(const struct config_server *s, struct holder *h, struct listener *l)
{
    struct stat st = { 0 };
    l->fd = holder_take(h, l->name);
    if (l->fd >= 0 && s->is_unix && (lstat(s->file, &st) < 0 || !S_ISSOCK(st.st_mode)))
        cleanup_close(&l->fd);
    if (l->fd < 0)
        return 0;
    l->path = s->is_unix ? strdup(s->file) : NULL;
    l->id = (struct unixsock_id){ .dev = st.st_dev, .ino = st.st_ino };
    return 1;
}

static int open_new(const struct config_server *s, struct holder *h, struct listener *l, char *why, size_t size)
{
    name_listener(s, l);
    int r = open_held(s, h, l);
    if (r != 0)
        return r;
    r = s->is_unix ? open_unix(s, l, why, size) : open_inet(s, l, why, size);
    return r < 0 ? r : holder_put(h, l->name, l->fd);
}

static int open_one(const struct config_server *s, const struct passed_sockets *passed, struct holder *h,
                    struct listener *l, char *why, size_t size)
{
    int r = open_passed(s, passed, l);
    if (r < 0)
        snprintf(why, size, "[%s] cannot use the socket that was passed for it: %s", s->section, strerror(-r));
    else if (r == 0)
        r = open_new(s, h, l, why, size);
    return r < 0 ? r : 0;
}

int listeners_open(const struct config *config, const struct passed_sockets *passed, struct holder *holder,
                   struct listeners *ret, char *why, size_t size)
{
    struct listeners l = { .holder = holder, .list = calloc(config->n_servers + 1, sizeof(struct listener)) };
    if (l.list == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < config->n_servers; i++) {
        const struct config_server *s = &config->servers[i];
        struct listener *at = &l.list[l.n++];
        at->fd = -1;
        snprintf(why, size, "[%s] out of memory", s->section);
        int r = open_one(s, passed, holder, at, why, size);
        if (r < 0) {
            listeners_close(&l);
            return r;
        }
    }
    holder_flush(holder);
    *ret = l;
    return 0;
}

int listeners_serve(struct listeners *l, const struct config *config, struct http_server *server)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct config_server *s = &config->servers[i];
        struct http_access access = {
            .is_unix = s->is_unix, .username = s->username, .password = s->password, .lasts = l->list[i].name[0] == '\0'
        };
        int r = http_server_listen(server, TAKE_FD(l->list[i].fd), &access);
        if (r < 0)
            return r;
    }
    return 0;
}

void listeners_close(struct listeners *l)
{
    for (size_t i = 0; i < l->n; i++) {
        cleanup_close(&l->list[i].fd);
        if (l->list[i].path != NULL && l->list[i].id.ino != 0)
            unixsock_unlink(l->list[i].path, &l->list[i].id);
        if (l->list[i].name[0] != '\0')
            holder_drop(l->holder, l->list[i].name);
        free(l->list[i].path);
    }
    free(l->list);
    *l = (struct listeners){ 0 };
}
