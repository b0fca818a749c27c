/* cmd_logs.c - `logs`: what several processes print, both streams, line by line.
 *
 * First the last lines of each log, then, with -f, one connection a stream from
 * exactly the byte where the first reading ended, so that no line is lost or
 * shown twice.  More streams than the daemon has connections for are looked at
 * once a second instead, one after the other on one connection.  Lines are put out
 * whole: those of two processes never mix. */
#include "ctl/logs.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "core/stdio_list.h"
#include "ctl/render.h"

static void logs_run(struct ctl *c, const struct ctl_words *words);

const struct ctl_command ctl_cmd_logs = {
    .name = "logs",
    .args = "[-f] [-n LINES] [--since TIME] [--fd N] NAME...",
    .summary = "shows the last lines of what processes print, stdout and stderr",
    .help = "    -n LINES of each stream, 10 when it is not given\n"
            "    --since 10m, or a time like 08:30 or 2031-05-17T08:30:00Z, shows all lines\n"
            "    from then on, by the time that log_format=timestamp or json has written in\n"
            "    them; a raw log has none, and is refused\n"
            "    --fd N shows what comes from descriptor N, a pipe of the key stdio;\n"
            "    without it 1 and 2\n"
            "    -f goes on with what comes, until Ctrl-C\n"
            "    a line of stderr has ! in place of |\n",
    .flags = CTL_UPCHECK | CTL_PROCESSES | CTL_OPTIONS,
    .fn = logs_run,
};

#define LOGS_LINES 10
#define LOGS_CHUNK (16 * 1024)
#define LOGS_LOOK_MS 1000

static void logs_json(struct logs_stream *s, const char *line, size_t len)
{
    json_t *text = json_stringn(line, len);
    const char *key = "line";
    if (text == NULL) {
        _cleanup_buf_ struct buf encoded = BUF_INIT(2 * LINES_MAX);
        client_base64(&encoded, line, len);
        text = json_string(encoded.data != NULL ? encoded.data : "");
        key = "line_base64";
    }
    json_t *object = json_pack("{s:s, s:s, s:o}", "process", s->process->name, "stream",
                               s->is_stderr ? "stderr" : "stdout", key, text);
    ctl_print_json(s->ctl, object);
    json_decref(object);
}

static void logs_line(void *arg, const char *line, size_t len)
{
    static const unsigned colours[] = { 36, 33, 32, 35, 34, 31 };
    struct logs_stream *s = arg;
    const struct logs_process *p = s->process;
    int order;
    if (s->waits != NULL && (!since_compare(s->waits, line, len, &order) || order < 0))
        return;
    s->waits = NULL;
    if (s->ctl->json) {
        logs_json(s, line, len);
        return;
    }
    bool terminal = s->ctl->terminal;
    if (terminal)
        printf("\033[%um", colours[p->colour % ELEMENTS(colours)]);
    render_text(stdout, terminal, p->name, strlen(p->name));
    int pad = p->width - (int)render_width(p->name);
    printf("%*s%s %c ", pad > 0 ? pad : 0, "", terminal ? "\033[0m" : "", s->is_stderr ? '!' : '|');
    if (terminal && len > 0 && line[len - 1] == '\r')
        len--;
    render_text(stdout, terminal, line, len);
    putc('\n', stdout);
}

static int logs_sink(void *arg, const char *data, size_t len)
{
    return lines_add(arg, data, len);
}

int logs_path(struct buf *path, const struct logs_stream *s)
{
    ask_path(path, "/v1/processes/", s->process->name, "/log?");
    if (s->fd > 0)
        buf_printf(path, "fd=%lld", (long long)s->fd);
    else
        buf_printf(path, "stream=%s", s->is_stderr ? "stderr" : "stdout");
    return path->error;
}

