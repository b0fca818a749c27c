/* kind_stdio.c - stdio: the list of what each descriptor of a program is.
 *
 * The words are those of Node's spawn() and of the shell's redirections.  Three
 * pipes, which is what almost every program has, take no memory. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/strtab.h"
#include "config/kind.h"
#include "config/setting.h"

#define STDIO_NULL (-1) /* the word: what the place has when nothing is said */

static const struct strtab words_of_kinds[] = {
    { "pipe", STDIO_PIPE }, { "ignore", STDIO_IGNORE }, { "inherit", STDIO_INHERIT },
    { "ipc", STDIO_IPC },   { "null", STDIO_NULL },     { "log", STDIO_LOG },
};

/* "<PATH", ">PATH", ">>PATH" */
static int read_path(struct setting *s, const char *word, struct stdio_entry *e)
{
    bool append = strncmp(word, ">>", 2) == 0;
    const char *path = word + 1 + append;
    path += strspn(path, " \t");
    if (*path == '\0')
        return setting_refuse(s, "\"%s\" names no file", word);
    e->kind = word[0] == '<' ? STDIO_READ : append ? STDIO_APPEND : STDIO_WRITE;
    e->path = keep_string(s->l, path_expand_user(s->l, path));
    return 0;
}

static int read_entry(struct setting *s, const char *word, size_t place, struct stdio_entry *e)
{
    int kind;
    int64_t number;
    if (word[0] == '<' || word[0] == '>')
        return read_path(s, word, e);
    if (strtab_value(words_of_kinds, ELEMENTS(words_of_kinds), word, &kind) == 0) {
        if (kind == STDIO_LOG && place != 1 && place != 2)
            return setting_refuse(s, "has log for descriptor %zu; only 1 and 2 have one", place);
        e->kind = kind != STDIO_NULL ? (enum stdio_kind)kind : place < 3 ? STDIO_PIPE : STDIO_IGNORE;
        return 0;
    }
    if (strncmp(word, "socket:", 7) == 0)
        return setting_refuse(s, "\"%s\" is not served in this version; leave it out", word);
    if (parse_int(word, &number) < 0 || number < 0 || number >= STDIO_MAX)
        return setting_refuse(s,
                              "\"%s\" is none of pipe, ignore, inherit, ipc, null, log, a number from 0 to %d, <PATH, "
                              ">PATH, >>PATH",
                              word, STDIO_MAX - 1);
    e->kind = STDIO_NUMBER;
    e->number = (int)number;
    return 0;
}

static bool is_default(const struct stdio_entry *e, size_t n)
{
    return n == 3 && e[0].kind == STDIO_PIPE && e[1].kind == STDIO_PIPE && e[2].kind == STDIO_PIPE;
}

static int set_stdio(struct setting *s, const char *text)
{
    struct program *p = s->base;
    struct stdio_entry entries[STDIO_MAX] = { { 0 } };
    const char **words = NULL;
    unsigned channels = 0;
    size_t n = split_list(s->l, text, &words);
    p->stdio = NULL;
    if (n == 0 || n > STDIO_MAX)
        return setting_refuse(s, n == 0 ? "is empty; write a list such as pipe, pipe, pipe"
                                        : "has more than 64 places; the highest descriptor is 63");
    for (size_t i = 0; i < n; i++) {
        int r = read_entry(s, words[i], i, &entries[i]);
        if (r < 0)
            return r;
        if (entries[i].kind == STDIO_IPC && channels++ > 0)
            return setting_refuse(s, "names ipc twice; a process has one channel at most");
    }
    if (n == 1 && (entries[0].kind == STDIO_IGNORE || entries[0].kind == STDIO_INHERIT))
        entries[1] = entries[2] = entries[0];
    if (n < 3) /* places that are not named are pipes */
        n = 3;
    if (is_default(entries, n))
        return 0;
    struct stdio_list *list = arena_alloc(s->l->keep, sizeof(*list) + n * sizeof(*entries));
    if (list == NULL)
        return -ENOMEM;
    list->n = (unsigned)n;
    memcpy(list->entries, entries, n * sizeof(*entries));
    p->stdio = list;
    return 0;
}

static bool print_stdio(const struct option *o, const void *base, struct buf *out)
{
    static const char *const marks[] = { [STDIO_READ] = "<", [STDIO_WRITE] = ">", [STDIO_APPEND] = ">>" };
    const struct program *p = base;
    (void)o;
    for (unsigned i = 0; i < stdio_length(p->stdio); i++) {
        struct stdio_entry e = stdio_entry(p->stdio, i);
        buf_puts(out, i > 0 ? ", " : "");
        if (e.path != NULL)
            buf_printf(out, "%s%s", marks[e.kind], e.path);
        else if (e.kind == STDIO_NUMBER)
            buf_printf(out, "%d", e.number);
        else
            buf_puts(out, strtab_name(words_of_kinds, ELEMENTS(words_of_kinds), (int)e.kind));
    }
    return true;
}

static bool equal_stdio(const struct option *o, const void *a, const void *b)
{
    const struct stdio_list *x = ((const struct program *)a)->stdio, *y = ((const struct program *)b)->stdio;
    (void)o;
    if (stdio_length(x) != stdio_length(y))
        return false;
    for (unsigned i = 0; i < stdio_length(x); i++) {
        struct stdio_entry e = stdio_entry(x, i), f = stdio_entry(y, i);
        if (e.kind != f.kind || e.number != f.number || !same_text(e.path, f.path))
            return false;
    }
    return true;
}

/* What a detached program has without a list of its own: nothing that ends with the daemon. */
static const struct stdio_list apart = {
    .n = 3, .entries = { { .kind = STDIO_IGNORE }, { .kind = STDIO_LOG }, { .kind = STDIO_LOG } }
};

const struct stdio_list *const stdio_detached = &apart;

const struct option_kind kind_stdio = {
    "a list of pipe, ignore, inherit, ipc, null, log, numbers, <PATH, >PATH, >>PATH", SHAPE_LIST, set_stdio,
    print_stdio, equal_stdio
};
