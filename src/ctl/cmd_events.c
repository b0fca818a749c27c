/* cmd_events.c - `events`: what happened to processes, one JSON object a line. */
#include "ctl/ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "ctl/lines.h"
#include "ctl/render.h"
#include "ctl/source.h"

static void events_run(struct ctl *c, const struct ctl_words *words);

const struct ctl_command ctl_cmd_events = {
    .name = "events",
    .args = "[-f] [--since N] [NAME...]",
    .summary = "shows what happened to processes, one JSON object a line",
    .help = "    the daemon keeps the last 4096 events; --since N shows those after number N\n"
            "    -f goes on with what happens, until Ctrl-C\n",
    .flags = CTL_UPCHECK | CTL_PROCESSES | CTL_OPTIONS,
    .fn = events_run,
};

struct events {
    struct source source;
    struct render render;
    struct lines lines;
    unsigned answers;
    size_t shown;
};

/* {"seq":N,... or {"event":"gap","missed":N... */
static void events_line(void *arg, const char *line, size_t len)
{
    static const char seq[] = "{\"seq\":", gap[] = "{\"event\":\"gap\",\"missed\":";
    struct events *e = arg;
    if (len >= sizeof(seq) && memcmp(line, seq, sizeof(seq) - 1) == 0)
        e->source.at = strtoll(line + sizeof(seq) - 1, NULL, 10);
    else if (e->answers > 1 && len >= sizeof(gap) && memcmp(line, gap, sizeof(gap) - 1) == 0)
        ctl_note(e->source.ctl, "events: the daemon was replaced; %lld are missing here",
                 strtoll(line + sizeof(gap) - 1, NULL, 10));
    e->shown++;
    render_bytes(&e->render, line, len);
    render_bytes(&e->render, "\n", 1);
}

static int events_sink(void *arg, const char *data, size_t len)
{
    struct events *e = arg;
    int r = lines_add(&e->lines, data, len);
    return r < 0 ? r : fflush(stdout) != 0 ? -EPIPE : 0;
}

static void events_anew(void *arg)
{
    struct events *e = arg;
    e->answers++;
    buf_reset(&e->lines.rest);
}

/* The words become the query; false when one of them is wrong. */
static bool events_query(struct ctl *c, const struct ctl_words *words, struct buf *query, bool *follow)
{
    for (size_t i = 0; i < words->n; i++) {
        const char *word = words->list[i], *since = NULL;
        int64_t n;
        if (strcmp(word, "-f") == 0) {
            *follow = true;
            continue;
        }
        if (strncmp(word, "--since=", 8) == 0)
            since = word + 8;
        else if (strcmp(word, "--since") == 0)
            since = i + 1 < words->n ? words->list[++i] : "";
        if (since != NULL && parse_int(since, &n) == 0 && n >= 0) {
            buf_printf(query, "&since=%lld", (long long)n);
        } else if (since != NULL || *word == '-') {
            ctl_usage(c, CTL_INVALID_ARGS, "Error: bad argument %s", since != NULL && *since != '\0' ? since : word);
            return false;
        } else if (strcmp(word, "all") != 0) {
            ask_path(query, "&match=", word, "");
        }
    }
    return query->error == 0;
}

/* Nothing is known of these names: either nothing has happened to them, or they are nobody's. */
static void events_none(struct ctl *c, const struct ctl_words *words)
{
    json_t *list = json_array();
    int e = 0;
    for (size_t i = 0; i < words->n && e >= 0; i++)
        if (strcmp(words->list[i], "all") != 0)
            e = ask_processes(c, words->list[i], "name", CTL_GENERIC, list);
    json_decref(list);
}

static void events_run(struct ctl *c, const struct ctl_words *words)
{
    _cleanup_buf_ struct buf query = BUF_INIT(CTL_LINE_LIMIT), path = BUF_INIT(CTL_LINE_LIMIT);
    bool follow = false;
    if (!events_query(c, words, &query, &follow))
        return;
    buf_printf(&path, "/v1/events?follow=%d%s", follow, query.data != NULL ? query.data : "");
    if (path.error < 0)
        return;
    if (follow)
        ctl_catch_interrupt(c);
    struct events ev = { .source = { .ctl = c, .what = "events", .path = path.data, .first = "", .blind = "" } };
    ev.source.sink = events_sink;
    ev.source.anew = events_anew;
    ev.source.arg = &ev;
    ev.source.follow = follow;
    render_init(&ev.render, stdout, c->terminal);
    lines_init(&ev.lines, events_line, &ev);
    _cleanup_answer_ struct answer a = { 0 };
    int e = ask_source(c, &ev.source, &a);
    lines_end(&ev.lines);
    render_end(&ev.render);
    if (e == -EINTR && follow)
        ctl_status(c, CTL_OK);
    else if (e == 0 && a.status != 200)
        answer_complain(c, &a, "events");
    else if (e == 0 && follow)
        ctl_note(c, "%s: the daemon has ended the stream", c->endpoint.url);
    else if (e == 0 && ev.shown == 0 && strstr(path.data, "&since=") == NULL)
        events_none(c, words);
    if (e == 0 && (a.status != 200 || follow))
        ctl_status(c, CTL_GENERIC);
}