/* What is there from that offset on, in the body of the answer. */
static int logs_ask(struct logs_stream *s, int64_t offset, int64_t most, struct answer *a)
{
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
    logs_path(&path, s);
    buf_printf(&path, "&offset=%lld&length=%lld", (long long)offset, (long long)most);
    struct client_request q = { .method = "GET", .path = path.data, .patience = CLIENT_PATIENCE };
    return path.error < 0 ? path.error : ask_as_is(s->ctl, &q, a);
}

/* Where the last `lines` lines begin, or (size_t)-1 when `data` may not hold them all. */
static size_t logs_find(const char *data, size_t len, int64_t lines, bool whole)
{
    size_t i = len;
    if (i > 0 && data[i - 1] == '\n')
        i--;
    for (; i > 0; i--)
        if (data[i - 1] == '\n' && --lines == 0)
            return i;
    return whole ? 0 : (size_t)-1;
}

void logs_came(struct logs_stream *s, const struct answer *a)
{
    source_place(&s->source, a->place);
    s->source.at += (int64_t)a->body.len;
}

int logs_refused(struct logs_stream *s, const struct answer *a)
{
    const char *why = ask_string(a->error, "detail", NULL);
    s->exists = false;
    if (strcmp(answer_fault(a), "NO_FILE") != 0) {
        answer_complain(s->ctl, a, s->process->name);
        return -EPROTO;
    }
    s->exists = why == NULL;
    s->never = why != NULL ? strdup(why) : NULL;
    return 0;
}

/* Reads the last `bytes` and shows the last lines of them: 1 done, 0 more bytes are needed. */
static int logs_try(struct logs *l, struct logs_stream *s, int64_t bytes)
{
    _cleanup_answer_ struct answer a = { 0 };
    int e = logs_ask(s, -bytes, 0, &a);
    if (e < 0)
        return e;
    s->exists = true;
    if (a.status != 200) {
        logs_refused(s, &a);
        return 1;
    }
    int64_t start = a.size > bytes ? a.size - bytes : 0;
    size_t from = l->n_lines > 0 ? logs_find(a.body.data, a.body.len, l->n_lines, start == 0 || bytes >= LOGS_CHUNK_MAX)
                                 : a.body.len;
    if (from == (size_t)-1)
        return 0;
    s->next = start + (int64_t)a.body.len;
    logs_came(s, &a);
    if (a.body.len > from)
        e = lines_add(&s->lines, a.body.data + from, a.body.len - from);
    return e < 0 ? e : 1;
}

static int logs_last(struct logs *l, struct logs_stream *s)
{
    int e = 0;
    for (int64_t bytes = LOGS_CHUNK; e == 0; bytes *= 8)
        e = logs_try(l, s, bytes < LOGS_CHUNK_MAX ? bytes : LOGS_CHUNK_MAX);
    return e;
}

int logs_more(struct logs_stream *s)
{
    for (;;) {
        _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
        _cleanup_answer_ struct answer a = { 0 };
        logs_path(&path, s);
        if (s->source.place[0] != '\0')
            buf_printf(&path, "&from=%s:%lld", s->source.place, (long long)s->source.at);
        else
            buf_puts(&path, "&offset=0");
        struct client_request q = { .method = "GET", .path = path.data, .patience = CLIENT_PATIENCE };
        int e = path.error < 0 ? path.error : ask_as_is(s->ctl, &q, &a);
        if (e < 0 || a.status != 200 || a.body.len == 0)
            return e;
        logs_came(s, &a);
        e = lines_add(&s->lines, a.body.data, a.body.len);
        if (e < 0)
            return e;
    }
}

static void logs_poll(struct logs *l)
{
    struct pollfd p = { .fd = -1, .events = POLLIN };
    int e = 0;
    ctl_catch_interrupt(l->ctl);
    p.fd = l->ctl->interrupt_fd;
    while (e >= 0) {
        for (size_t i = 0; i < l->n && e >= 0; i++)
            for (size_t k = 0; k < l->n_streams && e >= 0; k++)
                e = logs_more(&l->processes[i].streams[k]);
        fflush(stdout);
        if (e >= 0 && poll(&p, 1, LOGS_LOOK_MS) > 0)
            return;
    }
}

