/* kind_daemon.c - values of [supervisord] and [supervisorctl]: directories, the
 * log's level, addresses of servers as a client names them. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/strtab.h"
#include "config/kind.h"
#include "config/setting.h"

static int set_directory(struct setting *s, const char *text)
{
    const char *path = path_expand_user(s->l, text);
    if (!path_is_directory(s->l, path)) {
        s->compat = scratchf(s->l, "%s is not an existing directory", text);
        return setting_refuse(s, "%s is not a directory; create it, or name another", path);
    }
    *(const char **)option_field(s->option, s->base) = keep_string(s->l, path);
    return 0;
}

const struct option_kind kind_directory = { "a directory", SHAPE_STRING, set_directory, print_text, equal_text };

/* A file whose directory must be there; relative to where the daemon was started. */
static int set_logpath(struct setting *s, const char *text)
{
    const char *path = path_expand_user(s->l, text);
    const char *directory = path_directory(s->l, path);
    if (directory[0] != '\0' && !path_is_directory(s->l, directory)) {
        s->compat = scratchf(s->l, "The directory named as part of the path %s does not exist", text);
        return setting_refuse(s, "there is no directory %s; create it, or name another", directory);
    }
    if (strcmp(path, "syslog") != 0 || strcmp(s->option->name, "logfile") != 0)
        path = path_normal(s->l, path);
    *(const char **)option_field(s->option, s->base) = keep_string(s->l, path);
    return 0;
}

const struct option_kind kind_logpath = { "a path", SHAPE_STRING, set_logpath, print_text, equal_text };

static int set_path(struct setting *s, const char *text)
{
    const char *path = text[0] != '\0' ? keep_string(s->l, path_normal(s->l, text)) : NULL;
    *(const char **)option_field(s->option, s->base) = path;
    return 0;
}

const struct option_kind kind_path = { "a path", SHAPE_STRING, set_path, print_text, equal_text };

static const struct strtab levels[] = {
    { "critical", LOG_LEVEL_CRITICAL }, { "error", LOG_LEVEL_ERROR }, { "warn", LOG_LEVEL_WARN },
    { "info", LOG_LEVEL_INFO },         { "debug", LOG_LEVEL_DEBUG }, { "trace", LOG_LEVEL_TRACE },
    { "blather", LOG_LEVEL_BLATHER },
};

static int set_loglevel(struct setting *s, const char *text)
{
    if (strtab_value(levels, ELEMENTS(levels), text, option_field(s->option, s->base)) == 0)
        return 0;
    s->compat = scratchf(s->l, "bad logging level name %s", python_repr(s->l, text));
    return setting_refuse(s, "\"%s\" is none of critical, error, warn, info, debug, trace, blather", text);
}

static bool print_loglevel(const struct option *o, const void *base, struct buf *out)
{
    buf_puts(out, strtab_name(levels, ELEMENTS(levels), *(const int *)option_field(o, base)));
    return true;
}

const struct option_kind kind_loglevel = { "critical, error, warn, info, debug, trace or blather", SHAPE_LOGLEVEL,
                                           set_loglevel, print_loglevel, equal_int };

static int set_serverurl_client(struct setting *s, const char *text)
{
    if (strncmp(text, "unix://", 7) == 0)
        text = scratchf(s->l, "unix://%s", path_normal(s->l, text + 7));
    *(const char **)option_field(s->option, s->base) = keep_string(s->l, text);
    return 0;
}

const struct option_kind kind_serverurl_client = { "unix:///path or http://host:port", SHAPE_STRING,
                                                   set_serverurl_client, print_text, equal_text };
