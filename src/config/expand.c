/* expand.c - %(name)s in values: which names there are, and what is said of others.
 *
 * Names come from the place (here, program_name, ...), from the process's own
 * environment, and from the environment of the daemon with what its section adds.
 * Results live in scratch space; nothing is expanded past CONFIG_VALUE_MAX. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/strtab.h"
#include "config/format.h"
#include "config/loader.h"

struct lookup {
    struct loader *l;
    const struct scope *scope;
};

const char *keep_string(struct loader *l, const char *s)
{
    size_t len = strlen(s);
    void **slot = map_find(&l->strings, 0, s, len);
    if (slot != NULL)
        return *slot;
    char *copy = arena_copy(l->keep, s, len);
    slot = map_add(&l->strings, 0, copy, len);
    if (slot == NULL)
        l->keep->failed = true;
    else
        *slot = copy;
    return copy;
}

int set_environ(struct loader *l, const char *name, const char *value)
{
    void **slot = map_add(&l->environ, 0, name, strlen(name));
    struct pair *pair = slot != NULL ? *slot : NULL;
    if (slot == NULL)
        return -ENOMEM;
    if (pair == NULL) {
        pair = *slot = arena_new(&l->scratch, struct pair);
        if (pair == NULL)
            return -ENOMEM;
        pair->next = l->names;
        pair->name = name;
        l->names = pair;
    }
    pair->value = value;
    return 0;
}

static bool same(const char *a, const char *b, size_t len)
{
    return strncmp(a, b, len) == 0 && a[len] == '\0';
}

static const char *find_environ(const struct lookup *u, const char *name, size_t len)
{
    void **slot = u->scope->own_map != 0 ? map_find(&u->l->environ, u->scope->own_map, name, len) : NULL;
    if (slot != NULL && ((struct pair *)*slot)->value != NULL)
        return ((struct pair *)*slot)->value;
    slot = map_find(&u->l->environ, 0, name, len);
    return slot != NULL ? ((struct pair *)*slot)->value : NULL;
}

/* The names that belong to the place; i counts them, false past the last. */
static bool place_name(const struct scope *s, size_t i, const char **name, struct format_value *v)
{
    const struct {
        const char *name, *text;
        bool known;
        int64_t number;
    } names[] = {
        { "group_name", s->group, s->group != NULL, 0 },   { "here", s->here, s->here != NULL, 0 },
        { "host_node_name", s->host, s->host != NULL, 0 }, { "numprocs", NULL, s->numbered, s->numprocs },
        { "process_num", NULL, s->numbered, s->number },   { "program_name", s->program, s->program != NULL, 0 },
    };
    if (i >= ELEMENTS(names))
        return false;
    *name = names[i].known ? names[i].name : NULL;
    *v = (struct format_value){ .is_number = names[i].text == NULL, .number = names[i].number, .text = names[i].text };
    return true;
}

static bool look_up(void *ctx, const char *name, size_t len, struct format_value *ret)
{
    const struct lookup *u = ctx;
    const char *known;
    struct format_value v;
    if (len > 4 && memcmp(name, "ENV_", 4) == 0) {
        *ret = (struct format_value){ .text = find_environ(u, name + 4, len - 4) };
        return ret->text != NULL;
    }
    for (size_t i = 0; place_name(u->scope, i, &known, &v); i++) {
        if (known != NULL && same(known, name, len)) {
            *ret = v;
            return true;
        }
    }
    return false;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* All names that could have stood there, sorted; NULL without memory. */
static const char **all_names(const struct lookup *u, size_t *n)
{
    size_t count = 8;
    for (const struct pair *p = u->l->names; p != NULL; p = p->next)
        count++;
    for (const struct pair *p = u->scope->own; p != NULL; p = p->next)
        count++;
    const char **names = arena_new_array(&u->l->scratch, count, const char *);
    if (names == NULL)
        return NULL;
    *n = 0;
    const char *known;
    struct format_value v;
    for (size_t i = 0; place_name(u->scope, i, &known, &v); i++)
        if (known != NULL)
            names[(*n)++] = known;
    for (const struct pair *p = u->l->names; p != NULL; p = p->next)
        names[(*n)++] = scratchf(u->l, "ENV_%s", p->name);
    for (const struct pair *p = u->scope->own; p != NULL; p = p->next)
        if (p->value != NULL && map_find(&u->l->environ, 0, p->name, strlen(p->name)) == NULL)
            names[(*n)++] = scratchf(u->l, "ENV_%s", p->name);
    qsort(names, *n, sizeof *names, by_text);
    names[*n] = NULL;
    return names;
}

static void refuse_name(const struct lookup *u, const char *text, const char *what, const struct where *w,
                        const char *name)
{
    struct loader *l = u->l;
    size_t n = 0;
    const char **names = all_names(u, &n);
    _cleanup_buf_ struct buf list = BUF_INIT(CONFIG_MEMORY_MAX);
    for (size_t i = 0; i < n; i++)
        buf_printf(&list, "%s%s", i > 0 ? ", " : "", names[i]);
    const char *compat =
        scratchf(l, "Format string %s for %s contains names (%s) which cannot be expanded. Available names: %s",
                 python_repr(l, text), python_repr(l, what), python_repr(l, name), list.data != NULL ? list.data : "");
    const char *nearest = names != NULL ? strtab_nearest(names, name) : NULL;
    if (nearest != NULL)
        report(l, DIAGNOSTIC_ERROR, w, compat, "%%(%s)s has no value here; did you mean %%(%s)s", name, nearest);
    else if (strncmp(name, "ENV_", 4) == 0)
        report(l, DIAGNOSTIC_ERROR, w, compat, "%%(%s)s: the environment has no variable %s; set it before the start",
               name, name + 4);
    else
        report(l, DIAGNOSTIC_ERROR, w, compat,
               "%%(%s)s has no value here; known are here, host_node_name, ENV_NAME and, in programs, program_name, "
               "group_name, process_num, numprocs",
               name);
}

const char *expand(struct loader *l, const struct scope *scope, const char *text, const char *what,
                   const struct where *w)
{
    if (strchr(text, '%') == NULL)
        return text;
    struct lookup u = { l, scope };
    struct format_result result;
    _cleanup_buf_ struct buf out = BUF_INIT(CONFIG_VALUE_MAX);
    int r = format_expand(&out, text, look_up, &u, &result);
    if (result.bare && r == 0)
        report(l, DIAGNOSTIC_WARNING, w, NULL,
               "a conversion without a name, such as %%s, is left as it is; write %%%%s for it");
    if (r == 0)
        return arena_copy(&l->scratch, out.data, out.len);
    if (r == FORMAT_E_NAME)
        refuse_name(&u, text, what, w, arena_copy(&l->scratch, result.name, result.name_len));
    else if (r == FORMAT_E_BAD)
        report(l, DIAGNOSTIC_ERROR, w,
               scratchf(l, "Format string %s for %s is badly formatted: %s", python_repr(l, text), python_repr(l, what),
                        result.why),
               "a bad %% expression: %s; write %%%% for a percent sign", result.why);
    else
        report(l, DIAGNOSTIC_ERROR, w, NULL, "expands to more than %lu bytes", CONFIG_VALUE_MAX);
    return NULL;
}