static int logs_follow_one(struct follow *f, struct logs_stream *s)
{
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
    logs_path(&path, s);
    buf_puts(&path, "&follow=1");
    s->path = path.error == 0 ? buf_steal(&path) : NULL;
    if (s->path == NULL)
        return -ENOMEM;
    s->source.ctl = s->ctl;
    s->source.what = s->process->name;
    s->source.path = s->path;
    s->source.first = s->source.blind = "&offset=0&live=1";
    s->source.sink = logs_sink;
    s->source.arg = &s->lines;
    s->source.follow = true;
    return follow_add(f, &s->source);
}

static void logs_follow(struct logs *l)
{
    struct follow *f = calloc(1, sizeof(*f));
    if (f == NULL)
        return;
    f->ctl = l->ctl;
    ctl_catch_interrupt(l->ctl);
    int e = 0;
    for (size_t i = 0; i < l->n && e == 0; i++)
        for (size_t k = 0; k < l->n_streams && e == 0; k++) {
            struct logs_stream *s = &l->processes[i].streams[k];
            if (s->exists)
                e = logs_follow_one(f, s);
        }
    fflush(stdout);
    if (e == 0)
        e = follow_run(f, -1, NULL, NULL);
    if (e == 0 && f->n > 0) {
        ctl_note(l->ctl, "%s: the daemon has ended the streams", l->ctl->endpoint.url);
        ctl_status(l->ctl, CTL_GENERIC);
    }
    follow_done(f);
    free(f);
}

static void logs_stream_free(struct logs_stream *s)
{
    lines_end(&s->lines);
    free(s->path);
    free(s->never);
}

static void logs_free(struct logs *l)
{
    for (size_t i = 0; i < l->n; i++) {
        for (size_t k = 0; k < l->n_streams; k++)
            logs_stream_free(&l->processes[i].streams[k]);
        free(l->processes[i].name);
    }
    free(l->processes);
}

static int logs_prepare(struct logs *l, const json_t *list)
{
    size_t i, width = 0;
    const json_t *p;
    l->processes = calloc(json_array_size(list) + 1, sizeof(*l->processes));
    if (l->processes == NULL)
        return -ENOMEM;
    json_array_foreach(list, i, p)
    {
        struct logs_process *lp = &l->processes[l->n];
        _cleanup_buf_ struct buf name = BUF_INIT(CTL_LINE_LIMIT);
        lp->name = strdup(ctl_namespec(&name, p));
        if (lp->name == NULL)
            return -ENOMEM;
        lp->colour = (unsigned)l->n++;
        if (render_width(lp->name) > width)
            width = render_width(lp->name);
        for (size_t k = 0; k < l->n_streams; k++) {
            lp->streams[k] = (struct logs_stream){ .ctl = l->ctl, .process = lp, .is_stderr = k == 1, .fd = l->fd };
            lines_init(&lp->streams[k].lines, logs_line, &lp->streams[k]);
        }
    }
    for (i = 0; i < l->n; i++)
        l->processes[i].width = (int)(width < 1024 ? width : 1024);
    return 0;
}

/* A process of which nothing can be shown, now or ever, is a mistake of whoever asks. */
static void logs_complain(struct logs *l, const struct logs_process *p)
{
    for (size_t k = 0; k < l->n_streams; k++)
        if (p->streams[k].never == NULL)
            return;
    ctl_fail(l->ctl, "%s: ERROR (no log file; %s)", p->name, p->streams[0].never);
    ctl_status(l->ctl, CTL_GENERIC);
}

