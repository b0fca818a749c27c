/* ask.c - see ask.h.
 *
 * The daemon on the other side may be an impostor: the body is bounded by
 * reply.h, and its JSON is looked over before jansson builds a tree of it, since
 * a tree of "{},{},..." takes a hundred times the bytes of its text. */
#include "ctl/ask.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/hint.h"
#include "ctl/names.h"
#include "ctl/source.h"

#define ASK_VALUES_MAX 1000000

static void ask_encode(struct buf *path, const char *text)
{
    for (const unsigned char *s = (const unsigned char *)text; *s != '\0'; s++) {
        bool plain = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
                     strchr("-_.~:*", *s) != NULL;
        if (plain)
            buf_putc(path, (char)*s);
        else
            buf_printf(path, "%%%02X", *s);
    }
}

void ask_path(struct buf *path, const char *prefix, const char *name, const char *suffix)
{
    buf_puts(path, prefix);
    ask_encode(path, name);
    buf_puts(path, suffix);
}

json_t *ask_parse(const char *text, size_t len)
{
    size_t values = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"')
            in_string = !in_string;
        else if (in_string)
            i += text[i] == '\\';
        else if (text[i] == ',' || text[i] == '{' || text[i] == '[')
            values++;
    }
    if (values > ASK_VALUES_MAX)
        return NULL;
    return json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
}

const char *ask_string(const json_t *object, const char *key, const char *otherwise)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s != NULL ? s : otherwise;
}

long long ask_integer(const json_t *object, const char *key, long long otherwise)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

