/* complete.c - see complete.h.
 *
 * Names come from the daemon, quietly: while a line is edited there is no place
 * for messages, so without an answer within two seconds there are no names. */
#include "ctl/complete.h"

#include <string.h>

#include "base/cleanup.h"
#include "ctl/ask.h"

#define COMPLETE_MAX 20000
#define COMPLETE_PATIENCE (2 * USEC_PER_SEC)

static void complete_clear(struct complete *c)
{
    for (size_t i = 0; i < c->n; i++)
        free(c->words[i]);
    free(c->words);
    c->words = NULL;
    c->n = 0;
}

void complete_forget(struct complete *c)
{
    complete_clear(c);
    json_decref(c->processes);
    c->processes = NULL;
}

void complete_done(struct complete *c)
{
    complete_forget(c);
}

/* Names with control characters are not offered: they could not be typed. */
static bool complete_is_plain(const char *word)
{
    for (; *word != '\0'; word++)
        if ((unsigned char)*word <= ' ' || *word == 0x7f)
            return false;
    return true;
}

static void complete_add(struct complete *c, const char *prefix, size_t len, const char *word)
{
    if (strncmp(word, prefix, len) != 0 || c->n == COMPLETE_MAX || !complete_is_plain(word))
        return;
    if ((c->n & (c->n - 1)) == 0) {
        char **more = realloc(c->words, (c->n == 0 ? 1 : 2 * c->n) * sizeof(*more));
        if (more == NULL)
            return;
        c->words = more;
    }
    if ((c->words[c->n] = strdup(word)) != NULL)
        c->n++;
}

static const json_t *complete_processes(struct complete *c, struct ctl *ctl)
{
    if (c->processes != NULL)
        return json_object_get(c->processes, "processes");
    struct reply r;
    struct client_request q = { .method = "GET",
                                .path = "/v1/processes?fields=name,group",
                                .patience = COMPLETE_PATIENCE };
    reply_init(&r, NULL, NULL);
    if (client_call(ctl->client, &q, &r) == 0 && r.status == 200 && r.body.data != NULL)
        c->processes = ask_parse(r.body.data, r.body.len);
    reply_done(&r);
    return json_object_get(c->processes, "processes");
}

static void complete_names(struct complete *c, struct ctl *ctl, bool groups, const char *prefix, size_t len)
{
    size_t i;
    const json_t *p;
    json_array_foreach(complete_processes(c, ctl), i, p)
    {
        _cleanup_buf_ struct buf word = BUF_INIT(CTL_LINE_LIMIT);
        const char *group = ask_string(p, "group", ""), *name = ask_string(p, "name", "");
        if (groups) {
            complete_add(c, prefix, len, group);
            continue;
        }
        bool full = strcmp(group, name) != 0 || memchr(prefix, ':', len) != NULL;
        buf_printf(&word, full ? "%s:%s" : "%s", group, name);
        if (word.error < 0)
            continue;
        complete_add(c, prefix, len, word.data);
        if (full) {
            buf_reset(&word);
            buf_printf(&word, "%s:*", group);
            complete_add(c, prefix, len, word.data != NULL ? word.data : "");
        }
    }
}

static int complete_compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, each once. */
static void complete_sort(struct complete *c)
{
    size_t kept = 0;
    if (c->n == 0)
        return;
    qsort(c->words, c->n, sizeof(*c->words), complete_compare);
    for (size_t i = 1; i < c->n; i++) {
        if (strcmp(c->words[kept], c->words[i]) == 0)
            free(c->words[i]);
        else
            c->words[++kept] = c->words[i];
    }
    c->n = kept + 1;
}

size_t complete_find(struct complete *c, struct ctl *ctl, const char *line, size_t len)
{
    size_t verb = 0, start = len, n;
    complete_clear(c);
    while (verb < len && (line[verb] == ' ' || line[verb] == '\t'))
        verb++;
    while (start > verb && line[start - 1] != ' ' && line[start - 1] != '\t')
        start--;
    const struct ctl_command *const *all = ctl_commands(&n);
    const struct ctl_command *command = NULL;
    size_t end = verb;
    while (end < start && line[end] != ' ' && line[end] != '\t')
        end++;
    if (end > verb)
        command = ctl_command_find(line + verb, end - verb);
    for (size_t i = 0; i < n; i++)
        if (start == verb || (command != NULL && (command->flags & CTL_VERBS)))
            complete_add(c, line + start, len - start, all[i]->name);
    if (command != NULL && (command->flags & (CTL_PROCESSES | CTL_GROUPS)))
        complete_names(c, ctl, command->flags & CTL_GROUPS, line + start, len - start);
    complete_sort(c);
    return start;
}
