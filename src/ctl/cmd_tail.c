/* cmd_tail.c - `tail` and `maintail`: the end of a log, or all that comes.
 *
 * The bytes pass through without being kept: a log of any size costs nothing.
 * With --json they become one object, and only then are they held, bounded. */
#include "ctl/ask.h"

#include <errno.h>
#include <string.h>

#include "base/parse.h"
#include "ctl/hint.h"
#include "ctl/names.h"
#include "ctl/render.h"
#include "ctl/source.h"

static void tail_run(struct ctl *c, const struct ctl_words *words);
static void maintail_run(struct ctl *c, const struct ctl_words *words);

const struct ctl_command ctl_cmd_tail = {
    .name = "tail",
    .args = "[-f|-BYTES] NAME [stdout|stderr]",
    .summary = "shows the end of what a process has printed",
    .help = "    without an option the last 1600 bytes of stdout\n"
            "    -f shows the last 1024 bytes and then what comes, until Ctrl-C\n",
    .flags = CTL_UPCHECK | CTL_PROCESSES | CTL_ONE_PROCESS | CTL_OPTIONS,
    .fn = tail_run,
};

const struct ctl_command ctl_cmd_maintail = {
    .name = "maintail",
    .args = "[-f|-BYTES]",
    .summary = "shows the end of the daemon's own log",
    .help = "    without an option the last 1600 bytes\n"
            "    -f shows the last 1024 bytes and then what comes, until Ctrl-C\n",
    .flags = CTL_UPCHECK | CTL_OPTIONS,
    .fn = maintail_run,
};

#define TAIL_BYTES 1600
#define TAIL_BYTES_FOLLOW 1024
#define TAIL_JSON_MAX (16 * 1024 * 1024)

struct tail {
    const char *name;   /* as messages have it */
    const char *stream; /* NULL for the daemon's log */
    bool follow;
    int64_t bytes;
    struct render render;
    struct buf kept; /* for --json */
    bool keep;
};

static int tail_sink(void *arg, const char *data, size_t len)
{
    struct tail *t = arg;
    if (t->keep)
        return buf_add(&t->kept, data, len);
    render_bytes(&t->render, data, len);
    return t->follow && fflush(stdout) != 0 ? -EPIPE : 0;
}

static void tail_unknown(struct ctl *c, const struct tail *t)
{
    ctl_fail(c, "%s: ERROR (no such process name)", t->name);
    hint_name(c, t->name);
}

static void tail_nothing(struct ctl *c, const struct tail *t, const char *why)
{
    ctl_fail(c, "%s: ERROR (no log file)", t->name);
    if (why != NULL)
        ctl_note(c, "%s: %s", t->name, why);
}

static void tail_refused(struct ctl *c, const struct tail *t, const struct answer *a)
{
    const char *fault = answer_fault(a);
    if (c->json && a->json != NULL)
        ctl_print_json(c, a->json);
    else if (strcmp(fault, "NO_FILE") == 0)
        tail_nothing(c, t, ask_string(a->error, "detail", NULL));
    else if (strcmp(fault, "BAD_NAME") == 0)
        tail_unknown(c, t);
    else if (strcmp(fault, "FAILED") == 0)
        ctl_fail(c, "%s: ERROR (unknown error reading log)", t->name);
    else
        answer_complain(c, a, t->name);
    ctl_status(c, CTL_GENERIC);
}

/* Bytes that are not UTF-8 are given as data_base64, as everywhere in the interface. */
static void tail_json(struct ctl *c, const struct tail *t)
{
    const char *data = t->kept.data != NULL ? t->kept.data : "";
    json_t *value = json_stringn(data, t->kept.len);
    const char *key = "data";
    if (value == NULL) {
        _cleanup_buf_ struct buf text = BUF_INIT(2 * TAIL_JSON_MAX);
        client_base64(&text, data, t->kept.len);
        value = json_string(text.data != NULL ? text.data : "");
        key = "data_base64";
    }
    json_t *object =
        json_pack("{s:s, s:s*, s:o}", t->stream != NULL ? "process" : "log", t->name, "stream", t->stream, key, value);
    ctl_print_json(c, object);
    json_decref(object);
}

