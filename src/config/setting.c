/* setting.c - one value on its way from a file to its field: found, expanded, set. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/utf8.h"
#include "config/setting.h"

const char *lower(struct loader *l, const char *s)
{
    char *copy = arena_string(&l->scratch, s);
    for (char *p = copy; *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    return copy;
}

size_t split_list(struct loader *l, const char *text, const char ***ret)
{
    size_t n = text[0] != '\0';
    for (const char *p = text; *p != '\0'; p++)
        n += *p == ',';
    const char **words = arena_new_array(&l->scratch, n + 1, const char *);
    if (words == NULL)
        return 0;
    for (size_t i = 0; i < n; i++) {
        const char *word = text;
        size_t len = strcspn(text, ",");
        text += len + 1;
        utf8_strip(&word, &len);
        words[i] = arena_copy(&l->scratch, word, len);
    }
    *ret = words;
    return n;
}

const char *option_default(const struct loader *l, const struct option *o)
{
    if (l->c->kind == CONFIG_SUPERVISORD && o->fallback_compat != NULL)
        return o->fallback_compat;
    return o->fallback;
}

static const char *expanded(struct setting *s, const char *text)
{
    unsigned flags = s->option->flags;
    struct scope scope = *s->scope;
    if (!(flags & OPTION_HERE))
        scope.here = NULL;
    if (flags & OPTION_RAW)
        return text;
    const char *what = "";
    if (strchr(text, '%') != NULL && s->where.section != NULL)
        what = scratchf(s->l, "%s.%s", s->where.section->name, s->option->name);
    text = expand(s->l, &scope, text, what, &s->where);
    if (text != NULL && (flags & OPTION_TWICE))
        text = expand(s->l, &scope, text, s->option->name, &s->where);
    return text;
}

static bool set_row(struct loader *l, const struct ini_section *section, const struct option_table *t,
                    const struct option *o, void *base, const struct scope *scope)
{
    struct ini_key *key = section != NULL ? ini_key(&l->ini, section, o->name) : NULL;
    struct setting s = {
        .l = l,
        .table = t,
        .option = o,
        .base = base,
        .scope = scope,
        .where = { .section = section, .key = key, .option = o->name },
    };
    const char *text = key != NULL ? key->value : option_default(l, o);
    if (text == NULL)
        return true;
    if (key != NULL || (o->flags & OPTION_RAW))
        text = expanded(&s, text);
    return text != NULL && o->kind->set(&s, text) == 0;
}

bool set_option(struct loader *l, const struct ini_section *section, const struct option_table *t, const char *name,
                void *base, const struct scope *scope)
{
    const struct option *o = option_find(t, name);
    return o != NULL && set_row(l, section, t, o, base, scope);
}

bool set_options(struct loader *l, const struct ini_section *section, const struct option_table *t, void *base,
                 const struct scope *scope, unsigned with, unsigned without)
{
    bool ok = true;
    for (size_t i = 0; i < t->n; i++) {
        const struct option *o = &t->options[i];
        if ((o->flags & with) == with && (o->flags & without) == 0)
            ok = set_row(l, section, t, o, base, scope) && ok;
    }
    return ok;
}

bool set_override(struct loader *l, const struct option_table *t, const struct config_override *o, void *base)
{
    struct scope scope = { 0 };
    struct setting s = {
        .l = l,
        .table = t,
        .option = option_find(t, o->option),
        .base = base,
        .scope = &scope,
        .where = { .option = o->flag },
    };
    if (s.option == NULL) {
        report(l, DIAGNOSTIC_ERROR, &s.where, NULL, "there is no key %s", o->option);
        return false;
    }
    return s.option->kind->set(&s, o->value) == 0;
}

const struct program_given *keep_given(struct loader *l, uint16_t *n)
{
    struct program_given *given = NULL;
    if (l->n_given > 0)
        given = arena_new_array(l->keep, l->n_given, struct program_given);
    *n = given != NULL ? (uint16_t)l->n_given : 0;
    if (given != NULL)
        memcpy(given, l->given, l->n_given * sizeof *given);
    return given;
}
