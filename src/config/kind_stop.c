/* kind_stop.c - stopsignal: one signal, or a ladder of them with times. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/strtab.h"
#include "base/utf8.h"
#include "config/kind.h"
#include "config/setting.h"

static bool is_ladder(const char *text)
{
    return strpbrk(text, ",:") != NULL;
}

/* `whole` is all of the value: supervisord knows no ladders, and names that. */
static int set_plain(struct setting *s, const char *text, const char *whole, int *signal)
{
    int r = parse_signal(text, signal);
    if (r == 0)
        return 0;
    s->compat = scratchf(s->l, "value %s is not a valid signal %s", python_repr(s->l, whole),
                         r == -ERANGE && text == whole ? "number" : "name");
    return setting_refuse(s, "\"%s\" is no signal; write a name such as TERM, or a ladder such as TERM:10, INT:5, KILL",
                          text);
}

/* "TERM:10"; without a time the step waits stopwaitsecs, put in later. */
static int read_step(struct setting *s, const char *word, const char *whole, struct stop_step *step)
{
    const char *colon = strchr(word, ':');
    const char *name = word;
    size_t len = colon != NULL ? (size_t)(colon - word) : strlen(word);
    utf8_strip(&name, &len);
    int r = set_plain(s, arena_copy(&s->l->scratch, name, len), whole, &step->signal);
    if (r < 0)
        return r;
    step->wait = USEC_INFINITY;
    if (colon == NULL)
        return 0;
    name = colon + 1;
    len = strlen(name);
    utf8_strip(&name, &len);
    if (parse_duration(arena_copy(&s->l->scratch, name, len), &step->wait) < 0)
        return setting_refuse(s, "\"%s\" is not a time in \"%s\"; write TERM:10, INT:500ms, KILL", name, word);
    return 0;
}

static int keep_ladder(struct setting *s, const struct stop_step *steps, size_t n)
{
    struct draft *d = s->base;
    struct stop_step *kept = arena_new_array(&s->l->scratch, n, struct stop_step);
    if (kept == NULL || n == 0) /* a text that is_ladder() has one step at least, where there is memory */
        return -ENOMEM;
    d->p.ladder = memcpy(kept, steps, n * sizeof(*steps));
    d->p.n_ladder = (uint16_t)n;
    d->common.stopsignal = steps[0].signal;
    return 0;
}

static int set_ladder(struct setting *s, const char *text)
{
    const char **words;
    size_t n = split_list(s->l, text, &words);
    struct stop_step ladder[STOP_LADDER_MAX] = { 0 };
    if (n > STOP_LADDER_MAX)
        return setting_refuse(s, "a ladder of more than %d signals", STOP_LADDER_MAX);
    for (size_t i = 0; i < n; i++) {
        int r = read_step(s, words[i], text, &ladder[i]);
        if (r < 0)
            return r;
    }
    if (n == STOP_LADDER_MAX && ladder[n - 1].signal != SIGKILL)
        return setting_refuse(s, "a ladder of %d signals must end in KILL", STOP_LADDER_MAX);
    return keep_ladder(s, ladder, n);
}

static int set_stopsignal(struct setting *s, const char *text)
{
    struct stop_step only = { .wait = USEC_INFINITY };
    int r = is_ladder(text) ? set_ladder(s, text) : set_plain(s, text, text, &only.signal);
    if (r == 0 && !is_ladder(text))
        r = keep_ladder(s, &only, 1);
    if (r == 0)
        ((struct draft *)s->base)->common.stopsignal_text = keep_string(s->l, text);
    return r;
}

static bool print_stopsignal(const struct option *o, const void *base, struct buf *out)
{
    const struct program *p = base;
    const char *text = p->common->stopsignal_text;
    (void)o;
    buf_puts(out, is_ladder(text) ? text : parse_signal_name(p->common->stopsignal));
    return true;
}

static bool equal_stopsignal(const struct option *o, const void *a, const void *b)
{
    const struct program *p = a, *q = b;
    (void)o;
    if (p->n_ladder != q->n_ladder)
        return false;
    for (unsigned i = 0; i < p->n_ladder; i++)
        if (p->ladder[i].signal != q->ladder[i].signal || p->ladder[i].wait != q->ladder[i].wait)
            return false;
    return true;
}

const struct option_kind kind_stopsignal = { "a signal, or a ladder TERM:10, INT:5, KILL", SHAPE_STRING, set_stopsignal,
                                             print_stopsignal, equal_stopsignal };

static int set_signal(struct setting *s, const char *text)
{
    if (parse_signal(text, (int *)option_field(s->option, s->base)) == 0)
        return 0;
    return setting_refuse(s, "\"%s\" is no signal; write a name such as TERM, or a number", text);
}

static bool print_signal(const struct option *o, const void *base, struct buf *out)
{
    buf_puts(out, parse_signal_name(*(const int *)option_field(o, base)));
    return true;
}

const struct option_kind kind_signal = { "a signal", SHAPE_STRING, set_signal, print_signal, equal_int };

/* --- kill_mode ------------------------------------------------------------------ */

static const struct strtab kill_modes[] = {
    { "process", KILL_MODE_PROCESS },
    { "group", KILL_MODE_GROUP },
    { "cgroup", KILL_MODE_CGROUP },
};

static int set_kill_mode(struct setting *s, const char *text)
{
    int mode;
    if (strtab_value(kill_modes, ELEMENTS(kill_modes), text, &mode) < 0)
        return setting_refuse(s, "\"%s\" is none of process, group, cgroup", text);
    *(enum kill_mode *)option_field(s->option, s->base) = (enum kill_mode)mode;
    return 0;
}

static bool print_kill_mode(const struct option *o, const void *base, struct buf *out)
{
    enum kill_mode mode = *(const enum kill_mode *)option_field(o, base);
    if (mode == KILL_MODE_UNSET)
        return false;
    buf_puts(out, strtab_name(kill_modes, ELEMENTS(kill_modes), (int)mode));
    return true;
}

static bool equal_kill_mode(const struct option *o, const void *a, const void *b)
{
    return *(const enum kill_mode *)option_field(o, a) == *(const enum kill_mode *)option_field(o, b);
}

const struct option_kind kind_kill_mode = { "process, group or cgroup", SHAPE_STRING, set_kill_mode, print_kill_mode,
                                            equal_kill_mode };
