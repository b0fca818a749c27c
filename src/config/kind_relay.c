/* kind_relay.c - messages between programs: relay, send_to, accept_from, control,
 * ipc_wait, ipc_handles.
 *
 * They live where kind_ipc.c keeps the channel's limits.  Names of programs are not
 * looked up: a program may be added later. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "base/strtab.h"
#include "config/kind.h"
#include "config/setting.h"

/* --- relay ----------------------------------------------------------------------- */

static int set_relay(struct setting *s, const char *text)
{
    bool on;
    if (parse_bool(text, &on) < 0)
        return setting_refuse(s, "\"%s\" is neither true nor false", text);
    if (on == ipc_settings_of(s->base)->relay)
        return 0;
    struct ipc_settings *i = ipc_edit(s);
    if (i == NULL)
        return -ENOMEM;
    i->relay = on;
    return 0;
}

static bool print_relay(const struct option *o, const void *base, struct buf *out)
{
    (void)o;
    buf_puts(out, ipc_settings_of(base)->relay ? "true" : "false");
    return true;
}

const struct option_kind kind_relay = { "true or false", SHAPE_LITERAL, set_relay, print_relay, ipc_equal };

/* --- send_to, accept_from ---------------------------------------------------------- */

static bool is_send_to(const struct option *o)
{
    return strcmp(o->name, "send_to") == 0;
}

/* Names, copied; NULL without memory or after a refusal, when *error says which. */
static const char *const *keep_names(struct setting *s, const char *text, int *error)
{
    const char **words;
    size_t n = split_list(s->l, text, &words);
    const char **names = arena_new_array(s->l->keep, n + 1, const char *);
    *error = names == NULL ? -ENOMEM : 0;
    for (size_t i = 0; i < n && *error == 0; i++) {
        if (*words[i] == '\0' || strpbrk(words[i], ":@$") != NULL)
            *error = setting_refuse(s, "\"%s\" is not the name of a program or group", words[i]);
        names[i] = arena_string(s->l->keep, words[i]);
    }
    return *error == 0 ? names : NULL;
}

static int set_names(struct setting *s, const char *text)
{
    const char *const *names = NULL;
    int error = 0;
    if (strcmp(text, "*") != 0)
        names = keep_names(s, text, &error);
    if (error < 0)
        return error;
    const struct ipc_settings *now = ipc_settings_of(s->base);
    if (names == NULL && (is_send_to(s->option) ? now->send_to : now->accept_from) == NULL)
        return 0;
    struct ipc_settings *i = ipc_edit(s);
    if (i == NULL)
        return -ENOMEM;
    *(is_send_to(s->option) ? &i->send_to : &i->accept_from) = names;
    return 0;
}

static void print_list(const char *const *names, struct buf *out)
{
    buf_puts(out, ""); /* an empty list is a value too */
    for (size_t i = 0; names[i] != NULL; i++)
        buf_printf(out, "%s%s", i > 0 ? "," : "", names[i]);
}

static bool print_names(const struct option *o, const void *base, struct buf *out)
{
    const struct ipc_settings *i = ipc_settings_of(base);
    const char *const *names = is_send_to(o) ? i->send_to : i->accept_from;
    if (names == NULL)
        buf_puts(out, "*");
    else
        print_list(names, out);
    return true;
}

const struct option_kind kind_names = { "names of programs and groups, or *", SHAPE_STRING, set_names, print_names,
                                        ipc_equal };

/* --- control ----------------------------------------------------------------------- */

static const struct strtab controls[] = {
    { "none", IPC_CONTROL_NONE },
    { "read", IPC_CONTROL_READ },
    { "self", IPC_CONTROL_SELF },
    { "all", IPC_CONTROL_ALL },
};

static int set_control(struct setting *s, const char *text)
{
    const char *const *names = NULL;
    int value = IPC_CONTROL_LIST, error = 0;
    if (strtab_value(controls, ELEMENTS(controls), text, &value) < 0) {
        names = keep_names(s, text, &error);
        if (error == 0 && names[0] == NULL)
            error = setting_refuse(s, "is empty; write none, read, self, all or names of programs");
    }
    if (error < 0 || (names == NULL && value == (int)ipc_settings_of(s->base)->control))
        return error;
    struct ipc_settings *i = ipc_edit(s);
    if (i == NULL)
        return -ENOMEM;
    i->control = (enum ipc_control)value;
    i->control_names = names;
    return 0;
}

static bool print_control(const struct option *o, const void *base, struct buf *out)
{
    (void)o;
    const struct ipc_settings *i = ipc_settings_of(base);
    if (i->control == IPC_CONTROL_LIST)
        print_list(i->control_names, out);
    else
        buf_puts(out, strtab_name(controls, ELEMENTS(controls), (int)i->control));
    return true;
}

const struct option_kind kind_control = { "none, read, self, all, or names of programs and groups", SHAPE_STRING,
                                          set_control, print_control, ipc_equal };

/* --- ipc_wait, ipc_handles ------------------------------------------------------------ */

#define WAIT_MOST (60 * USEC_PER_SEC)

static int set_wait(struct setting *s, const char *text)
{
    usec_t value;
    if (parse_duration(text, &value) < 0 || value > WAIT_MOST)
        return setting_refuse(s, "\"%s\" is not a time up to a minute, such as 100ms", text);
    if (value == ipc_settings_of(s->base)->wait)
        return 0;
    struct ipc_settings *i = ipc_edit(s);
    if (i == NULL)
        return -ENOMEM;
    i->wait = value;
    return 0;
}

static bool print_wait(const struct option *o, const void *base, struct buf *out)
{
    (void)o;
    print_duration(out, ipc_settings_of(base)->wait);
    return true;
}

const struct option_kind kind_ipc_wait = { "seconds, or a number with ms, s, m, h or d", SHAPE_LITERAL, set_wait,
                                           print_wait, ipc_equal };

static const struct strtab handles[] = {
    { "node", IPC_HANDLES_NODE },
    { "any", IPC_HANDLES_ANY },
    { "none", IPC_HANDLES_NONE },
};

static int set_handles(struct setting *s, const char *text)
{
    int value;
    if (strtab_value(handles, ELEMENTS(handles), text, &value) < 0)
        return setting_refuse(s, "\"%s\" is none of node, any, none", text);
    if (value == (int)ipc_settings_of(s->base)->handles)
        return 0;
    struct ipc_settings *i = ipc_edit(s);
    if (i == NULL)
        return -ENOMEM;
    i->handles = (enum ipc_handles)value;
    return 0;
}

static bool print_handles(const struct option *o, const void *base, struct buf *out)
{
    (void)o;
    buf_puts(out, strtab_name(handles, ELEMENTS(handles), (int)ipc_settings_of(base)->handles));
    return true;
}

const struct option_kind kind_ipc_handles = { "node, any or none", SHAPE_STRING, set_handles, print_handles,
                                              ipc_equal };
