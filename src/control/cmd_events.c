/* cmd_events.c - what happened, and what happens. */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "control/control.h"
#include "control/names.h"
#include "wire/jsonw.h"

static void events_get_all(struct control_call *call);

const struct command commands_events[] = {
    { "GET", "/v1/events", ROLE_READ, events_get_all },
    { 0 },
};

/* Nothing is kept for a listener but how far it has come: the events themselves
 * are kept anyway, and it takes them at its own pace until the oldest are gone. */
struct listener {
    struct http_request *request;
    const struct events *events;
    struct event_subscriber subscriber;
    uint64_t next;   /* the number of the event that it is to hear of */
    uint64_t missed; /* messages that came faster than they were read */
    char *match;     /* patterns, each with its NUL, an empty one at the end; NULL: everything */
};

#define AHEAD (16 * 1024) /* bytes that may lie unread before it is left to its pace */
#define MESSAGES_UNREAD (HTTP_UNREAD_MAX / 4)

/* "group:process" against globs, where `proc` alone stands for proc:proc too. */
static bool is_wanted(const struct event *e, const char *match)
{
    if (match == NULL)
        return true;
    if (e->name == NULL)
        return false;
    const char *text = event_name_text(e->name);
    const char *colon = strchr(text, ':');
    for (; *match != '\0'; match += strlen(match) + 1)
        if (fnmatch(match, text, 0) == 0 || (colon != NULL && fnmatch(match, colon + 1, 0) == 0))
            return true;
    return false;
}

/* All that the question names, as listener.match has it; "group:" is "group:*". */
static int wanted(struct http_request *r, char **ret)
{
    _cleanup_buf_ struct buf b = BUF_INIT(64 * 1024);
    const char *one;
    for (size_t i = 0; (one = http_request_query(r, "match", i)) != NULL; i++)
        if (*one != '\0') {
            buf_puts(&b, one);
            buf_puts(&b, one[strlen(one) - 1] == ':' ? "*" : "");
            buf_putc(&b, '\0');
        }
    *ret = NULL;
    if (b.len == 0 || b.error != 0)
        return b.error;
    buf_putc(&b, '\0');
    *ret = buf_steal(&b);
    return *ret != NULL ? 0 : -ENOMEM;
}

static void listener_end(struct listener *l)
{
    events_unsubscribe(&l->subscriber);
    free(l->match);
    free(l);
}

/* A listener that has fallen behind is told how far it came, and can ask again
 * with `since`. */
static void cut_off(struct listener *l)
{
    char last[128];
    int n = snprintf(last, sizeof(last), "{\"event\":\"gap\",\"missed\":1,\"since\":%llu}\n",
                     (unsigned long long)l->next - 1);
    http_stream_cut(l->request, last, (size_t)n);
    listener_end(l);
}

/* Messages are not kept: those that it did not take are at least counted. */
static void tell_missed(struct listener *l)
{
    char text[64];
    if (l->missed == 0 || http_stream_unread(l->request) >= AHEAD)
        return;
    int n = snprintf(text, sizeof(text), "{\"event\":\"gap\",\"missed\":%llu}\n", (unsigned long long)l->missed);
    if (http_stream_write(l->request, text, (size_t)n) == 0)
        l->missed = 0;
}

/* As much as it takes.  False: the listener is gone. */
static bool go_on(struct listener *l)
{
    struct event e;
    _cleanup_buf_ struct buf b = BUF_INIT(64 * 1024);
    tell_missed(l);
    while (http_stream_unread(l->request) < AHEAD && events_get(l->events, l->next, &e)) {
        buf_reset(&b);
        if (is_wanted(&e, l->match))
            event_json(&e, &b);
        if (b.error == 0 && b.len > 0 && http_stream_write(l->request, b.data, b.len) < 0)
            break;
        l->next++;
    }
    bool behind = l->next < events_first(l->events);
    if (behind)
        cut_off(l);
    return !behind;
}

