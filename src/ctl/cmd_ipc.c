/* cmd_ipc.c - `ipc`: the channels of processes, one line each: what went through them,
 * what waits, what was refused. */
#include "ctl/ask.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/names.h"
#include "ctl/render.h"
#include "ctl/source.h"

static void ipc_run(struct ctl *c, const struct ctl_words *words);

const struct ctl_command ctl_cmd_ipc = {
    .name = "ipc",
    .args = "[NAME...] | --trace [--errors] [NAME]",
    .summary = "shows the channels of processes: messages, queues, what was refused",
    .help = "    channel: open, closed, none, or waits: it is not read, there is no room for\n"
            "    what it sends\n"
            "    received, sent: messages from and to the process; queued: not read yet;\n"
            "    bounced: what it was not given; lost: with a supervisor that was killed;\n"
            "    skipped: lines that were no message; handles: descriptors either way\n"
            "    routed, refused: of its own to others; open: requests not answered yet\n"
            "    --trace shows messages between processes as they pass, until Ctrl-C;\n"
            "    NAME is a pattern for either end, --errors leaves out what was delivered\n",
    .flags = CTL_UPCHECK | CTL_PROCESSES | CTL_OPTIONS,
    .fn = ipc_run,
};

#define IPC_FIELDS "name,group,channel"

static const struct {
    const char *head;
    const char *members[3]; /* of the channel, added up */
    bool of_relay;
} columns[] = {
    { "received", { "received" }, false },
    { "sent", { "sent" }, false },
    { "queued", { "queued" }, false },
    { "bounced", { "bounced" }, false },
    { "lost", { "lost" }, false },
    { "skipped", { "malformed", "oversized", "cut" }, false },
    { "handles", { "handles_received", "handles_sent" }, false },
    { "routed", { "routed" }, true },
    { "refused", { "refused" }, true },
    { "open", { "open" }, true },
};

#define CELL_MAX 24

/* What is there; "-": it takes no part in that. */
static void read_cell(const json_t *channel, size_t column, char cell[CELL_MAX])
{
    const json_t *from = columns[column].of_relay ? json_object_get(channel, "relay") : channel;
    long long sum = 0;
    if (!json_is_object(from)) {
        snprintf(cell, CELL_MAX, "-");
        return;
    }
    for (size_t i = 0; i < ELEMENTS(columns[column].members) && columns[column].members[i] != NULL; i++)
        sum += ask_integer(from, columns[column].members[i], 0);
    snprintf(cell, CELL_MAX, "%lld", sum);
}

static const char *state_of(const json_t *channel)
{
    if (!json_is_object(channel))
        return "none";
    if (!json_is_true(json_object_get(channel, "open")))
        return "closed";
    return json_is_true(json_object_get(json_object_get(channel, "relay"), "waiting")) ? "waits" : "open";
}

struct widths {
    int name, cells[ELEMENTS(columns)];
};

/* As wide as what is in it: most numbers are small, and a terminal is too. */
static void measure(struct widths *w, const json_t *processes)
{
    size_t i;
    const json_t *process;
    char cell[CELL_MAX];
    w->name = ctl_name_width(processes, strlen("process"));
    for (size_t k = 0; k < ELEMENTS(columns); k++)
        w->cells[k] = (int)strlen(columns[k].head);
    json_array_foreach(processes, i, process)
    {
        for (size_t k = 0; k < ELEMENTS(columns); k++) {
            read_cell(json_object_get(process, "channel"), k, cell);
            int width = (int)strlen(cell);
            w->cells[k] = width > w->cells[k] ? width : w->cells[k];
        }
    }
}

static void put_line(struct buf *out, const json_t *process, const struct widths *w)
{
    const json_t *channel = json_object_get(process, "channel");
    char cell[CELL_MAX];
    ctl_put_name(out, process, w->name);
    buf_printf(out, " %-7s", state_of(channel));
    for (size_t k = 0; k < ELEMENTS(columns); k++) {
        read_cell(channel, k, cell);
        buf_printf(out, " %*s", w->cells[k], cell);
    }
    buf_putc(out, '\n');
}

