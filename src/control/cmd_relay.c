/* cmd_relay.c - messages between processes as they pass, one JSON object a line.
 *
 * Owns a record for each listener, which ends with its connection.  What it does not
 * read in time is left out and counted: nobody who watches slows down those who talk. */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "control/control.h"
#include "control/present.h"
#include "supervisor/relay.h"
#include "wire/envelope.h"
#include "wire/jsonw.h"

static void relay_follow(struct control_call *call);

const struct command commands_relay[] = {
    { "GET", "/v1/relay", ROLE_READ, relay_follow },
    { 0 },
};

#define UNREAD_MOST (HTTP_UNREAD_MAX / 4)

struct watcher {
    struct relay_tracer tracer;
    struct http_request *request;
    uint64_t missed;
    bool errors; /* only what was not delivered */
    char match[256];
};

static void watcher_end(void *arg)
{
    struct watcher *w = arg;
    relay_trace_end(&w->tracer);
    free(w);
}

/* By the name of either end. */
static bool is_wanted(const struct watcher *w, const struct relay_trace *t)
{
    char to[512];
    if (w->errors && t->error == 0)
        return false;
    if (*w->match == '\0' || fnmatch(w->match, t->from, 0) == 0)
        return true;
    snprintf(to, sizeof(to), "%.*s", (int)(t->to_len < sizeof(to) ? t->to_len : sizeof(to) - 1), t->to);
    return fnmatch(w->match, to, 0) == 0;
}

static void trace_json(const struct relay_trace *t, struct buf *out)
{
    struct jsonw j = JSONW_INIT(out);
    jsonw_object(&j, NULL);
    jsonw_seconds(&j, "time", usec_now(CLOCK_REALTIME));
    jsonw_string(&j, "from", t->from);
    jsonw_bytes(&j, "to", t->to, t->to_len);
    if (t->has_id)
        jsonw_int(&j, "id", (int64_t)t->id);
    if (t->has_re)
        jsonw_int(&j, "re", (int64_t)t->re);
    jsonw_int(&j, "bytes", (int64_t)t->bytes);
    if (t->handle)
        jsonw_bool(&j, "handle", true);
    jsonw_string(&j, "result", t->error == 0 ? "ok" : envelope_code(t->error));
    jsonw_object_end(&j);
    buf_putc(out, '\n');
}

static void on_trace(const struct relay_trace *t, void *arg)
{
    struct watcher *w = arg;
    _cleanup_buf_ struct buf b = BUF_INIT(8192);
    if (!is_wanted(w, t))
        return;
    if (http_stream_unread(w->request) > UNREAD_MOST) {
        w->missed++;
        return;
    }
    if (w->missed > 0)
        buf_printf(&b, "{\"event\":\"gap\",\"missed\":%llu}\n", (unsigned long long)w->missed);
    w->missed = 0;
    trace_json(t, &b);
    if (b.error == 0)
        http_stream_write(w->request, b.data, b.len);
}

static void relay_follow(struct control_call *call)
{
    struct relay *relay = call->control->supervisor->relay;
    const char *match = http_request_query(call->request, "match", 0);
    if (relay == NULL) {
        control_fail(call->request, FAULT_NO_CHANNEL, NULL, "no program has relay = true");
        return;
    }
    struct watcher *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        control_fail(call->request, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    w->request = call->request;
    w->errors = control_number(call->request, "errors", 0) != 0;
    snprintf(w->match, sizeof(w->match), "%s", match != NULL ? match : "");
    w->tracer.fn = on_trace;
    w->tracer.arg = w;
    http_request_on_close(call->request, watcher_end, w);
    relay_trace_begin(relay, &w->tracer);
    http_stream_begin(call->request, 200, "application/x-ndjson");
}
