/* cmd_write.c - `write`: bytes for the standard input of a process, or for a pipe
 * that `stdio` gives it.
 *
 * The daemon takes a piece whole or not at all, so a process that does not read is
 * an error here and never a wait. */
#include "ctl/ask.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"

static void write_run(struct ctl *c, const struct ctl_words *words);

const struct ctl_command ctl_cmd_write = {
    .name = "write",
    .args = "NAME TEXT|- [--fd N] [--eof]",
    .summary = "writes to the standard input of a process",
    .help = "    TEXT is what stands between NAME and the options, and a newline;\n"
            "    - is our own standard input\n"
            "    --fd N: to its descriptor N, a pipe of the key stdio\n"
            "    --eof: this is all; it reads an end of file\n",
    .flags = CTL_UPCHECK | CTL_PROCESSES | CTL_ONE_PROCESS | CTL_OPTIONS,
    .fn = write_run,
};

#define WRITE_PIECE (32 * 1024)

struct write_order {
    const char *name;
    struct buf text;
    bool has_text;
    bool from_input;
    bool eof;
    int64_t fd;
};

static bool write_piece(struct ctl *c, const struct write_order *o, const char *data, size_t len, bool eof)
{
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
    ask_path(&path, "/v1/processes/", o->name, "/stdin");
    buf_printf(&path, "?fd=%lld%s", (long long)o->fd, eof ? "&eof=1" : "");
    struct client_request q = {
        .method = "POST", .path = path.data, .body = data, .len = len, .patience = CLIENT_PATIENCE
    };
    _cleanup_answer_ struct answer a = { 0 };
    if (path.error < 0 || ask_raw(c, &q, &a) < 0)
        return false;
    if (a.status == 200)
        return true;
    answer_complain_process(c, &a, o->name,
                            strcmp(answer_fault(&a), "NO_FILE") == 0
                                ? "it reads no more there"
                                : ask_string(a.error, "detail", answer_message(&a)));
    return false;
}

static bool write_input(struct ctl *c, const struct write_order *o)
{
    char data[WRITE_PIECE];
    ssize_t n;
    while ((n = ctl_read_input(c, data, sizeof(data))) > 0)
        if (!write_piece(c, o, data, (size_t)n, false))
            return false;
    return n == 0;
}

static bool write_text(struct ctl *c, const struct write_order *o)
{
    for (size_t at = 0; at < o->text.len; at += WRITE_PIECE) {
        size_t left = o->text.len - at;
        if (!write_piece(c, o, o->text.data + at, left < WRITE_PIECE ? left : WRITE_PIECE, false))
            return false;
    }
    return true;
}

/* False and a message for words that make no sense. */
static bool write_words(struct ctl *c, const struct ctl_words *words, struct write_order *o)
{
    for (size_t i = 0; i < words->n; i++) {
        const char *word = words->list[i];
        if (strcmp(word, "--eof") == 0) {
            o->eof = true;
        } else if (strcmp(word, "--fd") == 0 && i + 1 < words->n) {
            if (parse_int(words->list[++i], &o->fd) < 0 || o->fd < 0) {
                ctl_usage(c, CTL_INVALID_ARGS, "Error: bad argument %s", words->list[i]);
                return false;
            }
        } else if (o->name == NULL) {
            o->name = word;
        } else {
            buf_printf(&o->text, o->has_text ? " %s" : "%s", word);
            o->has_text = true;
        }
    }
    o->from_input = o->has_text && strcmp(o->text.data, "-") == 0;
    if (o->name == NULL || (!o->has_text && !o->eof)) {
        ctl_usage(c, CTL_INVALID_ARGS, "Error: write requires a process name and a text");
        return false;
    }
    buf_putc(&o->text, '\n');
    return o->text.error == 0;
}

static void write_run(struct ctl *c, const struct ctl_words *words)
{
    struct write_order o = { .text = BUF_INIT(CTL_LINE_LIMIT) };
    bool ok = write_words(c, words, &o);
    if (ok && o.has_text)
        ok = o.from_input ? write_input(c, &o) : write_text(c, &o);
    if (ok && o.eof)
        write_piece(c, &o, "", 0, true);
    buf_done(&o.text);
}
