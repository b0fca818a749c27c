/* cmd_message.c - what is sent to a process: messages and bytes; and messages that it has sent.
 *
 * What is sent is looked at before anything of it goes, since a Node program dies of a
 * line that is no JSON and of a word of its own protocol that it did not expect.
 * A sender waits for room, and for an answer if it wants one; a reader is given what
 * it can take, and told how much it was not, unless it sets the pace.
 *
 * Each waiting request is a watch on its process, freed when it is answered or its
 * client has gone. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "control/control.h"
#include "control/names.h"
#include "supervisor/child_ipc.h"

static void message_post(struct control_call *call);
static void messages_get(struct control_call *call);
static void stdin_post(struct control_call *call);

const struct command commands_message[] = {
    { "POST", "/v1/processes/{}/message", ROLE_CONTROL, message_post },
    { "GET", "/v1/processes/{}/messages", ROLE_READ, messages_get },
    { "POST", "/v1/processes/{}/stdin", ROLE_CONTROL, stdin_post },
    { 0 },
};

#define NO_IPC "its program has no ipc; set ipc = true"
#define TIMEOUT_DEFAULT 10 /* seconds */

/* -- sending -------------------------------------------------------------------- */

struct post {
    struct http_request *request;
    struct child *child;
    struct ipc_watch watch;
    struct loop_timer timer;
    const char *text; /* of the body: lines that are still to be sent */
    size_t left;
    uint64_t id; /* of a question; 0: no answer is waited for */
    unsigned sent;
    char name[512];
};

static void post_end(struct post *p)
{
    loop_timer_clear(&p->timer);
    child_ipc_unwatch(p->child, &p->watch);
    free(p);
}

static void post_fail(struct post *p, enum fault f)
{
    char detail[64];
    struct http_request *r = p->request;
    char name[sizeof(p->name)];
    memcpy(name, p->name, sizeof(name));
    snprintf(detail, sizeof(detail), "it was given %u message%s", p->sent, p->sent == 1 ? "" : "s");
    http_request_on_close(r, NULL, NULL);
    post_end(p);
    control_fail(r, f, name, detail);
}

static void post_done(struct post *p, const char *reply, size_t len)
{
    _cleanup_buf_ struct buf b = BUF_INIT(len + 128);
    struct http_request *r = p->request;
    buf_printf(&b, "{\"ok\":true,\"sent\":%u", p->sent);
    if (reply != NULL) {
        buf_puts(&b, ",\"reply\":");
        buf_add(&b, reply, len);
    }
    buf_puts(&b, "}\n");
    http_request_on_close(r, NULL, NULL);
    post_end(p);
    http_reply_json(r, 200, &b);
}

static int send_line(struct post *p, struct channel *ch, const char *text, size_t len)
{
    char before[64];
    if (p->id == 0)
        return channel_send(ch, &(struct iovec){ (char *)text, len }, 1, 0, 0);
    int n = snprintf(before, sizeof(before), "{\"from\":\"$\",\"id\":%llu,\"msg\":", (unsigned long long)p->id);
    const struct iovec parts[] = { { before, (size_t)n }, { (char *)text, len }, { (char *)"}", 1 } };
    return channel_send(ch, parts, ELEMENTS(parts), 0, 0);
}

static bool is_blank(const char *text, size_t len)
{
    while (len > 0 && strchr(" \t\r", text[len - 1]) != NULL)
        len--;
    return len == 0;
}

/* As much as there is room for; the rest when there is more.  True: all of it. */
static bool post_go(struct post *p)
{
    while (p->left > 0) {
        const char *newline = memchr(p->text, '\n', p->left);
        size_t len = newline != NULL ? (size_t)(newline - p->text) : p->left;
        struct channel *ch = child_channel(p->child);
        int r = ch == NULL ? -EPIPE : is_blank(p->text, len) ? 0 : send_line(p, ch, p->text, len);
        if (r == -ENOBUFS)
            return false;
        if (r < 0) {
            post_fail(p, r == -EPIPE ? FAULT_NO_CHANNEL : FAULT_NO_MEMORY);
            return false;
        }
        p->sent += !is_blank(p->text, len);
        len += newline != NULL;
        p->text += len;
        p->left -= len;
    }
    return true;
}

static void on_room(void *arg)
{
    struct post *p = arg;
    if (p->left > 0 && post_go(p) && p->id == 0)
        post_done(p, NULL, 0);
}

