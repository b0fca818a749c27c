/* kind_program.c - values that only programs have: restart policy, exit codes,
 * users, log files, environments. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/strtab.h"
#include "base/utf8.h"
#include "config/keyvalue.h"
#include "config/kind.h"
#include "config/load.h"

/* --- autorestart ----------------------------------------------------------- */

static const struct strtab policies[] = {
    { "true", RESTART_ALWAYS },     { "false", RESTART_NEVER },         { "unexpected", RESTART_UNEXPECTED },
    { "on-exit", RESTART_ON_EXIT }, { "on-signal", RESTART_ON_SIGNAL }, { "on-failure", RESTART_ON_FAILURE },
};

static int set_autorestart(struct setting *s, const char *text)
{
    int value;
    bool plain;
    if (parse_bool(text, &plain) == 0) {
        value = plain ? RESTART_ALWAYS : RESTART_NEVER;
    } else if (strtab_value(policies, ELEMENTS(policies), text, &value) < 0) {
        s->compat = scratchf(s->l, "invalid 'autorestart' value %s", python_repr(s->l, lower(s->l, text)));
        return setting_refuse(s, "\"%s\" is none of true, false, unexpected, on-exit, on-signal, on-failure", text);
    }
    *(enum restart_policy *)option_field(s->option, s->base) = (enum restart_policy)value;
    return 0;
}

static bool print_autorestart(const struct option *o, const void *base, struct buf *out)
{
    enum restart_policy value = *(const enum restart_policy *)option_field(o, base);
    buf_puts(out, strtab_name(policies, ELEMENTS(policies), (int)value));
    return true;
}

static bool equal_autorestart(const struct option *o, const void *a, const void *b)
{
    return *(const enum restart_policy *)option_field(o, a) == *(const enum restart_policy *)option_field(o, b);
}

const struct option_kind kind_autorestart = { "true, false, unexpected, on-exit, on-signal or on-failure", SHAPE_STRING,
                                              set_autorestart, print_autorestart, equal_autorestart };

/* --- exitcodes ------------------------------------------------------------- */

static int set_exitcodes(struct setting *s, const char *text)
{
    struct program *p = s->base;
    const char **words;
    size_t n = split_list(s->l, text, &words);
    if (n > UINT16_MAX)
        return setting_refuse(s, "more than %d exit codes", UINT16_MAX);
    struct exit_code *codes = arena_new_array(s->l->keep, n + 1, struct exit_code);
    if (codes == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        int64_t value;
        codes[i].signal = parse_int(words[i], &value) < 0;
        int r = codes[i].signal ? parse_signal(words[i], &codes[i].value) : 0;
        if (r < 0 || (!codes[i].signal && (value < 0 || value > 255))) {
            s->compat = scratchf(s->l, "not a valid list of exit codes: %s", python_repr(s->l, text));
            return setting_refuse(s, "\"%s\" is neither an exit code from 0 to 255 nor a signal's name", words[i]);
        }
        if (!codes[i].signal)
            codes[i].value = (int)value;
    }
    p->exitcodes = codes;
    p->n_exitcodes = (uint16_t)n;
    return 0;
}

static bool print_exitcodes(const struct option *o, const void *base, struct buf *out)
{
    const struct program *p = base;
    (void)o;
    for (size_t i = 0; i < p->n_exitcodes; i++) {
        buf_puts(out, i > 0 ? "," : "");
        if (p->exitcodes[i].signal)
            buf_printf(out, "SIG%s", parse_signal_name(p->exitcodes[i].value));
        else
            buf_printf(out, "%d", p->exitcodes[i].value);
    }
    return true;
}

static bool equal_exitcodes(const struct option *o, const void *a, const void *b)
{
    const struct program *p = a, *q = b;
    (void)o;
    if (p->n_exitcodes != q->n_exitcodes)
        return false;
    for (size_t i = 0; i < p->n_exitcodes; i++)
        if (p->exitcodes[i].value != q->exitcodes[i].value || p->exitcodes[i].signal != q->exitcodes[i].signal)
            return false;
    return true;
}

const struct option_kind kind_exitcodes = { "exit codes and signal names, with commas", SHAPE_EXITCODES, set_exitcodes,
                                            print_exitcodes, equal_exitcodes };

/* --- user ------------------------------------------------------------------ */

static int set_user(struct setting *s, const char *text)
{
    struct draft *d = s->base;
    struct program_common *c = &d->common;
    struct config_user user;
    int64_t number;
    if (s->l->world->user(s->l->world->ctx, text, &user) < 0) {
        bool is_number = parse_int(text, &number) == 0;
        s->compat = scratchf(s->l, "Invalid user %s %s", is_number ? "id" : "name", text);
        return setting_refuse(s, "there is no user \"%s\" on this system; create it, or name another", text);
    }
    c->user = c->account = keep_string(s->l, user.name);
    c->uid = user.uid;
    c->gid = user.gid;
    d->p.has_identity = true;
    return 0;
}