static void on_event(const struct event *e, void *arg)
{
    struct listener *l = arg;
    if (!go_on(l) || e->type != EVENT_MESSAGE || !is_wanted(e, l->match))
        return;
    /* It is not kept; and a program that sends more than the listener reads must
     * not cost it the rest. */
    bool skip = l->next <= events_last(l->events) || http_stream_unread(l->request) > MESSAGES_UNREAD;
    _cleanup_buf_ struct buf b = BUF_INIT(64 * 1024);
    if (skip || l->missed > 0) { /* those before it are still to be told */
        l->missed++;
        return;
    }
    event_json(e, &b);
    if (b.error == 0 && http_stream_write(l->request, b.data, b.len) == -ENOBUFS)
        cut_off(l);
}

static void on_room(void *arg)
{
    go_on(arg);
}

static void on_hangup(void *arg)
{
    listener_end(arg);
}

/* What has been forgotten is said to be missing rather than passed over.  Returns
 * the number of the last event before those that are kept. */
static uint64_t tell_forgotten(const struct events *ev, uint64_t since, struct buf *out)
{
    if (since + 1 >= events_first(ev))
        return since;
    struct jsonw j = JSONW_INIT(out);
    jsonw_object(&j, NULL);
    jsonw_string(&j, "event", "gap");
    jsonw_int(&j, "missed", (int64_t)(events_first(ev) - since - 1));
    jsonw_object_end(&j);
    buf_putc(out, '\n');
    return events_first(ev) - 1;
}

static void follow(struct control_call *call, struct events *ev, char **match, uint64_t since)
{
    struct listener *l = calloc(1, sizeof(*l));
    if (l == NULL) {
        control_fail(call->request, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    l->request = call->request;
    l->match = TAKE_PTR(*match);
    l->events = ev;
    http_request_on_close(call->request, on_hangup, l);
    events_subscribe(ev, &l->subscriber, on_event, l);
    l->subscriber.messages = true;
    char header[64];
    snprintf(header, sizeof(header), "X-Drover-Position: events:%llu", (unsigned long long)since);
    http_request_add_header(call->request, header);
    if (http_stream_begin(call->request, 200, "application/x-ndjson") < 0)
        return;
    _cleanup_buf_ struct buf b = BUF_INIT(1024);
    l->next = tell_forgotten(ev, since, &b) + 1;
    if (b.len > 0)
        http_stream_write(call->request, b.data, b.len);
    http_stream_on_room(call->request, on_room, l);
    go_on(l);
}

static void reply_past(struct control_call *call, const struct events *ev, const char *match, uint64_t since)
{
    _cleanup_buf_ struct buf b = BUF_INIT(4U << 20);
    struct event e;
    since = tell_forgotten(ev, since, &b);
    while (events_get(ev, ++since, &e))
        if (is_wanted(&e, match))
            event_json(&e, &b);
    http_reply(call->request, 200, "application/x-ndjson", b.data != NULL ? b.data : "", b.len);
}

static void events_get_all(struct control_call *call)
{
    struct events *ev = call->control->supervisor->events;
    _cleanup_free_ char *match = NULL;
    if (wanted(call->request, &match) < 0) {
        control_fail(call->request, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    bool live = control_number(call->request, "follow", 0) != 0;
    int64_t place;
    long long since = control_number(call->request, "since", live ? (long long)events_last(ev) : 0);
    const char *from = http_request_query(call->request, "from", 0);
    if (from != NULL && strncmp(from, "events:", 7) == 0 && parse_int(from + 7, &place) == 0)
        since = place <= (int64_t)events_last(ev) ? place : (int64_t)events_first(ev) - 1; /* of another count */
    if (since < 0)
        since = 0;
    if (live)
        follow(call, ev, &match, (uint64_t)since);
    else
        reply_past(call, ev, match, (uint64_t)since);
}