static void on_answer(const struct channel_message *m, void *arg)
{
    struct post *p = arg;
    uint64_t re;
    if (p->id != 0 && m->scan->members[IPC_KEY_RE].type == JSONSCAN_NUMBER &&
        jsonscan_integer(m->text, m->scan->members[IPC_KEY_RE], &re) == 0 && re == p->id)
        post_done(p, m->text, m->len);
}

static void on_ended(void *arg)
{
    struct post *p = arg;
    if (child_channel(p->child) == NULL)
        post_fail(p, FAULT_NO_CHANNEL);
}

static void on_gone(void *arg)
{
    post_fail(arg, FAULT_BAD_NAME);
}

static void on_timeout(void *arg)
{
    struct post *p = arg;
    post_fail(p, p->left > 0 ? FAULT_QUEUE_FULL : FAULT_TOO_LATE);
}

static void on_hangup(void *arg)
{
    post_end(arg);
}

/* One line that may be sent, or why not: the words that the client is told. */
static bool check_line(const char *text, size_t len, char *why, size_t size)
{
    static const struct jsonscan_keys keys = { .n = NODE_KEYS, .keys = { NODE_KEYS_LIST } };
    struct jsonscan scan;
    struct jsonscan_fault f;
    if (jsonscan(text, len, &keys, &scan, &f) < 0)
        snprintf(why, size, "byte %zu: %s", f.at + 1, f.why);
    else if (node_kind_of(text, &scan) != NODE_PLAIN)
        snprintf(why, size, "a cmd that begins with NODE_ belongs to Node's own protocol");
    else
        return true;
    return false;
}

/* The number of messages in a body, or -EINVAL and why. */
static int check_lines(const char *text, size_t len, char *why, size_t size)
{
    int n = 0;
    for (unsigned line = 1; len > 0; line++) {
        const char *newline = memchr(text, '\n', len);
        size_t one = newline != NULL ? (size_t)(newline - text) : len;
        char reason[128];
        if (!is_blank(text, one)) {
            if (!check_line(text, one, reason, sizeof(reason))) {
                snprintf(why, size, "line %u, %s", line, reason);
                return -EINVAL;
            }
            n++;
        }
        one += newline != NULL;
        text += one;
        len -= one;
    }
    if (n == 0)
        snprintf(why, size, "there is no message");
    return n > 0 ? n : -EINVAL;
}

static struct post *post_begin(struct control_call *call, struct child *c, const char *text, size_t len)
{
    struct loop *loop = c->supervisor->loop;
    struct post *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return NULL;
    *p = (struct post){ .request = call->request, .child = c, .text = text, .left = len };
    memcpy(p->name, call->name, sizeof(p->name));
    p->watch =
        (struct ipc_watch){ .message = on_answer, .room = on_room, .ended = on_ended, .gone = on_gone, .arg = p };
    if (child_ipc_watch(c, &p->watch) < 0) {
        free(p);
        return NULL;
    }
    usec_t timeout = control_timeout(call->request, TIMEOUT_DEFAULT);
    loop_timer_set(loop, &p->timer, usec_add(loop_now(loop), timeout), on_timeout, p);
    http_request_on_close(call->request, on_hangup, p);
    return p;
}

static void message_post(struct control_call *call)
{
    struct child *c = control_one(call);
    size_t len;
    char why[192];
    struct child_ipc_state state;
    if (c == NULL)
        return;
    const char *text = http_request_body(call->request, &len);
    bool question = control_number(call->request, "wait_reply", 0) != 0;
    int n = check_lines(text, len, why, sizeof(why));
    if (n > 1 && question)
        snprintf(why, sizeof(why), "one message at a time can be waited for");
    if (n < 1 || (n > 1 && question)) {
        control_fail(call->request, FAULT_BAD_ARGUMENTS, call->name, why);
        return;
    }
    if (child_channel(c) == NULL) {
        control_fail(call->request, c->process.pid == 0 ? FAULT_NOT_RUNNING : FAULT_NO_CHANNEL, call->name,
                     child_ipc_state(c, &state) ? "it is closed" : NO_IPC);
        return;
    }
    struct post *p = post_begin(call, c, text, len);
    if (p == NULL) {
        control_fail(call->request, FAULT_NO_MEMORY, call->name, NULL);
        return;
    }
    p->id = question ? child_ipc_next_id(c) : 0;
    if (post_go(p) && p->id == 0)
        post_done(p, NULL, 0);
}

