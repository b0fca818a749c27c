/* cmd_messages.c - `messages`: what a process sends to the supervisor, a message a
 * line, as it was sent.
 *
 * What the daemon has forgotten is said on standard error, so that standard output
 * holds nothing but messages. */
#include "ctl/ask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/render.h"
#include "ctl/source.h"

static void messages_run(struct ctl *c, const struct ctl_words *words);

const struct ctl_command ctl_cmd_messages = {
    .name = "messages",
    .args = "NAME [-f] [--pace]",
    .summary = "shows what a process has sent to the supervisor",
    .help = "    the daemon keeps the last 64 KiB of each process\n"
            "    -f goes on with what it sends, until Ctrl-C\n"
            "    --pace: -f, and the process is read no faster than this: nothing is missed\n",
    .flags = CTL_UPCHECK | CTL_PROCESSES | CTL_ONE_PROCESS | CTL_OPTIONS,
    .fn = messages_run,
};

#define RECORD_MAX (64UL << 20)

struct messages_sink {
    struct ctl *ctl;
    struct source source;
    struct render render;
    struct buf line; /* one that has not come whole yet */
    const char *name;
};

/* {"message":...} or {"missed":N}, as the daemon writes them. */
static void messages_record(struct messages_sink *s, const char *line, size_t len)
{
    static const char message[] = "{\"message\":", missed[] = "{\"missed\":";
    bool misses = len > sizeof(missed) && memcmp(line, missed, sizeof(missed) - 1) == 0;
    s->source.at += misses ? strtoll(line + sizeof(missed) - 1, NULL, 10) : 1;
    if (s->ctl->json) {
        render_bytes(&s->render, line, len);
    } else if (len > sizeof(message) && memcmp(line, message, sizeof(message) - 1) == 0) {
        render_bytes(&s->render, line + sizeof(message) - 1, len - sizeof(message));
    } else if (misses) {
        ctl_note(s->ctl, "%s: %.*s messages are missing here", s->name, (int)(len - sizeof(missed)),
                 line + sizeof(missed) - 1);
        return;
    }
    render_bytes(&s->render, "\n", 1);
}

static int messages_take(void *arg, const char *data, size_t len)
{
    struct messages_sink *s = arg;
    while (len > 0) {
        const char *newline = memchr(data, '\n', len);
        size_t n = newline != NULL ? (size_t)(newline - data) : len;
        if (newline != NULL && s->line.len == 0) {
            messages_record(s, data, n);
        } else {
            if (buf_add(&s->line, data, n) < 0)
                return s->line.error;
            if (newline != NULL) {
                messages_record(s, s->line.data, s->line.len);
                buf_reset(&s->line);
            }
        }
        n += newline != NULL;
        data += n;
        len -= n;
    }
    return fflush(stdout) != 0 ? -EPIPE : 0;
}

static void messages_anew(void *arg)
{
    struct messages_sink *s = arg;
    buf_reset(&s->line);
}

static const char *messages_words(struct ctl *c, const struct ctl_words *words, bool *follow, bool *pace)
{
    const char *name = NULL;
    for (size_t i = 0; i < words->n; i++) {
        const char *word = words->list[i];
        if (strcmp(word, "-f") == 0) {
            *follow = true;
        } else if (strcmp(word, "--pace") == 0) {
            *follow = *pace = true;
        } else if (*word == '-' || name != NULL) {
            ctl_usage(c, CTL_INVALID_ARGS, "Error: bad argument %s", word);
            return NULL;
        } else {
            name = word;
        }
    }
    if (name == NULL)
        ctl_usage(c, CTL_INVALID_ARGS, "Error: messages requires a process name");
    return name;
}

static void messages_outcome(struct ctl *c, const char *name, const struct answer *a, bool follow)
{
    if (a->status != 200) {
        answer_complain_process(c, a, name, ask_string(a->error, "detail", answer_message(a)));
    } else if (follow) {
        ctl_note(c, "%s: the daemon has ended the stream", c->endpoint.url);
        ctl_status(c, CTL_GENERIC);
    }
}

static void messages_run(struct ctl *c, const struct ctl_words *words)
{
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
    bool follow = false, pace = false;
    const char *name = messages_words(c, words, &follow, &pace);
    if (name == NULL)
        return;
    ask_path(&path, "/v1/processes/", name, "/messages");
    buf_printf(&path, "?follow=%d&pace=%d", follow, pace);
    if (path.error < 0)
        return;
    if (follow)
        ctl_catch_interrupt(c);
    struct messages_sink s = { .ctl = c, .line = BUF_INIT(RECORD_MAX), .name = name };
    s.source = (struct source){ .ctl = c, .what = name, .path = path.data, .first = "", .blind = "", .arg = &s };
    s.source.sink = messages_take;
    s.source.anew = messages_anew;
    s.source.follow = follow;
    render_init(&s.render, stdout, c->terminal);
    _cleanup_answer_ struct answer a = { 0 };
    int e = ask_source(c, &s.source, &a);
    render_end(&s.render);
    buf_done(&s.line);
    if (e == -EINTR && follow)
        ctl_status(c, CTL_OK);
    else if (e == 0)
        messages_outcome(c, name, &a, follow);
}
