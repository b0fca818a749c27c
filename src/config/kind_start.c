/* kind_start.c - how a command is run: through a shell, with which variables.
 *
 * Files of variables are read while the configuration is loaded, so that a
 * mistake in one has a line number, `reread` sees a change, and no start ever
 * waits for a disk.  What they hold is kept apart from `environment`: it is often
 * secret, and is not shown. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "config/kind.h"
#include "config/setting.h"

#define ENVIRONMENT_FILE_MAX (1UL << 20)
#define VARIABLES_MAX 4096 /* of all files of one program */

/* --- shell -------------------------------------------------------------------- */

static int set_shell(struct setting *s, const char *text)
{
    const char **field = option_field(s->option, s->base);
    bool on;
    if (parse_bool(text, &on) == 0)
        *field = on ? "/bin/sh" : NULL;
    else if (text[0] == '/')
        *field = keep_string(s->l, text);
    else
        return setting_refuse(s, "\"%s\" is neither true, false, nor the absolute path of a shell", text);
    return 0;
}

static bool print_shell(const struct option *o, const void *base, struct buf *out)
{
    const char *shell = *(const char *const *)option_field(o, base);
    buf_puts(out, shell != NULL ? shell : "false");
    return true;
}

const struct option_kind kind_shell = { "true, false or a shell's path", SHAPE_STRING, set_shell, print_shell,
                                        equal_text };

/* --- inherit_environment --------------------------------------------------------- */

static bool is_name(const char *s, size_t len)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    return len > 0 && strspn(s, letters) >= len && (s[0] < '0' || s[0] > '9');
}

static int set_inherit(struct setting *s, const char *text)
{
    const char *const **field = option_field(s->option, s->base);
    const char **words = NULL;
    bool all = false;
    if (parse_bool(text, &all) == 0 && all) {
        *field = NULL;
        return 0;
    }
    size_t n = parse_bool(text, &all) == 0 ? 0 : split_list(s->l, text, &words);
    const char **names = arena_new_array(s->l->keep, n + 1, const char *);
    if (names == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        if (!is_name(words[i], strlen(words[i])))
            return setting_refuse(s, "\"%s\" is no variable's name; write true, false, or names with commas", words[i]);
        names[i] = keep_string(s->l, words[i]);
    }
    *field = (const char *const *)names;
    return 0;
}

static bool print_inherit(const struct option *o, const void *base, struct buf *out)
{
    const char *const *names = *(const char *const *const *)option_field(o, base);
    if (names == NULL || names[0] == NULL)
        buf_puts(out, names == NULL ? "true" : "false");
    for (size_t i = 0; names != NULL && names[i] != NULL; i++)
        buf_printf(out, i > 0 ? ",%s" : "%s", names[i]);
    return true;
}

const struct option_kind kind_inherit_environment = { "true, false, or names of variables with commas", SHAPE_STRING,
                                                      set_inherit, print_inherit, equal_list };

/* --- environment_file ------------------------------------------------------------ */

static const char *strip_end(char *text, size_t len)
{
    while (len > 0 && strchr(" \t\r", text[len - 1]) != NULL)
        len--;
    text[len] = '\0';
    return text;
}

/* The text of a value in quotes, in place; NULL when they do not end it.  In double
 * quotes a backslash keeps its next character as it is. */
static const char *unquote(char *text)
{
    char mark = text[0], *out = text, *in = text + 1;
    for (; *in != '\0' && *in != mark; in++) {
        if (mark == '"' && *in == '\\' && in[1] != '\0')
            in++;
        *out++ = *in;
    }
    if (*in != mark || in[1 + strspn(in + 1, " \t\r")] != '\0')
        return NULL;
    *out = '\0';
    return text;
}

static int add_variable(struct loader *l, struct pair **list, const char *name, const char *value)
{
    struct pair *pair = *list;
    size_t n = 0;
    for (; pair != NULL && strcmp(pair->name, name) != 0; pair = pair->next)
        n++;
    if (n >= VARIABLES_MAX)
        return -E2BIG;
    if (pair == NULL) {
        pair = arena_new(&l->scratch, struct pair);
        if (pair == NULL)
            return -ENOMEM;
        *pair = (struct pair){ .next = *list, .name = name };
        *list = pair;
    }
    pair->value = value;
    return 0;
}

/* "NAME=VALUE", "export NAME='VALUE'", a comment, or nothing; NULL, or what is wrong. */
static const char *read_variable(struct loader *l, char *line, struct pair **list)
{
    line += strspn(line, " \t\r");
    if (line[0] == '\0' || line[0] == '#' || line[0] == ';')
        return NULL;
    if (strncmp(line, "export", 6) == 0 && strspn(line + 6, " \t") > 0)
        line += 6 + strspn(line + 6, " \t");
    char *equals = strchr(line, '=');
    if (equals == NULL || !is_name(line, (size_t)(equals - line)))
        return "is not NAME=VALUE";
    *equals = '\0';
    char *value = equals + 1;
    const char *text = value[0] == '"' || value[0] == '\'' ? unquote(value) : strip_end(value, strlen(value));
    if (text == NULL)
        return "has a quotation that does not end the line";
    return add_variable(l, list, line, text) < 0 ? "is one too many" : NULL;
}

static int read_variables(struct setting *s, const char *path, char *text, struct pair **list)
{
    char *rest = arena_string(&s->l->scratch, text);
    for (unsigned number = 1; rest != NULL; number++) {
        char *line = strsep(&rest, "\n");
        const char *wrong = read_variable(s->l, line, list);
        if (wrong != NULL)
            return setting_refuse(s, "%s:%u %s; write NAME=VALUE or NAME=\"VALUE\", one a line", path, number, wrong);
    }
    return 0;
}

static int read_environment_file(struct setting *s, const char *word, struct pair **list)
{
    bool optional = word[0] == '-';
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    const char *path = path_normal(s->l, word + optional);
    int r = s->l->world->read_file(s->l->world->ctx, path, &text, &len);
    if (r == -ENOENT && optional)
        return 0;
    if (r < 0)
        return setting_refuse(s, "%s cannot be read: %s; write -%s where it may be missing", path,
                              r == -EINVAL ? "not a regular file" : strerror(-r), path);
    if (len > ENVIRONMENT_FILE_MAX || strlen(text) != len)
        return setting_refuse(s, "%s %s", path, len > ENVIRONMENT_FILE_MAX ? "has more than 1 MiB" : "has NUL in it");
    return read_variables(s, path, text, list);
}

/* Most processes of a section name the same files, so the last ones are remembered. */
static int set_environment_file(struct setting *s, const char *text)
{
    struct draft *d = s->base;
    const char **words = NULL;
    size_t n = split_list(s->l, text, &words);
    d->p.environment_file = keep_string(s->l, text);
    if (d->file_text != NULL && strcmp(d->file_text, text) == 0)
        return 0;
    d->file_pairs = NULL;
    for (size_t i = 0; i < n; i++) {
        int r = words[i][0] != '\0' ? read_environment_file(s, words[i], &d->file_pairs) : 0;
        if (r < 0)
            return r;
    }
    d->file_text = text;
    return 0;
}

static bool equal_environment_file(const struct option *o, const void *a, const void *b)
{
    const struct program *p = a, *q = b;
    return equal_text(o, a, b) && same_list(p->file_variables, q->file_variables);
}

const struct option_kind kind_environment_file = { "paths with commas; - before one that may be missing", SHAPE_STRING,
                                                   set_environment_file, print_text, equal_environment_file };