/* -- reading -------------------------------------------------------------------- */

struct reader {
    struct http_request *request;
    struct child *child;
    struct ipc_watch watch;
    uint64_t missed; /* since the reader was last told */
    bool paces;
};

#define UNREAD_HELD (HTTP_UNREAD_MAX / 4)   /* a reader that sets the pace has this much to read, */
#define UNREAD_MISSED (HTTP_UNREAD_MAX / 2) /* another can have so much before it misses something */

static void add_message(struct buf *out, const char *text, size_t len)
{
    buf_puts(out, "{\"message\":");
    buf_add(out, text, len);
    buf_puts(out, "}\n");
}

static void add_missed(struct buf *out, uint64_t n)
{
    if (n > 0)
        buf_printf(out, "{\"missed\":%llu}\n", (unsigned long long)n);
}

/* The last `n` of all that it has sent, as records, as far as they are kept. */
static void add_last(struct buf *out, const struct messages *kept, uint64_t n)
{
    _cleanup_buf_ struct buf lines = BUF_INIT(MESSAGES_KEPT);
    if (kept == NULL || messages_copy(kept, &lines) < 0)
        return;
    add_missed(out, n > kept->lines ? n - kept->lines : 0);
    char *rest = lines.data;
    size_t left = lines.len;
    for (uint64_t lines_left = kept->lines; left > 0; lines_left--) {
        size_t len = (size_t)((char *)memchr(rest, '\n', left) - rest);
        if (lines_left <= n)
            add_message(out, rest, len);
        rest += len + 1;
        left -= len + 1;
    }
}

static void reader_end(struct reader *r)
{
    child_ipc_unwatch(r->child, &r->watch);
    free(r);
}

static void tell_missed(struct reader *r)
{
    char text[64];
    if (r->missed == 0)
        return;
    int n = snprintf(text, sizeof(text), "{\"missed\":%llu}\n", (unsigned long long)r->missed);
    r->missed = 0;
    http_stream_write(r->request, text, (size_t)n);
}

static void on_message(const struct channel_message *m, void *arg)
{
    struct reader *r = arg;
    size_t unread = http_stream_unread(r->request);
    unread = unread < UNREAD_MISSED ? unread : UNREAD_MISSED;
    bool fits = m->len < (unread <= UNREAD_HELD ? HTTP_RECORD_MAX - 64 : UNREAD_MISSED - unread);
    _cleanup_buf_ struct buf b = BUF_INIT(m->len + 64);
    if (fits)
        add_message(&b, m->text, m->len);
    if (!fits || b.error != 0) {
        r->missed++;
        return;
    }
    if (unread > 0)
        tell_missed(r);
    http_stream_write(r->request, b.data, b.len);
    if (r->paces && http_stream_unread(r->request) > UNREAD_HELD)
        child_ipc_hold(r->child, true);
}

static void on_drain(void *arg)
{
    struct reader *r = arg;
    tell_missed(r);
    if (r->paces)
        child_ipc_hold(r->child, false);
}

static void on_reader_gone(void *arg)
{
    struct reader *r = arg;
    struct http_request *request = r->request;
    reader_end(r);
    http_request_on_close(request, NULL, NULL);
    http_stream_on_room(request, NULL, NULL);
    http_stream_end(request);
}

static void on_reader_hangup(void *arg)
{
    reader_end(arg);
}

static void follow(struct control_call *call, struct child *c, const struct buf *past)
{
    struct reader *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        control_fail(call->request, FAULT_NO_MEMORY, call->name, NULL);
        return;
    }
    *r = (struct reader){ .request = call->request, .child = c };
    r->watch = (struct ipc_watch){ .message = on_message, .gone = on_reader_gone, .arg = r };
    r->paces = control_number(call->request, "pace", 0) != 0;
    int e = child_ipc_watch(c, &r->watch);
    if (e == 0 && r->paces)
        e = child_ipc_pace(c, &r->watch);
    if (e < 0) {
        reader_end(r);
        control_fail(call->request, e == -EBUSY ? FAULT_BUSY : FAULT_NO_MEMORY, call->name,
                     e == -EBUSY ? "another reader sets the pace" : NULL);
        return;
    }
    http_request_on_close(call->request, on_reader_hangup, r);
    http_stream_on_room(call->request, on_drain, r);
    if (http_stream_begin(call->request, 200, "application/x-ndjson") == 0 && past->len > 0)
        http_stream_write(call->request, past->data, past->len);
}

