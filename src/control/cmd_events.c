/* cmd_events.c - what happened, and what happens. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "control/control.h"
#include "control/names.h"
#include "wire/jsonw.h"

#include <fnmatch.h>

static void events_get_all(struct control_call *call);

const struct command commands_events[] = {
    { "GET", "/v1/events", ROLE_READ, events_get_all },
    { 0 },
};

struct listener {
    struct http_request *request;
    struct event_subscriber subscriber;
    char *match; /* NULL: everything */
};

/* "group:process" against a glob, where `proc` alone stands for proc:proc too. */
static bool is_wanted(const struct event *e, const char *match)
{
    if (match == NULL)
        return true;
    if (e->name == NULL)
        return false;
    const char *text = event_name_text(e->name);
    const char *colon = strchr(text, ':');
    return fnmatch(match, text, 0) == 0 || (colon != NULL && fnmatch(match, colon + 1, 0) == 0);
}

static void write_event(struct http_request *r, const struct event *e)
{
    _cleanup_buf_ struct buf b = BUF_INIT(64 * 1024);
    event_json(e, &b);
    if (b.error == 0)
        http_stream_write(r, b.data, b.len);
}

static void on_event(const struct event *e, void *arg)
{
    struct listener *l = arg;
    if (is_wanted(e, l->match))
        write_event(l->request, e);
}

static void on_hangup(void *arg)
{
    struct listener *l = arg;
    events_unsubscribe(&l->subscriber);
    free(l->match);
    free(l);
}

/* What has been forgotten is said to be missing rather than passed over. */
static void replay(struct events *ev, uint64_t since, const char *match, struct buf *out)
{
    if (since + 1 < events_first(ev)) {
        struct jsonw j = JSONW_INIT(out);
        jsonw_object(&j, NULL);
        jsonw_string(&j, "event", "gap");
        jsonw_int(&j, "missed", (int64_t)(events_first(ev) - since - 1));
        jsonw_object_end(&j);
        buf_putc(out, '\n');
        since = events_first(ev) - 1;
    }
    const struct event *e;
    while ((e = events_get(ev, ++since)) != NULL)
        if (is_wanted(e, match))
            event_json(e, out);
}

static void follow(struct control_call *call, struct events *ev, const char *match, const struct buf *past)
{
    struct listener *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        control_fail(call->request, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    l->request = call->request;
    l->match = match != NULL ? strdup(match) : NULL;
    http_request_on_close(call->request, on_hangup, l);
    events_subscribe(ev, &l->subscriber, on_event, l);
    if (http_stream_begin(call->request, 200, "application/x-ndjson") < 0)
        return;
    /* in pieces, since a long past is no sign of a slow reader */
    for (size_t done = 0; done < past->len;) {
        size_t n = past->len - done < HTTP_UNREAD_MAX / 4 ? past->len - done : HTTP_UNREAD_MAX / 4;
        if (http_stream_write(call->request, past->data + done, n) < 0)
            return;
        done += n;
    }
}

static void events_get_all(struct control_call *call)
{
    struct events *ev = call->control->supervisor->events;
    const char *match = http_request_query(call->request, "match", 0);
    bool live = control_number(call->request, "follow", 0) != 0;
    long long since = control_number(call->request, "since", live ? (long long)events_last(ev) : 0);
    _cleanup_buf_ struct buf past = BUF_INIT(4U << 20);
    replay(ev, since < 0 ? 0 : (uint64_t)since, match, &past);
    if (live)
        follow(call, ev, match, &past);
    else
        http_reply(call->request, 200, "application/x-ndjson", past.data != NULL ? past.data : "", past.len);
}
