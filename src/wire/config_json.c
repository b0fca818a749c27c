/* config_json.c - see config_json.h.
 *
 * Settings come out of the option tables: the kind of each row says what shape
 * its value has in JSON.  Nothing is kept; the text grows in the caller's buffer. */
#include "wire/config_json.h"

#include <stdlib.h>
#include <string.h>

#include "base/argv.h"
#include "base/cleanup.h"
#include "base/parse.h"
#include "config/print.h"

#define VALUE_MAX (16UL << 20)

/* jsonw.h takes names as they are, so one from a file is escaped first. */
void config_json_member(struct jsonw *j, const char *name, const char *value)
{
    _cleanup_buf_ struct buf escaped = BUF_INIT(VALUE_MAX);
    struct jsonw text = JSONW_INIT(&escaped);
    jsonw_string(&text, NULL, name);
    if (escaped.len < 2 || escaped.error != 0)
        return;
    escaped.data[escaped.len - 1] = '\0'; /* without the quotes round it */
    jsonw_string(j, escaped.data + 1, value);
}

void config_json_environment(struct jsonw *j, const char *name, const char *const *environment)
{
    jsonw_object(j, name);
    for (size_t i = 0; environment != NULL && environment[i] != NULL; i++) {
        const char *entry = environment[i];
        size_t len = strcspn(entry + 1, "=") + 1;
        _cleanup_free_ char *key = strndup(entry, len);
        if (key != NULL)
            config_json_member(j, key, entry + len + 1);
    }
    jsonw_object_end(j);
}

static void put_exitcodes(struct jsonw *j, const char *name, const struct program *p)
{
    char text[16];
    jsonw_array(j, name);
    for (size_t i = 0; i < p->n_exitcodes; i++) {
        if (p->exitcodes[i].signal) {
            snprintf(text, sizeof text, "SIG%s", parse_signal_name(p->exitcodes[i].value));
            jsonw_string(j, NULL, text);
        } else {
            jsonw_int(j, NULL, p->exitcodes[i].value);
        }
    }
    jsonw_array_end(j);
}

/* As supervisord writes them into its log. */
static void put_loglevel(struct jsonw *j, const char *name, int level)
{
    static const char *const levels[] = { "CRIT", "ERRO", "WARN", "INFO", "DEBG", "TRAC", "BLAT" };
    jsonw_string(j, name, levels[level]);
}

static void put_literal(struct jsonw *j, const struct option *o, const char *text)
{
    if (strcmp(text, "infinity") == 0 && o->kind->shape == SHAPE_RETRIES)
        jsonw_int(j, o->name, -1);
    else if (strcmp(text, "infinity") == 0)
        jsonw_null(j, o->name);
    else
        jsonw_raw(j, o->name, text, strlen(text));
}

static void put_list(struct jsonw *j, const char *name, char *text)
{
    jsonw_array(j, name);
    while (text != NULL) {
        char *next = strstr(text, ", ");
        if (next != NULL)
            *next = '\0';
        jsonw_string(j, NULL, text);
        text = next != NULL ? next + 2 : NULL;
    }
    jsonw_array_end(j);
}

static void put_option(struct jsonw *j, const struct option_table *t, const struct option *o, const void *base)
{
    _cleanup_buf_ struct buf value = BUF_INIT(VALUE_MAX);
    switch (o->kind->shape) {
    case SHAPE_EXITCODES:
        put_exitcodes(j, o->name, base);
        return;
    case SHAPE_ENVIRONMENT:
        config_json_environment(j, o->name, *(const char *const *const *)option_field(o, base));
        return;
    case SHAPE_LOGLEVEL:
        put_loglevel(j, o->name, *(const int *)option_field(o, base));
        return;
    case SHAPE_STRING:
    case SHAPE_LITERAL:
    case SHAPE_RETRIES:
    case SHAPE_LIST:
        break;
    }
    if (o->flags & OPTION_SECRET || !option_print(t, o, base, &value))
        jsonw_null(j, o->name);
    else if (o->kind->shape == SHAPE_LIST)
        put_list(j, o->name, value.data);
    else if (o->kind->shape == SHAPE_STRING)
        jsonw_string(j, o->name, value.data != NULL ? value.data : "");
    else
        put_literal(j, o, value.data);
}

static void put_options(struct jsonw *j, const struct option_table *t, const void *base)
{
    for (size_t i = 0; i < t->n; i++)
        if (!(t->options[i].flags & OPTION_LOADING))
            put_option(j, t, &t->options[i], base);
}

static void put_shell(struct jsonw *j, const struct program *p)
{
    jsonw_array(j, "argv");
    jsonw_string(j, NULL, p->common->shell);
    jsonw_string(j, NULL, "-c");
    jsonw_string(j, NULL, p->command);
    jsonw_array_end(j);
}

