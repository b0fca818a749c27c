/* kind_ipc.c - ipc and its limits.
 *
 * They live in one struct ipc_settings, made for the first key of a section that
 * is not at its default: most programs have no channel. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/strtab.h"
#include "config/kind.h"
#include "config/setting.h"

static const struct strtab modes[] = {
    { "false", IPC_FALSE },
    { "true", IPC_TRUE },
    { "json", IPC_JSON },
};

struct ipc_settings *ipc_edit(struct setting *s)
{
    struct draft *d = s->base;
    if (d->ipc == NULL) {
        d->ipc = arena_new(s->l->keep, struct ipc_settings);
        if (d->ipc == NULL)
            return NULL;
        *d->ipc = *ipc_settings_of(&d->p);
        d->p.ipc = d->ipc;
    }
    return d->ipc;
}

bool ipc_equal(const struct option *o, const void *a, const void *b)
{
    return ((const struct program *)a)->ipc == ((const struct program *)b)->ipc || equal_printed(o, a, b);
}

static int set_ipc(struct setting *s, const char *text)
{
    bool on;
    int mode = IPC_FALSE;
    if (parse_bool(text, &on) == 0)
        mode = on ? IPC_TRUE : IPC_FALSE;
    else if (strcmp(text, "advanced") == 0)
        return setting_refuse(s, "\"advanced\" is V8's own form, which only Node reads; write json");
    else if (strtab_value(modes, ELEMENTS(modes), text, &mode) < 0)
        return setting_refuse(s, "\"%s\" is neither true, false nor json", text);
    if (mode == (int)ipc_settings_of(s->base)->mode)
        return 0;
    struct ipc_settings *i = ipc_edit(s);
    if (i == NULL)
        return -ENOMEM;
    i->mode = (enum ipc_mode)mode;
    return 0;
}

static bool print_ipc(const struct option *o, const void *base, struct buf *out)
{
    (void)o;
    buf_puts(out, strtab_name(modes, ELEMENTS(modes), (int)ipc_settings_of(base)->mode));
    return true;
}

const struct option_kind kind_ipc = { "true, false or json", SHAPE_STRING, set_ipc, print_ipc, ipc_equal };

/* --- ipc_max_message, ipc_queue_bytes, ipc_queue_messages ------------------------- */

enum limit { MAX_MESSAGE, QUEUE_BYTES, QUEUE_MESSAGES };

static enum limit limit_of(const struct option *o)
{
    return strcmp(o->name, "ipc_max_message") == 0   ? MAX_MESSAGE
           : strcmp(o->name, "ipc_queue_bytes") == 0 ? QUEUE_BYTES
                                                     : QUEUE_MESSAGES;
}

static uint64_t limit_get(const struct ipc_settings *i, enum limit limit)
{
    return limit == MAX_MESSAGE ? i->max_message : limit == QUEUE_BYTES ? i->queue_bytes : i->queue_messages;
}

static int set_limit(struct setting *s, const char *text)
{
    enum limit limit = limit_of(s->option);
    int64_t value;
    int r = limit == QUEUE_MESSAGES ? parse_int(text, &value) : parse_size(text, &value);
    if (r < 0 || value < s->option->min || value > s->option->max)
        return setting_refuse(s, "\"%s\" is not %s from %" PRId64 " to %" PRId64, text,
                              limit == QUEUE_MESSAGES ? "a number" : "a size", s->option->min, s->option->max);
    if ((uint64_t)value == limit_get(ipc_settings_of(s->base), limit))
        return 0;
    struct ipc_settings *i = ipc_edit(s);
    if (i == NULL)
        return -ENOMEM;
    if (limit == MAX_MESSAGE)
        i->max_message = (uint64_t)value;
    else if (limit == QUEUE_BYTES)
        i->queue_bytes = (uint64_t)value;
    else
        i->queue_messages = (uint32_t)value;
    return 0;
}

static bool print_limit(const struct option *o, const void *base, struct buf *out)
{
    buf_printf(out, "%" PRIu64, limit_get(ipc_settings_of(base), limit_of(o)));
    return true;
}

const struct option_kind kind_ipc_size = { "bytes, or a number with KB, MB or GB", SHAPE_LITERAL, set_limit,
                                           print_limit, ipc_equal };
const struct option_kind kind_ipc_count = { "a number", SHAPE_LITERAL, set_limit, print_limit, ipc_equal };
