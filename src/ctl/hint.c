/* hint.c - see hint.h.
 *
 * The error itself is supervisorctl's and has been printed; this goes to standard
 * error, and only when there is something better to say than the error says.  The
 * names are asked for once more and quietly: whoever mistypes can wait for that, and
 * a daemon that does not answer has been complained of already. */
#include "ctl/hint.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/strtab.h"
#include "ctl/ask.h"
#include "ctl/names.h"

#define HINT_PATIENCE (2 * USEC_PER_SEC)
#define HINT_NAMES 20000

static json_t *hint_processes(struct ctl *c)
{
    struct reply r;
    struct client_request q = { .method = "GET", .path = "/v1/processes?fields=name,group", .patience = HINT_PATIENCE };
    json_t *json = NULL;
    reply_init(&r, NULL, NULL);
    if (client_call(c->client, &q, &r) == 0 && r.status == 200 && r.body.data != NULL)
        json = ask_parse(r.body.data, r.body.len);
    reply_done(&r);
    return json;
}

/* The first process of a group, as it is typed. */
static const char *hint_member(const json_t *list, const char *group, size_t len, struct buf *out)
{
    size_t i;
    const json_t *p;
    json_array_foreach(list, i, p)
    {
        const char *of = ask_string(p, "group", "");
        if (strlen(of) == len && strncmp(of, group, len) == 0)
            return ctl_namespec(out, p);
    }
    return NULL;
}

/* The process that has this name in a group of another. */
static const char *hint_elsewhere(const json_t *list, const char *name, struct buf *out)
{
    size_t i;
    const json_t *p;
    json_array_foreach(list, i, p) if (strcmp(ask_string(p, "name", ""), name) == 0) return ctl_namespec(out, p);
    return NULL;
}

/* Names of processes as they are typed, and of groups; each with its NUL. */
static void hint_add(const json_t *list, struct buf *all)
{
    size_t i;
    const json_t *p;
    _cleanup_buf_ struct buf word = BUF_INIT(CTL_LINE_LIMIT);
    json_array_foreach(list, i, p)
    {
        const char *group = ask_string(p, "group", ""), *name = ask_string(p, "name", "");
        ctl_namespec(&word, p);
        buf_add(all, word.data, word.len + 1);
        if (strcmp(group, name) != 0)
            buf_add(all, group, strlen(group) + 1);
    }
}

/* What is written most like it. */
static const char *hint_nearest(const json_t *list, const char *name, struct buf *out)
{
    size_t n = 0, room = 2 * json_array_size(list);
    _cleanup_free_ const char **names = calloc(room + 1, sizeof(*names));
    _cleanup_buf_ struct buf all = BUF_INIT(CTL_LINE_LIMIT);
    _cleanup_free_ char *word = strndup(name, name_shown_length(name));
    if (names == NULL || word == NULL || room > HINT_NAMES)
        return NULL;
    hint_add(list, &all);
    for (size_t at = 0; all.error == 0 && at < all.len && n < room; at += strlen(all.data + at) + 1)
        names[n++] = all.data + at;
    const char *nearest = strtab_nearest(names, word), *member = NULL;
    if (nearest == NULL)
        return NULL;
    if (strchr(nearest, ':') == NULL)
        member = hint_member(list, nearest, strlen(nearest), out);
    bool group = name_is_group(name) || (member != NULL && strcmp(member, nearest) != 0);
    buf_reset(out);
    buf_printf(out, "%s%s", nearest, group && strchr(nearest, ':') == NULL ? ":*" : "");
    return out->data;
}

void hint_name(struct ctl *c, const char *name)
{
    _cleanup_buf_ struct buf spec = BUF_INIT(CTL_LINE_LIMIT);
    if (c->json || c->quiet || c->hinted || name_is_glob(name))
        return;
    c->hinted = true;
    json_t *json = hint_processes(c);
    const json_t *list = json_object_get(json, "processes");
    const char *found = hint_member(list, name, name_shown_length(name), &spec);
    if (found != NULL && (c->command->flags & CTL_ONE_PROCESS))
        ctl_note(c, "%s takes the name of one process, such as %s", c->command->name, found);
    else if (found != NULL)
        ctl_note(c, "%s is a group; write %s:* for all of it, or %s", name, name, found);
    else if ((found = hint_elsewhere(list, name, &spec)) != NULL || (found = hint_nearest(list, name, &spec)) != NULL)
        ctl_note(c, "did you mean %s", found);
    json_decref(json);
}

void hint_connection(struct ctl *c, int error)
{
    if (c->json || c->quiet || c->interactive)
        return;
    if (error == -EACCES)
        ctl_note(c,
                 "whom it lets in is a matter of chmod and chown in [unix_http_server], and of the directories above");
    else if (error == -ENOENT || error == -ECONNREFUSED)
        ctl_note(c, "is droverd running? nobody listens there; droverd -c FILE starts it");
}

void hint_verb(struct ctl *c, const char *verb)
{
    size_t n;
    const struct ctl_command *const *commands = ctl_commands(&n);
    _cleanup_free_ const char **names = calloc(n + 1, sizeof(*names));
    for (size_t i = 0; names != NULL && i < n; i++)
        names[i] = commands[i]->name;
    const char *nearest = names != NULL ? strtab_nearest(names, verb) : NULL;
    if (nearest != NULL)
        ctl_note(c, "did you mean %s; help lists the verbs", nearest);
    else
        ctl_note(c, "help lists the verbs");
}
