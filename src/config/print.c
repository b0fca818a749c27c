/* print.c - see print.h.  Walks the option tables, so a new row shows up by itself. */
#include "config/print.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "config/setting.h"

#define VALUE_MAX (16UL << 20)

static bool print_given(const struct program_given *given, size_t n, size_t option, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        if (given[i].option != option)
            continue;
        buf_printf(out, "%" PRId64, given[i].value);
        return true;
    }
    return false;
}

bool option_print(const struct option_table *t, const struct option *o, const void *base, struct buf *out)
{
    const struct program *p = base;
    const struct config_daemon *d = base;
    size_t number = (size_t)(o - t->options);
    if (t == &options_program && print_given(p->given, p->n_given, number, out))
        return true;
    if (t == &options_daemon && print_given(d->given, d->n_given, number, out))
        return true;
    return o->kind->print != NULL && o->kind->print(o, base, out);
}

/* Continuation lines are indented, and a % is doubled, so that the text reads as
 * what it stands for. */
static void print_line(FILE *out, const struct option *o, const char *value)
{
    fprintf(out, "%s = ", o->name);
    for (const char *p = value; *p != '\0'; p++) {
        if (*p == '%')
            fputs("%%", out);
        else if (*p == '\n')
            fputs("\n    ", out);
        else
            fputc(*p, out);
    }
    fputc('\n', out);
}

static int print_options(FILE *out, const struct option_table *t, const void *base, unsigned without)
{
    _cleanup_buf_ struct buf value = BUF_INIT(VALUE_MAX);
    for (size_t i = 0; i < t->n; i++) {
        const struct option *o = &t->options[i];
        buf_reset(&value);
        if (o->flags & (OPTION_LOADING | without))
            continue;
        if (option_print(t, o, base, &value))
            print_line(out, o, o->flags & OPTION_SECRET ? "(not shown)" : value.data != NULL ? value.data : "");
        if (value.error != 0)
            return value.error;
    }
    return 0;
}

static void print_servers(FILE *out, const struct config *c)
{
    for (size_t i = 0; i < c->n_servers; i++) {
        fprintf(out, "\n[%s]\n", c->servers[i].section);
        print_options(out, c->servers[i].is_unix ? &options_unix_server : &options_inet_server, &c->servers[i], 0);
    }
}

static void print_group(FILE *out, const struct config *c, const struct program_group *g)
{
    static const char *const types[] = { "program", "eventlistener", "fcgi-program" };
    const char *daemon_environment = g->shadowed ? "; never runs: an earlier group has the same name\n" : "";
    fprintf(out, "\n; group %s, priority %d, %zu %s\n%s", g->name, g->priority, g->n_programs,
            g->n_programs == 1 ? "process" : "processes", daemon_environment);
    for (size_t i = 0; i < g->n_programs; i++) {
        const struct program *p = &g->programs[i];
        fprintf(out, "\n; %s:%u%s\n[%s:%s]\n", c->files[p->file], (unsigned)p->line,
                p->shadowed ? ", never runs: another process of the group has the same name" : "", types[g->type],
                p->name);
        if (g->type == PROGRAM_EVENTLISTENER)
            print_options(out, &options_eventlistener, g->special, 0);
        if (g->type == PROGRAM_FCGI)
            print_options(out, &options_fcgi, g->special, 0);
        print_options(out, &options_program, p, 0);
    }
}

int config_print(FILE *out, const struct config *c)
{
    fprintf(out, "; %s, fully expanded\n", c->path);
    for (size_t i = 1; i < c->n_files; i++)
        fprintf(out, "; with %s\n", c->files[i]);
    fprintf(out, "\n[%s]\n", c->kind == CONFIG_NATIVE ? "droverd" : "supervisord");
    print_options(out, &options_daemon, &c->daemon, 0);
    print_servers(out, c);
    for (size_t i = 0; i < c->n_groups; i++)
        print_group(out, c, &c->groups[i]);
    return ferror(out) ? -EIO : 0;
}

static void help_default(FILE *out, const struct option *o)
{
    if (o->fallback != NULL && o->fallback[0] != '\0')
        fprintf(out, "; default %s", o->fallback);
    if (o->fallback_compat != NULL)
        fprintf(out, ", in supervisord's files %s", o->fallback_compat);
}

static void help_option(FILE *out, const struct option *o)
{
    fprintf(out, "  %-32s %s\n  %-32s (%s", o->name, o->help, "", o->kind->values);
    help_default(out, o);
    fputs(")\n", out);
}

int config_help(FILE *out, const char *key)
{
    bool found = false;
    for (size_t t = 0; option_tables[t] != NULL; t++) {
        const struct option_table *table = option_tables[t];
        bool title = false;
        for (size_t i = 0; i < table->n; i++) {
            if (key != NULL && strcmp(table->options[i].name, key) != 0)
                continue;
            if (!title)
                fprintf(out, "%s[%s%s] %s\n", found ? "\n" : "", table->section,
                        table->section[strlen(table->section) - 1] == ':' ? "NAME" : "", table->help);
            help_option(out, &table->options[i]);
            found = title = true;
        }
    }
    return found ? 0 : -ENOENT;
}

/* The i-th row that is a setting of the result. */
static const struct option *visible(size_t i)
{
    for (size_t o = 0; o < options_program.n; o++)
        if (!(options_program.options[o].flags & OPTION_LOADING) && i-- == 0)
            return &options_program.options[o];
    return NULL;
}

bool config_option_value(const struct program *p, size_t i, struct option_value *ret, struct buf *value)
{
    const struct option *o = visible(i);
    if (o == NULL)
        return false;
    buf_reset(value);
    *ret = (struct option_value){ .name = o->name };
    for (uint16_t s = 0; s < p->n_sources; s++) {
        if (&options_program.options[p->sources[s].option] != o)
            continue;
        ret->file = p->sources[s].file;
        ret->line = p->line + p->sources[s].line;
    }
    ret->is_set = option_print(&options_program, o, p, value);
    buf_puts(value, ""); /* a string, even when nothing was put there */
    return true;
}