static void put_argv(struct jsonw *j, const struct program *p)
{
    _cleanup_free_ char **argv = NULL;
    size_t n = 0;
    const char *why = "out of memory";
    if (p->common->shell != NULL) {
        put_shell(j, p);
        return;
    }
    if (argv_split(p->command, &argv, &n, &why) < 0) {
        jsonw_string(j, "argv_error", why);
        return;
    }
    jsonw_array(j, "argv");
    for (size_t i = 0; i < n; i++)
        jsonw_string(j, NULL, argv[i]);
    jsonw_array_end(j);
}

static void put_ladder(struct jsonw *j, const struct program *p)
{
    jsonw_array(j, "stop_ladder");
    for (unsigned i = 0; i < p->n_ladder; i++) {
        jsonw_object(j, NULL);
        jsonw_string(j, "signal", parse_signal_name(p->ladder[i].signal));
        jsonw_seconds(j, "wait", p->ladder[i].wait);
        jsonw_object_end(j);
    }
    jsonw_array_end(j);
}

static void put_source(struct jsonw *j, const struct config *c, uint16_t file, uint32_t line)
{
    jsonw_object(j, "source");
    jsonw_string(j, "file", c->files[file]);
    jsonw_int(j, "line", line);
    jsonw_object_end(j);
}

void config_json_program(struct jsonw *j, const char *name, const struct config *c, const struct program *p)
{
    jsonw_object(j, name);
    jsonw_string(j, "name", p->name);
    jsonw_string(j, "program", p->section);
    put_argv(j, p);
    put_options(j, &options_program, p);
    put_ladder(j, p);
    jsonw_bool(j, "shadowed", p->shadowed);
    put_source(j, c, p->file, p->line);
    jsonw_object_end(j);
}

void config_json_daemon(struct jsonw *j, const char *name, const struct config *c)
{
    jsonw_object(j, name);
    put_options(j, &options_daemon, &c->daemon);
    jsonw_string(j, "serverurl", c->daemon.serverurl);
    jsonw_object_end(j);
}

static void put_group(struct jsonw *j, const struct config *c, const struct program_group *g)
{
    static const char *const types[] = { "program", "eventlistener", "fcgi" };
    jsonw_object(j, NULL);
    jsonw_string(j, "name", g->name);
    jsonw_string(j, "type", types[g->type]);
    jsonw_int(j, "priority", g->priority);
    jsonw_bool(j, "shadowed", g->shadowed);
    if (g->type == PROGRAM_EVENTLISTENER)
        put_options(j, &options_eventlistener, g->special);
    if (g->type == PROGRAM_FCGI)
        put_options(j, &options_fcgi, g->special);
    jsonw_array(j, "processes");
    for (size_t i = 0; i < g->n_programs; i++)
        config_json_program(j, NULL, c, &g->programs[i]);
    jsonw_array_end(j);
    jsonw_object_end(j);
}

static void put_servers(struct jsonw *j, const struct config *c)
{
    jsonw_array(j, "http_servers");
    for (size_t i = 0; i < c->n_servers; i++) {
        const struct config_server *s = &c->servers[i];
        jsonw_object(j, NULL);
        jsonw_string(j, "section", s->section);
        jsonw_string(j, "family", s->is_unix ? "unix" : "inet");
        put_options(j, s->is_unix ? &options_unix_server : &options_inet_server, s);
        jsonw_bool(j, "authenticated", s->username != NULL);
        jsonw_object_end(j);
    }
    jsonw_array_end(j);
}

static void put_strings(struct jsonw *j, const char *name, const char *const *list, size_t n)
{
    jsonw_array(j, name);
    for (size_t i = 0; i < n; i++)
        jsonw_string(j, NULL, list[i]);
    jsonw_array_end(j);
}

int config_json(struct buf *out, const struct config *c)
{
    struct jsonw j = JSONW_INIT(out);
    jsonw_object(&j, NULL);
    jsonw_string(&j, "config", c->path);
    jsonw_string(&j, "kind", c->kind == CONFIG_NATIVE ? "droverd" : "supervisord");
    put_strings(&j, "files", c->files, c->n_files);
    put_strings(&j, "include_patterns", c->include_patterns, c->n_include_patterns);
    config_json_daemon(&j, c->kind == CONFIG_NATIVE ? "droverd" : "supervisord", c);
    put_servers(&j, c);
    jsonw_array(&j, "groups");
    for (size_t i = 0; i < c->n_groups; i++)
        put_group(&j, c, &c->groups[i]);
    jsonw_array_end(&j);
    jsonw_object_end(&j);
    return out->error;
}