bool ask_true(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

void answer_done(struct answer *a)
{
    buf_done(&a->body);
    json_decref(a->json);
    a->json = NULL;
    a->error = NULL;
}

const char *answer_fault(const struct answer *a)
{
    return ask_string(a->error, "fault", "");
}

const char *answer_message(const struct answer *a)
{
    return ask_string(a->error, "message", "");
}

void answer_complain_process(struct ctl *c, const struct answer *a, const char *name, const char *why)
{
    const char *fault = answer_fault(a);
    bool unknown = strcmp(fault, "BAD_NAME") == 0, down = strcmp(fault, "NOT_RUNNING") == 0;
    ctl_fail(c, "%s: ERROR (%s)", name, unknown ? "no such process" : down ? "not running" : why);
    ctl_status(c, down ? CTL_NOT_RUNNING : unknown ? CTL_STATUS_UNKNOWN : CTL_GENERIC);
    if (unknown)
        hint_name(c, name);
}

bool answer_is_end(const struct answer *a)
{
    return strcmp(answer_fault(a), "SHUTDOWN_STATE") == 0 && strcmp(ask_string(a->error, "code", ""), "EBUSY") != 0;
}

void answer_complain(struct ctl *c, const struct answer *a, const char *what)
{
    const char *detail = ask_string(a->error, "detail", NULL);
    const char *message = answer_message(a);
    if (c->json && a->json != NULL)
        ctl_print_json(c, a->json);
    if (*message != '\0')
        ctl_note(c, "%s: %s%s%s", what, message, detail != NULL ? ": " : "", detail != NULL ? detail : "");
    else
        ctl_note(c, "%s: %s answers with HTTP status %d", what, c->endpoint.url, a->status);
    ctl_status(c, CTL_GENERIC);
}

static int ask_nonsense(struct ctl *c)
{
    ctl_note(c, "%s: the answer is not JSON as droverd writes it", c->endpoint.url);
    ctl_status(c, CTL_GENERIC);
    return -EPROTO;
}

json_t *answer_list(struct ctl *c, const struct answer *a, const char *key)
{
    json_t *list = json_object_get(a->json, key);
    if (json_is_array(list))
        return list;
    ask_nonsense(c);
    return NULL;
}

/* Reads the answer's JSON; a refusal must have its error object. */
static int ask_understand(struct ctl *c, unsigned flags, struct answer *a)
{
    if (a->status == 200 && (flags & ASK_RAW))
        return 0;
    a->json = ask_parse(a->body.data != NULL ? a->body.data : "", a->body.len);
    if (!json_is_object(a->json) && a->status == 200)
        return ask_nonsense(c);
    const json_t *error = json_object_get(a->json, "error");
    a->error = a->status != 200 && json_is_object(error) ? error : NULL;
    return 0;
}

/* A question, however often it takes to be answered. */
struct asking {
    struct client_request request;
    unsigned flags;
    reply_sink sink;
    reply_began_fn began;
    void *arg;
    struct gap gap;
};

static int ask_once(struct ctl *c, const struct asking *q, struct answer *ret)
{
    struct reply r;
    reply_init(&r, q->sink, q->arg);
    r.began = q->began;
    int e = client_call(c->client, &q->request, &r);
    if (e == 0) {
        *ret = (struct answer){ .status = r.status, .size = r.size, .body = r.body };
        memcpy(ret->place, r.place, sizeof(ret->place));
        r.body = BUF_INIT(0);
    }
    reply_done(&r);
    return e;
}

/* What may have been done is asked once more only if it comes to the same. */
static bool ask_may_repeat(const struct asking *q, int error)
{
    if ((q->flags & ASK_ONCE) != 0)
        return false;
    bool harmless = strcmp(q->request.method, "GET") == 0 || (q->flags & ASK_AGAIN) != 0;
    return harmless || error == -ECONNABORTED || error == -ENOENT || error == -ECONNREFUSED;
}

static int ask_until_answered(struct ctl *c, struct asking *q, struct answer *ret)
{
    for (;;) {
        int e = ask_once(c, q, ret);
        if (e == 0)
            break;
        if (ask_may_repeat(q, e) && gap_wait(&q->gap, c->interrupt_fd, e))
            continue;
        if ((q->flags & ASK_UNTOLD) == 0 || !gap_is_possible(e))
            ctl_connection_failed(c, e);
        if (e == -ECONNRESET && (q->flags & (ASK_UNTOLD | ASK_ONCE)) == 0)
            ctl_note(c, "%s: it may have been done, or not", c->command->name);
        return e;
    }
    ret->again = q->gap.since != 0;
    int e = ask_understand(c, q->flags, ret);
    if (e < 0)
        answer_done(ret);
    return e;
}

/* 401: true when there are new credentials to try. */
static bool ask_credentials(struct ctl *c)
{
    ctl_fail(c, "Server requires authentication");
    if (!c->interactive || !c->terminal) {
        ctl_status(c, CTL_GENERIC);
        return false;
    }
    _cleanup_free_ char *username = ctl_read_line(c, "Username:");
    _cleanup_free_ char *password = username != NULL ? ctl_read_password("Password:") : NULL;
    if (username == NULL || password == NULL)
        return false;
    free(c->endpoint.username);
    free(c->endpoint.password);
    c->endpoint.username = TAKE_PTR(username);
    c->endpoint.password = TAKE_PTR(password);
    return true;
}

static int ask_request(struct ctl *c, struct asking *q, struct answer *ret)
{
    for (;;) {
        int e = ask_until_answered(c, q, ret);
        if (e < 0 || ret->status != 401)
            return e;
        answer_done(ret);
        if (!ask_credentials(c))
            return -EACCES;
    }
}

int ask(struct ctl *c, const char *method, const char *path, const char *body, unsigned flags, struct answer *ret)
{
    struct asking q = { .flags = flags };
    q.request =
        (struct client_request){ .method = method, .path = path, .body = body, .len = body != NULL ? strlen(body) : 0 };
    q.request.patience = CLIENT_PATIENCE;
    if (flags & ASK_WAIT) /* the daemon itself watches --wait=DURATION */
        q.request.patience = c->wait > 0 ? usec_add((usec_t)(c->wait * USEC_PER_SEC), CLIENT_PATIENCE) : USEC_INFINITY;
    return ask_request(c, &q, ret);
}

int ask_raw(struct ctl *c, const struct client_request *q, struct answer *ret)
{
    struct asking asking = { .request = *q };
    return ask_request(c, &asking, ret);
}

int ask_as_is(struct ctl *c, const struct client_request *q, struct answer *ret)
{
    struct asking asking = { .request = *q, .flags = ASK_RAW };
    return ask_request(c, &asking, ret);
}

/* One answer of a source; what has begun and was cut off is for us to go on with. */
static int ask_source_once(struct ctl *c, struct source *s, struct answer *ret)
{
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
    struct asking q = { .flags = ASK_RAW | ASK_ONCE | ASK_UNTOLD };
    if (source_path(s, &path) < 0)
        return path.error;
    q.sink = source_sink;
    q.began = source_began;
    q.arg = s;
    q.request = (struct client_request){
        .method = "GET", .path = path.data, .patience = CLIENT_PATIENCE, .endless = s->follow
    };
    s->more = false;
    return ask_request(c, &q, ret);
}

int ask_source(struct ctl *c, struct source *s, struct answer *ret)
{
    for (;;) {
        int e = ask_source_once(c, s, ret);
        if (e == 0 && s->more && ret->status == 200) {
            answer_done(ret);
            continue;
        }
        if (!gap_is_possible(e))
            return e;
        if (!gap_wait(&s->gap, c->interrupt_fd, e)) {
            ctl_connection_failed(c, e);
            return e;
        }
    }
}

int ask_processes(struct ctl *c, const char *name, const char *fields, int unknown, json_t *all)
{
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
    buf_puts(&path, "/v1/processes?");
    if (fields != NULL)
        buf_printf(&path, "fields=%s&", fields);
    if (name != NULL)
        ask_path(&path, "match=", name, "");
    _cleanup_answer_ struct answer a = { 0 };
    int e = path.error < 0 ? path.error : ask(c, "GET", path.data, NULL, 0, &a);
    if (e < 0)
        return e;
    json_t *list = a.status == 200 ? answer_list(c, &a, "processes") : NULL;
    if (a.status == 200 && list == NULL)
        return -EPROTO;
    if (a.status == 200 && (name == NULL || json_array_size(list) > 0)) {
        json_array_extend(all, list);
    } else if (name != NULL && (a.status == 200 || strcmp(answer_fault(&a), "BAD_NAME") == 0)) {
        ctl_fail(c, name_is_group(name) ? "%.*s: ERROR (no such group)" : "%.*s: ERROR (no such process)",
                 (int)name_shown_length(name), name);
        ctl_status(c, unknown);
        hint_name(c, name);
    } else {
        answer_complain(c, &a, name != NULL ? name : c->command->name);
        return -EPROTO;
    }
    return 0;
}
