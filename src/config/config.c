/* config.c - what can be done with a loaded configuration: holding it, letting it
 * go, comparing its parts, finding its file. */
#include "config/config_load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "config/load.h"
#include "config/option.h"

static const char *const default_paths[] = {
    "drover.conf",
    (DROVER_SYSCONFDIR "/drover/drover.conf"),
    "supervisord.conf",
    "etc/supervisord.conf",
    "/etc/supervisord.conf",
    "/etc/supervisor/supervisord.conf",
    NULL,
};

int config_find_default(const struct config_world *world, const char **path)
{
    for (size_t i = 0; default_paths[i] != NULL; i++) {
        if (world->exists(world->ctx, default_paths[i])) {
            *path = default_paths[i];
            return 0;
        }
    }
    return -ENOENT;
}

struct config *config_ref(struct config *c)
{
    c->refs++;
    return c;
}

void config_keep_from_children(struct config *c)
{
    arena_keep_from_children(c->arena);
}

void config_unref(struct config *c)
{
    if (c == NULL || --c->refs > 0)
        return;
    struct config_holder *h = (struct config_holder *)c;
    arena_done(&h->arena);
    free(h);
}

static bool equal_rows(const struct option_table *t, const void *a, const void *b)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct option *o = &t->options[i];
        if (!(o->flags & OPTION_LOADING) && o->kind->equal != NULL && !o->kind->equal(o, a, b))
            return false;
    }
    return true;
}

bool program_equal(const struct program *a, const struct program *b)
{
    return strcmp(a->name, b->name) == 0 && a->type == b->type && a->shadowed == b->shadowed &&
           equal_rows(&options_program, a, b);
}

/* Only what is set counts, in any order; what all programs inherit is in `environment`. */
uint64_t program_sum(const struct program *p)
{
    uint64_t sum = hash64((uint64_t)p->type, p->name, strlen(p->name));
    _cleanup_buf_ struct buf text = BUF_INIT(SIZE_MAX / 2);
    for (size_t i = 0; i < options_program.n; i++) {
        const struct option *o = &options_program.options[i];
        bool set = strcmp(o->name, "environment") == 0;
        for (uint16_t k = 0; k < p->n_sources; k++)
            set |= p->sources[k].option == i;
        buf_reset(&text);
        if (set && !(o->flags & OPTION_LOADING) && option_print(&options_program, o, p, &text))
            sum += hash64(hash64(0, o->name, strlen(o->name)), text.data, text.len);
    }
    return sum;
}

bool group_equal(const struct program_group *a, const struct program_group *b)
{
    if (strcmp(a->name, b->name) != 0 || a->type != b->type || a->priority != b->priority ||
        a->n_programs != b->n_programs)
        return false;
    if (a->type == PROGRAM_EVENTLISTENER && !equal_rows(&options_eventlistener, a->special, b->special))
        return false;
    if (a->type == PROGRAM_FCGI && !equal_rows(&options_fcgi, a->special, b->special))
        return false;
    for (size_t i = 0; i < a->n_programs; i++)
        if (!program_equal(&a->programs[i], &b->programs[i]))
            return false;
    return true;
}
