/* cmd_send.c - `send` and `disconnect`: what is told to a process through its channel.
 *
 * JSON goes as it is typed; the daemon looks at it, and takes all of what one request
 * holds or says what is wrong.  From standard input as many messages travel in one
 * request as there are at once, so that a pipe full of them does not cost a round
 * trip each. */
#include "ctl/ask.h"

#include <string.h>

#include "base/cleanup.h"
#include "ctl/deed.h"
#include "ctl/render.h"

static void send_run(struct ctl *c, const struct ctl_words *words);
static void disconnect_run(struct ctl *c, const struct ctl_words *words);

const struct ctl_command ctl_cmd_send = {
    .name = "send",
    .args = "NAME JSON|- [--wait-reply]",
    .summary = "sends a message to a process",
    .help = "    JSON is one message, quoted for the shell; - is our own standard input, one\n"
            "    message a line\n"
            "    --wait-reply: as {\"from\":\"$\",\"id\":N,\"msg\":JSON}, and shows the message that\n"
            "    comes back with \"re\":N; --wait=DURATION is how long to wait for that, or for\n"
            "    room, 10s without it, 0 for ever\n",
    .flags = CTL_UPCHECK | CTL_PROCESSES | CTL_ONE_PROCESS | CTL_ARGV,
    .fn = send_run,
};

const struct ctl_command ctl_cmd_disconnect = {
    .name = "disconnect",
    .args = "NAME...",
    .summary = "closes the channel of processes",
    .help = "    what waits for them is delivered first\n"
            "    NAME is a process, GROUP:*, a pattern, or all\n",
    .flags = CTL_UPCHECK | CTL_PROCESSES,
    .fn = disconnect_run,
};

static const struct deed deed_disconnect = { .verb = "disconnect", .done = "disconnected", .no_group = CTL_GENERIC };

static void disconnect_run(struct ctl *c, const struct ctl_words *words)
{
    if (words->n == 0) {
        ctl_usage(c, CTL_GENERIC, "Error: disconnect requires a process name");
        return;
    }
    deed_do(c, &deed_disconnect, words->list, words->n, NULL);
    ctl_flush(c, "results");
}

/* -- send ----------------------------------------------------------------------- */

#define SEND_MAX (1024 * 1024)  /* of one message, as the daemon has it */
#define SEND_PIECE (128 * 1024) /* of one request, where messages are short */
#define SEND_WAIT 10.0

struct send_order {
    const char *name;
    struct buf text;
    bool has_text;
    bool wait_reply;
    double wait; /* seconds; 0: as long as it takes */
};

static void send_complain(struct ctl *c, const struct send_order *o, const struct answer *a)
{
    const char *detail = ask_string(a->error, "detail", NULL);
    _cleanup_buf_ struct buf why = BUF_INIT(CTL_LINE_LIMIT);
    buf_printf(&why, "%s%s%s", answer_message(a), detail != NULL ? "; " : "", detail != NULL ? detail : "");
    answer_complain_process(c, a, o->name, why.error == 0 ? why.data : answer_message(a));
}

/* Byte for byte: a reader of JSON would change its numbers, and refuse what Node writes. */
static void send_show_reply(struct ctl *c, const struct answer *a)
{
    static const char mark[] = ",\"reply\":";
    const char *reply = a->body.len > 0 ? strstr(a->body.data, mark) : NULL;
    const char *end = reply != NULL ? strrchr(reply, '}') : NULL;
    if (end != NULL && !c->quiet)
        render_text(stdout, c->terminal, reply + strlen(mark), (size_t)(end - reply) - strlen(mark));
    if (end != NULL && !c->quiet)
        putchar('\n');
}

static bool send_piece(struct ctl *c, const struct send_order *o, const char *data, size_t len)
{
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
    ask_path(&path, "/v1/processes/", o->name, "/message");
    buf_printf(&path, "?timeout=%ld&wait_reply=%d", (long)(o->wait + 0.999), o->wait_reply);
    usec_t patience = o->wait > 0 ? (usec_t)(o->wait * 1e6) + CLIENT_PATIENCE : USEC_INFINITY;
    struct client_request q = { .method = "POST", .path = path.data, .body = data, .len = len, .patience = patience };
    _cleanup_answer_ struct answer a = { 0 };
    if (path.error < 0 || ask_as_is(c, &q, &a) < 0)
        return false;
    if (a.status != 200)
        send_complain(c, o, &a);
    else if (o->wait_reply)
        send_show_reply(c, &a);
    return a.status == 200;
}

/* Bytes of whole lines that are there, no more than go into one request. */
static size_t send_whole_lines(const struct buf *b)
{
    size_t most = b->len < SEND_PIECE ? b->len : SEND_PIECE;
    const char *last = most > 0 ? memrchr(b->data, '\n', most) : NULL;
    if (last == NULL && b->len > most)
        last = memchr(b->data + most, '\n', b->len - most);
    return last != NULL ? (size_t)(last - b->data) + 1 : 0;
}

static bool send_lines(struct ctl *c, const struct send_order *o, struct buf *lines)
{
    size_t n;
    while ((n = send_whole_lines(lines)) > 0) {
        if (!send_piece(c, o, lines->data, n))
            return false;
        buf_consume(lines, n);
    }
    if (lines->len <= SEND_MAX)
        return true;
    ctl_fail(c, "%s: ERROR (a message is longer than %d bytes)", o->name, SEND_MAX);
    ctl_status(c, CTL_GENERIC);
    return false;
}

static void send_input(struct ctl *c, const struct send_order *o)
{
    _cleanup_buf_ struct buf lines = BUF_INIT(2 * SEND_MAX);
    char data[64 * 1024];
    ssize_t n;
    while ((n = ctl_read_input(c, data, sizeof(data))) > 0)
        if (buf_add(&lines, data, (size_t)n) < 0 || !send_lines(c, o, &lines))
            return;
    if (n == 0 && lines.len > 0)
        send_piece(c, o, lines.data, lines.len);
}

static bool send_words(struct ctl *c, const struct ctl_words *words, struct send_order *o)
{
    for (size_t i = 0; i < words->n; i++) {
        const char *word = words->list[i];
        if (strcmp(word, "--wait-reply") == 0) {
            o->wait_reply = true;
        } else if (strncmp(word, "--wait=", 7) == 0 && ctl_duration(word + 7) >= 0) {
            o->wait = ctl_duration(word + 7);
        } else if (strcmp(word, "--wait") == 0) {
            o->wait = 0;
        } else if (strcmp(word, "--quiet") == 0) {
            c->quiet = true;
        } else if (strncmp(word, "--", 2) == 0 && strcmp(word, "--json") != 0) { /* what is printed is JSON anyhow */
            ctl_usage(c, CTL_INVALID_ARGS, "Error: bad argument %s", word);
            return false;
        } else if (o->name == NULL) {
            o->name = word;
        } else {
            buf_printf(&o->text, o->has_text ? " %s" : "%s", word);
            o->has_text = true;
        }
    }
    if (o->name != NULL && o->has_text)
        return o->text.error == 0;
    ctl_usage(c, CTL_INVALID_ARGS, "Error: send requires a process name and a message");
    return false;
}

static void send_run(struct ctl *c, const struct ctl_words *words)
{
    struct send_order o = { .text = BUF_INIT(CTL_LINE_LIMIT), .wait = c->wait > 0 ? c->wait : SEND_WAIT };
    if (send_words(c, words, &o)) {
        if (strcmp(o.text.data, "-") == 0)
            send_input(c, &o);
        else
            send_piece(c, &o, o.text.data, o.text.len);
    }
    buf_done(&o.text);
}