static bool equal_user(const struct option *o, const void *a, const void *b)
{
    const struct program_common *p = ((const struct program *)a)->common, *q = ((const struct program *)b)->common;
    return equal_text(o, a, b) && (p->user == NULL || (p->uid == q->uid && p->gid == q->gid));
}

const struct option_kind kind_user = { "a user's name or number", SHAPE_STRING, set_user, print_text, equal_user };

/* --- log files ------------------------------------------------------------- */

static int set_logfile(struct setting *s, const char *text)
{
    static const struct strtab words[] = {
        { "none", LOG_TARGET_NONE },
        { "off", LOG_TARGET_NONE },
        { "auto", LOG_TARGET_AUTO },
        { "syslog", LOG_TARGET_SYSLOG },
    };
    struct log_settings *log = option_field(s->option, s->base);
    int target = text[0] != '\0' ? LOG_TARGET_FILE : LOG_TARGET_NONE;
    const char *path = NULL;
    if (strtab_value(words, ELEMENTS(words), text, &target) < 0) {
        path = path_expand_user(s->l, text);
        const char *directory = path_directory(s->l, path);
        if (directory[0] != '\0' && !path_is_directory(s->l, directory)) {
            s->compat = scratchf(s->l, "The directory named as part of the path %s does not exist", text);
            return setting_refuse(s, "there is no directory %s; create it, or name another", directory);
        }
        path = keep_string(s->l, path);
    }
    log->target = (enum log_target)target;
    log->path = path;
    return 0;
}

static bool print_logfile(const struct option *o, const void *base, struct buf *out)
{
    const struct log_settings *log = option_field(o, base);
    if (log->target == LOG_TARGET_AUTO)
        buf_puts(out, "AUTO");
    else if (log->path != NULL)
        buf_puts(out, log->path);
    return log->target == LOG_TARGET_AUTO || log->path != NULL;
}

static bool equal_logfile(const struct option *o, const void *a, const void *b)
{
    const struct log_settings *p = option_field(o, a), *q = option_field(o, b);
    return p->target == q->target && same_text(p->path, q->path);
}

const struct option_kind kind_logfile = { "a path, AUTO or NONE", SHAPE_STRING, set_logfile, print_logfile,
                                          equal_logfile };

static int set_serverurl(struct setting *s, const char *text)
{
    const char *word = text;
    size_t len = strlen(word);
    utf8_strip(&word, &len);
    bool automatic = len == 4 && strncasecmp(word, "AUTO", 4) == 0;
    *(const char **)option_field(s->option, s->base) = automatic ? NULL : keep_string(s->l, text);
    return 0;
}

const struct option_kind kind_serverurl = { "a URL or AUTO", SHAPE_STRING, set_serverurl, print_text, equal_text };

static int set_process_name(struct setting *s, const char *text)
{
    const char *name = checked_name(s->l, &s->where, text);
    if (name == NULL)
        return -EINVAL;
    ((struct draft *)s->base)->process_name = name;
    return 0;
}

const struct option_kind kind_process_name = { "text, with %(process_num)s where numprocs is above 1", SHAPE_STRING,
                                               set_process_name, NULL, NULL };

/* --- environment ----------------------------------------------------------- */

struct collector {
    struct loader *l;
    struct pair **list;
    struct map seen;
    bool odd;
};

static void collect(void *ctx, const char *name, size_t name_len, const char *value, size_t value_len)
{
    struct collector *c = ctx;
    char *copy = arena_copy(&c->l->scratch, name, name_len);
    void **slot = map_add(&c->seen, 0, copy, name_len);
    struct pair *pair = slot != NULL ? *slot : NULL;
    if (pair == NULL) {
        pair = arena_new(&c->l->scratch, struct pair);
        if (slot == NULL || pair == NULL) {
            c->l->scratch.failed = true;
            return;
        }
        *slot = pair;
        pair->name = copy;
        pair->next = *c->list;
        *c->list = pair;
    }
    pair->value = arena_copy(&c->l->scratch, value, value_len);
    c->odd = c->odd || copy[strspn(copy, "'\"=")] != copy[0];
}