static void show(struct ctl *c, const json_t *processes)
{
    size_t i;
    const json_t *process;
    struct widths w;
    _cleanup_buf_ struct buf line = BUF_INIT(3 * CTL_LINE_LIMIT);
    measure(&w, processes);
    buf_printf(&line, "%-*s %-7s", w.name, "process", "channel");
    for (size_t k = 0; k < ELEMENTS(columns); k++)
        buf_printf(&line, " %*s", w.cells[k], columns[k].head);
    buf_putc(&line, '\n');
    render_text(stdout, c->terminal, line.data, line.len);
    json_array_foreach(processes, i, process)
    {
        buf_reset(&line);
        put_line(&line, process, &w);
        if (line.error == 0)
            render_text(stdout, c->terminal, line.data, line.len);
    }
}

/* Those that have a channel, or had one. */
static json_t *with_channel(const json_t *all)
{
    size_t i;
    json_t *process, *kept = json_array();
    json_array_foreach(all, i, process) if (json_is_object(json_object_get(process, "channel")))
        json_array_append(kept, process);
    return kept;
}

static int trace_sink(void *arg, const char *data, size_t len)
{
    render_bytes(arg, data, len);
    return fflush(stdout) != 0 ? -EPIPE : 0;
}

/* Messages as they pass, until Ctrl-C. */
static void trace(struct ctl *c, const char *match, bool errors)
{
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
    _cleanup_answer_ struct answer a = { 0 };
    struct render render;
    buf_printf(&path, "/v1/relay?errors=%d", errors);
    if (match != NULL)
        ask_path(&path, "&match=", match, "");
    if (path.error < 0)
        return;
    ctl_catch_interrupt(c);
    render_init(&render, stdout, c->terminal);
    struct source source = { .ctl = c, .what = "ipc", .path = path.data, .first = "", .blind = "" };
    source.sink = trace_sink;
    source.arg = &render;
    source.follow = true;
    int e = ask_source(c, &source, &a);
    render_end(&render);
    if (e == -EINTR)
        ctl_status(c, CTL_OK);
    else if (e == 0 && a.status != 200)
        answer_complain(c, &a, "ipc");
    else if (e == 0)
        ctl_note(c, "%s: the daemon has ended the stream", c->endpoint.url);
    if (e == 0)
        ctl_status(c, CTL_GENERIC);
}

/* False: it was the other form, or a word is wrong. */
static bool is_table(struct ctl *c, const struct ctl_words *words)
{
    bool tracing = false, errors = false;
    const char *match = NULL;
    for (size_t i = 0; i < words->n; i++) {
        const char *word = words->list[i];
        if (strcmp(word, "--trace") == 0)
            tracing = true;
        else if (strcmp(word, "--errors") == 0)
            errors = true;
        else if (*word == '-' || (tracing && match != NULL)) {
            ctl_usage(c, CTL_INVALID_ARGS, "Error: bad argument %s", word);
            return false;
        } else if (strcmp(word, "all") != 0)
            match = word;
    }
    if (tracing)
        trace(c, match, errors);
    else if (errors)
        ctl_usage(c, CTL_INVALID_ARGS, "Error: --errors is for --trace");
    return !tracing && !errors;
}

static void ipc_run(struct ctl *c, const struct ctl_words *words)
{
    if (!is_table(c, words))
        return;
    bool everybody = words->n == 0 || names_have_all(words);
    json_t *all = json_array();
    int e = everybody ? ask_processes(c, NULL, IPC_FIELDS, CTL_GENERIC, all) : 0;
    for (size_t i = 0; !everybody && i < words->n && e >= 0; i++)
        e = ask_processes(c, words->list[i], IPC_FIELDS, CTL_GENERIC, all);
    if (e >= 0) {
        json_t *shown = everybody ? with_channel(all) : json_incref(all);
        if (!c->quiet && !c->json && json_array_size(shown) > 0)
            show(c, shown);
        else if (!c->quiet && !c->json && everybody)
            ctl_note(c, "ipc: no process has a channel; ipc = true or relay = true gives its program one");
        c->results = shown;
        ctl_flush(c, "processes");
    }
    json_decref(all);
}
