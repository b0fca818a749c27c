/* diagnostic.c - what the loader has to tell, for people and as supervisord says it.
 *
 * Owns the two lists of struct diagnostics: one for people, each thing once, and
 * one of supervisord's words in its order (an error ends supervisord at once, so
 * only the first of those is ever what it says).  Both are bounded. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "config/setting.h"

#define DIAGNOSTICS_MAX 1000
#define TEXT_MAX 2000 /* of one line for people; a value of a megabyte does not help them */

static void clear(struct diagnostic *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(list[i].text);
        free(list[i].compat);
    }
    free(list);
}

void diagnostics_clear(struct diagnostics *d)
{
    clear(d->list, d->n);
    clear(d->compat, d->n_compat);
    *d = (struct diagnostics){ 0 };
}

static bool append(struct diagnostic **list, size_t *n, const struct diagnostic *new)
{
    struct diagnostic *bigger = reallocarray(*list, *n + 1, sizeof **list);
    if (bigger == NULL)
        return false;
    bigger[*n] = *new;
    *list = bigger;
    ++*n;
    return true;
}

static void add_compat(struct diagnostics *d, enum diagnostic_level level, const char *compat)
{
    struct diagnostic new = { .level = level, .compat = strdup(compat) };
    if (d->n_compat >= DIAGNOSTICS_MAX * 10 || !append(&d->compat, &d->n_compat, &new))
        free(new.compat);
}

static bool said_before(const struct diagnostics *d, const char *text)
{
    for (size_t i = d->n > 16 ? d->n - 16 : 0; i < d->n; i++)
        if (strcmp(d->list[i].text, text) == 0)
            return true;
    return false;
}

static int by_place(const void *a, const void *b)
{
    const struct diagnostic *x = a, *y = b;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    if (x->line != y->line)
        return x->line < y->line ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

void diagnostics_sort(struct diagnostics *d)
{
    if (d->n > 1)
        qsort(d->list, d->n, sizeof *d->list, by_place);
}

static void add(struct diagnostics *d, const struct diagnostic *at, const char *text, const char *compat)
{
    enum diagnostic_level level = at->level;
    if (said_before(d, text))
        return;
    size_t told = level == DIAGNOSTIC_ERROR ? d->n_errors : d->n - d->n_errors;
    struct diagnostic new = *at;
    new.number = (uint32_t)d->n;
    d->n_errors += level == DIAGNOSTIC_ERROR;
    d->n_warnings += level == DIAGNOSTIC_WARNING;
    if (told < DIAGNOSTICS_MAX) {
        new.text = strdup(text);
        new.compat = compat != NULL ? strdup(compat) : NULL;
        if (new.text != NULL && append(&d->list, &d->n, &new))
            return;
        free(new.text);
        free(new.compat);
    }
    d->dropped++;
}

static uint32_t file_number(const struct loader *l, const char *name)
{
    uint32_t i = 0;
    while (name != NULL && i < l->n_files && strcmp(l->files[i], name) != 0)
        i++;
    return name != NULL && i < l->n_files ? i : 0;
}

static void place(struct loader *l, const struct where *w, struct buf *out, struct diagnostic *at)
{
    const char *file = w->file;
    uint32_t line = w->line;
    if (w->section != NULL) {
        uint16_t number = w->key != NULL ? w->key->file : w->section->file;
        file = l->files[number];
        line = w->key != NULL ? w->key->line : w->section->line;
        at->file = number;
    } else {
        at->file = file_number(l, file);
    }
    at->line = line;
    buf_puts(out, file != NULL ? file : "command line");
    if (line > 0)
        buf_printf(out, ":%u", line);
    buf_puts(out, ": ");
    if (w->section != NULL)
        buf_printf(out, "[%s] ", w->section->name);
    if (w->option != NULL)
        buf_puts(out, w->option);
    else if (w->section != NULL)
        out->len--;
    if (w->section != NULL || w->option != NULL)
        buf_puts(out, ": ");
}

/* One thing is one line, and no terminal obeys it. */
static void tidy(struct buf *text)
{
    if (text->len > TEXT_MAX)
        text->len = utf8_offset(text->data, TEXT_MAX, SIZE_MAX);
    for (size_t i = 0; i < text->len; i++)
        if ((unsigned char)text->data[i] < 0x20 || text->data[i] == 0x7F)
            text->data[i] = text->data[i] == '\n' ? ' ' : '?';
    if (text->data != NULL)
        text->data[text->len] = '\0';
}

static void __attribute__((format(printf, 5, 0)))
vreport(struct loader *l, enum diagnostic_level level, const struct where *w, const char *compat, const char *format,
        va_list ap)
{
    _cleanup_buf_ struct buf text = BUF_INIT(CONFIG_VALUE_MAX * 4);
    struct diagnostic at = { .level = level };
    place(l, w, &text, &at);
    buf_vprintf(&text, format, ap);
    tidy(&text);
    if (compat != NULL && level == DIAGNOSTIC_ERROR && l->process_section != NULL)
        compat = scratchf(l, "%s in section %s (file: %s)", compat, python_repr(l, l->process_section->name),
                          python_repr(l, l->files[l->process_section->file]));
    if (compat != NULL)
        add_compat(l->d, level, compat);
    add(l->d, &at, text.error == 0 ? text.data : "out of memory while telling what is wrong", compat);
}

void report(struct loader *l, enum diagnostic_level level, const struct where *w, const char *compat,
            const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vreport(l, level, w, compat, format, ap);
    va_end(ap);
}

int setting_refuse(struct setting *s, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vreport(s->l, DIAGNOSTIC_ERROR, &s->where, s->compat, format, ap);
    va_end(ap);
    return -EINVAL;
}

void setting_warn(struct setting *s, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vreport(s->l, DIAGNOSTIC_WARNING, &s->where, NULL, format, ap);
    va_end(ap);
}

const char *python_repr(struct loader *l, const char *s)
{
    _cleanup_buf_ struct buf out = BUF_INIT(CONFIG_MEMORY_MAX);
    if (utf8_quote(&out, s, strlen(s), false) < 0)
        return "''";
    return arena_copy(&l->scratch, out.data, out.len);
}

const char *int_error(struct loader *l, const char *s)
{
    const char *quoted = python_repr(l, s);
    size_t len = utf8_offset(quoted, strlen(quoted), 200); /* where Python cuts it */
    return scratchf(l, "invalid literal for int() with base 10: %.*s", (int)len, quoted);
}

const char *scratchf(struct loader *l, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    const char *s = arena_vprintf(&l->scratch, format, ap);
    va_end(ap);
    return s;
}