static void logs_show(struct logs *l, const json_t *list)
{
    int e = logs_prepare(l, list);
    if (e == 0 && l->follow && l->fd > 0 && l->n > FOLLOW_MAX) { /* nothing is kept of those that could be looked at */
        ctl_note(l->ctl, "logs: %zu descriptors are too many to follow at once; at most %d", l->n, FOLLOW_MAX);
        ctl_status(l->ctl, CTL_GENERIC);
        e = -E2BIG;
    }
    for (size_t i = 0; i < l->n && e >= 0; i++) {
        for (size_t k = 0; k < l->n_streams && e >= 0; k++) {
            e = (l->has_since ? logs_since : logs_last)(l, &l->processes[i].streams[k]);
            if (!l->follow)
                lines_end(&l->processes[i].streams[k].lines);
        }
        logs_complain(l, &l->processes[i]);
    }
    if (e >= 0 && l->follow && l->fd == 0 && l->n_streams * l->n > FOLLOW_MAX)
        logs_poll(l);
    else if (e >= 0 && l->follow)
        logs_follow(l);
    logs_free(l);
}

static bool logs_take_since(struct logs *l, const char *text)
{
    l->has_since = true;
    return since_parse(text, usec_now(CLOCK_REALTIME), &l->since) == 0;
}

static bool logs_bad(struct logs *l, const char *option, const char *value, const char *hint)
{
    ctl_usage(l->ctl, CTL_INVALID_ARGS, "Error: bad %s %s; say %s", option, value != NULL ? value : "(nothing)", hint);
    return false;
}

/* -f, -n LINES, -nLINES, --fd N, --since TIME; false and a message for another option. */
static bool logs_option(struct logs *l, const struct ctl_words *words, size_t *i)
{
    const char *word = words->list[*i], *next = *i + 1 < words->n ? words->list[*i + 1] : NULL;
    if (strcmp(word, "-f") == 0) {
        l->follow = true;
        return true;
    }
    if (strcmp(word, "--fd") == 0) {
        ++*i;
        l->n_streams = 1;
        return (next != NULL && parse_int(next, &l->fd) == 0 && l->fd > 0 && l->fd < STDIO_MAX) ||
               logs_bad(l, "descriptor", next, "a number from 1 to 63");
    }
    if (strcmp(word, "--since") == 0) {
        ++*i;
        return (next != NULL && logs_take_since(l, next)) ||
               logs_bad(l, "time", next, "10m, 08:30 or 2031-05-17T08:30:00Z");
    }
    if (word[1] == 'n') {
        const char *lines = word[2] != '\0' ? word + 2 : (++*i, next);
        return (lines != NULL && parse_int(lines, &l->n_lines) == 0 && l->n_lines >= 0) ||
               logs_bad(l, "number of lines", lines, "0 or more");
    }
    ctl_usage(l->ctl, CTL_INVALID_ARGS, "Error: bad argument %s", word);
    return false;
}

static void logs_run(struct ctl *c, const struct ctl_words *words)
{
    struct logs l = { .ctl = c, .n_streams = 2, .n_lines = -1 };
    json_t *list = json_array();
    size_t names = 0;
    int e = 0;
    for (size_t i = 0; i < words->n && e >= 0; i++) {
        const char *word = words->list[i];
        if (*word == '-') {
            e = logs_option(&l, words, &i) ? 0 : -EINVAL;
            continue;
        }
        names++;
        e = ask_processes(c, strcmp(word, "all") == 0 ? NULL : word, "name,group", CTL_STATUS_UNKNOWN, list);
    }
    if (e >= 0 && names == 0)
        ctl_usage(c, CTL_INVALID_ARGS, "Error: logs requires a process name");
    else if (e >= 0 && l.has_since && (l.n_lines >= 0 || l.fd > 0))
        ctl_usage(c, CTL_INVALID_ARGS, "Error: %s and --since do not go together", l.fd > 0 ? "--fd" : "-n");
    else if (e >= 0) {
        l.n_lines = l.n_lines < 0 ? LOGS_LINES : l.n_lines;
        logs_show(&l, list);
    }
    json_decref(list);
}