static int read_pairs(struct setting *s, const char *text, struct pair **list)
{
    struct collector c = { .l = s->l, .list = list };
    struct scope scope = *s->scope;
    const char *why;
    bool comment = false;
    scope.host = s->l->world->host;
    text = expand(s->l, &scope, text, "environment", &s->where);
    *list = NULL;
    int r = text != NULL ? keyvalue_parse(text, collect, &c, &why, &comment) : -EINVAL;
    map_done(&c.seen);
    if (text == NULL || r == -ENOMEM)
        return r;
    if (r < 0) {
        bool open = strcmp(why, "No closing quotation") == 0;
        s->compat = open ? why : scratchf(s->l, "%s in value '%s'", why, text);
        return setting_refuse(s, open ? "a quotation is not closed; write NAME=\"value\",NAME=\"value\""
                                      : "not a list of NAME=\"value\",NAME=\"value\"; put values in quotes");
    }
    if (comment)
        setting_warn(s, "a # outside quotes begins a comment that cuts the list; put the value in quotes");
    if (c.odd)
        setting_warn(s, "a variable's name has quotes or = in it; write NAME=\"value\"");
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    size_t nx = strcspn(x + 1, "=") + 1, ny = strcspn(y + 1, "=") + 1; /* "=" may be a name, alas */
    int r = memcmp(x, y, nx < ny ? nx : ny);
    return r != 0 ? r : (nx > ny) - (nx < ny);
}

static const char *const *keep_list(struct loader *l, const char **list, size_t n)
{
    const char **kept = arena_new_array(l->keep, n + 1, const char *);
    for (size_t i = 0; kept != NULL && i < n; i++)
        kept[i] = keep_string(l, list[i]);
    return (const char *const *)kept;
}

const char *const *keep_environment(struct loader *l, const char *const *base, const struct pair *pairs)
{
    size_t n = 0, n_pairs = 0;
    if (pairs == NULL && base != NULL)
        return base;
    for (const struct pair *p = pairs; p != NULL; p = p->next)
        n_pairs++;
    for (size_t i = 0; base != NULL && base[i] != NULL; i++)
        n++;
    const char **list = arena_new_array(&l->scratch, n + n_pairs + 1, const char *);
    if (list == NULL)
        return NULL;
    size_t own = 0;
    for (const struct pair *p = pairs; p != NULL; p = p->next)
        list[own++] = scratchf(l, "%s=%s", p->name, p->value);
    qsort(list, own, sizeof *list, by_name);
    for (size_t i = 0, end = own; i < n; i++)
        if (bsearch(&base[i], list, end, sizeof *list, by_name) == NULL)
            list[own++] = base[i];
    qsort(list, own, sizeof *list, by_name);
    return keep_list(l, list, own);
}

/* What the process sets is known as %(ENV_x)s in its other values, and, as in
 * supervisord, stays known for the processes with higher numbers. */
static void publish(struct loader *l, struct draft *draft)
{
    struct scope *scope = &draft->scope;
    for (struct pair *p = draft->pairs; p != NULL; p = p->next) {
        void **slot = map_add(&l->environ, scope->own_map, p->name, strlen(p->name));
        struct pair *known = slot != NULL ? *slot : NULL;
        if (known == NULL) {
            known = arena_new(&l->scratch, struct pair);
            if (slot == NULL || known == NULL)
                return;
            *slot = known;
            known->name = p->name;
            known->next = scope->own;
            scope->own = known;
        }
        known->value = p->value;
    }
}

static int set_environment(struct setting *s, const char *text)
{
    struct draft *draft = s->base;
    for (struct pair *p = draft->scope.own; p != NULL; p = p->next)
        if (map_find(&s->l->environ, 0, p->name, strlen(p->name)) != NULL)
            p->value = NULL;
    int r = read_pairs(s, text, &draft->pairs);
    if (r == 0)
        publish(s->l, draft);
    return r;
}

static void print_pair(struct buf *out, const char *pair)
{
    size_t name = strcspn(pair + 1, "=") + 1;
    char mark = strchr(pair + name, '"') != NULL ? '\'' : '"';
    buf_add(out, pair, name + 1);
    buf_putc(out, mark);
    buf_puts(out, pair + name + 1);
    buf_putc(out, mark);
}

static bool print_environment(const struct option *o, const void *base, struct buf *out)
{
    const char *const *list = *(const char *const *const *)option_field(o, base);
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        buf_puts(out, i > 0 ? "," : "");
        print_pair(out, list[i]);
    }
    return true;
}

const struct option_kind kind_environment = { "NAME=\"value\",NAME=\"value\"", SHAPE_ENVIRONMENT, set_environment,
                                              print_environment, equal_list };

static int set_daemon_environment(struct setting *s, const char *text)
{
    return read_pairs(s, text, &((struct daemon_draft *)s->base)->pairs);
}

const struct option_kind kind_daemon_environment = { "NAME=\"value\",NAME=\"value\"", SHAPE_ENVIRONMENT,
                                                     set_daemon_environment, print_environment, equal_list };