/* Where a reader is: a number of messages, and what it counts from.  Over the death of a
 * supervisor its ring is lost, but the channel has counted what was received, unless
 * some of that went to other processes. */
struct place {
    unsigned long long ring; /* whose */
    int pid;                 /* of the run of which the channel is; 0: nobody can say */
    long long ahead;         /* by how much the channel's count is ahead of the ring's */
    long long n;
};

static struct place place_now(struct child *c, const struct child_ipc_state *state)
{
    const struct messages *kept = child_messages(c);
    struct place p = { .ring = c->supervisor->started_wall };
    p.n = kept != NULL ? (long long)(kept->missed + kept->lines) : 0;
    if (state->open && child_lane(c) == NULL)
        p.pid = c->process.pid;
    p.ahead = (long long)state->counters.received - p.n;
    return p;
}

/* How many have come since the reader was there; -1: nobody knows. */
static long long since_place(const struct place *now, const char *text)
{
    struct place was;
    if (sscanf(text, "%llx.%d.%lld:%lld", &was.ring, &was.pid, &was.ahead, &was.n) != 4)
        return -1;
    if (was.ring != now->ring && (was.pid == 0 || was.pid != now->pid))
        return -1;
    /* numbers that we never gave anybody may go round, which is then no place */
    unsigned long long ahead =
        was.ring == now->ring ? 0 : (unsigned long long)now->ahead - (unsigned long long)was.ahead;
    return (long long)((unsigned long long)now->n + ahead - (unsigned long long)was.n);
}

static void messages_get(struct control_call *call)
{
    struct child *c = control_one(call);
    _cleanup_buf_ struct buf b = BUF_INIT(16 * MESSAGES_KEPT); /* each record is longer than its message */
    struct child_ipc_state state;
    char header[128];
    if (c == NULL)
        return;
    if (!child_ipc_state(c, &state)) {
        control_fail(call->request, FAULT_NO_CHANNEL, call->name, NO_IPC);
        return;
    }
    const char *from = http_request_query(call->request, "from", 0);
    struct place now = place_now(c, &state);
    long long n = control_number(call->request, "live", 0) != 0 ? 0 : now.n;
    long long since = from != NULL ? since_place(&now, from) : n;
    if (since >= 0)
        n = since;
    add_last(&b, child_messages(c), (uint64_t)n);
    snprintf(header, sizeof(header), "X-Drover-Position: %llx.%d.%lld:%lld%s", now.ring, now.pid, now.ahead, now.n - n,
             since < 0 ? "\r\nX-Drover-Missed: 1" : "");
    http_request_add_header(call->request, header);
    if (control_number(call->request, "follow", 0) != 0)
        follow(call, c, &b);
    else
        http_reply(call->request, 200, "application/x-ndjson", b.data != NULL ? b.data : "", b.len);
}

/* -- bytes ------------------------------------------------------------------------ */

static void stdin_post(struct control_call *call)
{
    struct selection sel;
    enum fault f = select_processes(call->control->supervisor, call->name, SELECT_LEXICAL, &sel);
    if (f == FAULT_NONE && !sel.single) {
        selection_done(&sel);
        f = FAULT_BAD_NAME;
    }
    if (f != FAULT_NONE) {
        control_fail(call->request, f, call->name, NULL);
        return;
    }
    struct child *c = sel.list[0];
    selection_done(&sel);
    size_t len;
    const char *body = http_request_body(call->request, &len);
    int number = control_descriptor(call->request, 0);
    int r = child_write(c, number, body, len);
    if (r == 0 && control_number(call->request, "eof", 0) != 0)
        child_write_end(c, number);
    if (r == 0)
        control_ok(call->request);
    else
        control_fail(call->request,
                     r == -ESRCH   ? FAULT_NOT_RUNNING
                     : r == -EPIPE ? FAULT_NO_FILE
                     : r == -EBADF ? FAULT_BAD_ARGUMENTS
                                   : FAULT_FAILED,
                     call->name,
                     r == -ENOBUFS ? "the process does not read there; nothing was sent"
                     : r == -EBADF ? "it has no pipe that can be written at that descriptor"
                                   : NULL);
}