/* Ctrl-C is how a follower is left, and no failure. */
static void tail_ended(struct ctl *c, struct tail *t, int e, const struct answer *a)
{
    render_end(&t->render);
    if (e == -EINTR && t->follow)
        ctl_status(c, CTL_OK);
    if (e == 0 && a->status != 200)
        tail_refused(c, t, a);
    else if (e == 0 && t->keep)
        tail_json(c, t);
    else if (e == 0 || e == -EINTR)
        putc('\n', stdout);
    if (e == 0 && a->status == 200 && t->follow) {
        ctl_note(c, "%s: the daemon has ended the stream", c->endpoint.url);
        ctl_status(c, CTL_GENERIC);
    }
}

static void tail_do(struct ctl *c, struct tail *t, const char *path)
{
    _cleanup_buf_ struct buf full = BUF_INIT(CTL_LINE_LIMIT);
    char first[48];
    snprintf(first, sizeof(first), "&offset=%lld", (long long)-t->bytes);
    buf_printf(&full, "%s%slength=0%s", path, strchr(path, '?') != NULL ? "&" : "?", t->follow ? "&follow=1" : "");
    if (full.error < 0)
        return;
    struct source source = { .ctl = c,
                             .what = t->name,
                             .path = full.data,
                             .first = first,
                             .blind = "&offset=0&live=1",
                             .sink = tail_sink,
                             .arg = t,
                             .follow = t->follow };
    t->keep = c->json && !t->follow;
    t->kept = BUF_INIT(TAIL_JSON_MAX);
    render_init(&t->render, stdout, c->terminal);
    if (t->follow) {
        ctl_catch_interrupt(c);
        if (!c->quiet)
            puts("==> Press Ctrl-C to exit <==");
        fflush(stdout);
    }
    _cleanup_answer_ struct answer a = { 0 };
    int e = ask_source(c, &source, &a);
    tail_ended(c, t, e, &a);
    buf_done(&t->kept);
}

/* "-f" or "-100"; false when it is neither. */
static bool tail_modifier(struct ctl *c, struct tail *t, const char *word)
{
    if (strcmp(word, "-f") == 0) {
        t->follow = true;
        t->bytes = TAIL_BYTES_FOLLOW;
    } else if (word[0] != '-' || parse_int(word + 1, &t->bytes) < 0) {
        ctl_fail(c, "Error: bad argument %s", word);
        ctl_status(c, CTL_GENERIC);
        return false;
    }
    return true;
}

/* "stdout" or "stderr" in any case; NULL and a message for anything else. */
static const char *tail_channel(struct ctl *c, const char *word)
{
    static const char *const channels[] = { "stdout", "stderr" };
    for (size_t i = 0; i < 2; i++)
        if (strcasecmp(word, channels[i]) == 0)
            return channels[i];
    ctl_fail(c, "Error: bad channel '%s'", word);
    ctl_status(c, CTL_GENERIC);
    return NULL;
}

static void tail_run(struct ctl *c, const struct ctl_words *words)
{
    struct tail t = { .bytes = TAIL_BYTES, .stream = "stdout" };
    if (words->n < 1 || words->n > 3) {
        ctl_usage(c, CTL_GENERIC, words->n < 1 ? "Error: too few arguments" : "Error: too many arguments");
        return;
    }
    size_t i = words->list[0][0] == '-';
    if (i == words->n) {
        ctl_fail(c, "Error: tail requires process name");
        ctl_status(c, CTL_GENERIC);
        return;
    }
    t.name = words->list[i];
    if (words->n > i + 1)
        t.stream = tail_channel(c, words->list[words->n - 1]);
    if (t.stream == NULL || (i > 0 && !tail_modifier(c, &t, words->list[0])))
        return;
    if (name_is_group(t.name)) {
        tail_unknown(c, &t);
        ctl_status(c, CTL_GENERIC);
        return;
    }
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
    ask_path(&path, "/v1/processes/", t.name, "/log?stream=");
    buf_puts(&path, t.stream);
    if (path.error == 0)
        tail_do(c, &t, path.data);
}

static void maintail_run(struct ctl *c, const struct ctl_words *words)
{
    struct tail t = { .bytes = TAIL_BYTES, .name = "supervisord" };
    if (words->n > 1)
        ctl_usage(c, CTL_GENERIC, "Error: too many arguments");
    else if (words->n == 0 || tail_modifier(c, &t, words->list[0]))
        tail_do(c, &t, "/v1/daemon/log");
}
