/* events.c - the ring of what happened, and who listens.
 *
 * Owns the records of the ring (their names by reference, their texts) and the
 * list of subscribers, whose nodes are their own.  Records are half of an event:
 * most say only that a process was started or entered a state, and what is more
 * than that stands beside the ring.  JSON is made when somebody asks, so that a
 * fleet without listeners pays nothing. */
#include "supervisor/events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "os/journal.h"
#include "wire/jsonw.h"

/* An event as it is kept; its number follows from its place. */
struct record {
    union {
        usec_t wall;
        struct event *whole; /* .type RECORD_WHOLE: all of it is there, but the name */
    };
    struct event_name *name;
    int32_t pid;
    uint8_t type;
    uint8_t from, to; /* states, all of which are tens */
    uint8_t tries;
};

#define RECORD_WHOLE UINT8_MAX

_Static_assert(sizeof(struct record) == 24, "thousands of these are kept");

struct event_name {
    unsigned refs;
    char text[];
};

struct events {
    struct record *ring; /* grows up to EVENTS_KEPT */
    size_t size;
    uint64_t last;  /* 0: none yet */
    uint64_t first; /* oldest kept */
    uint64_t start; /* the first of ours */
    struct journal *journal;
    struct event_subscriber *subscribers;
};

struct event_name *event_name_new(const char *group, const char *process)
{
    size_t size = strlen(group) + strlen(process) + 2;
    struct event_name *n = malloc(sizeof(*n) + size);
    if (n == NULL)
        return NULL;
    n->refs = 1;
    snprintf(n->text, size, "%s:%s", group, process);
    return n;
}

struct event_name *event_name_ref(struct event_name *n)
{
    if (n != NULL)
        n->refs++;
    return n;
}

void event_name_unref(struct event_name *n)
{
    if (n != NULL && --n->refs == 0)
        free(n);
}

const char *event_name_text(const struct event_name *n)
{
    return n->text;
}

char *event_error_text(const char *path, const char *message)
{
    path = path != NULL ? path : "";
    message = message != NULL ? message : "";
    size_t first = strlen(path) + 1, second = strlen(message) + 1;
    char *text = malloc(first + second);
    if (text == NULL)
        return NULL;
    memcpy(text, path, first);
    memcpy(text + first, message, second);
    return text;
}

int events_new(struct journal *journal, struct events **ret)
{
    struct events *ev = calloc(1, sizeof(*ev));
    if (ev == NULL)
        return -ENOMEM;
    ev->journal = journal;
    ev->last = journal_sequence(journal);
    ev->first = ev->start = ev->last + 1;
    *ret = ev;
    return 0;
}

/* -- records ---------------------------------------------------------------- */

static bool fits_record(const struct event *e)
{
    return e->type == EVENT_SPAWN || e->type == EVENT_CLOSE || e->type == EVENT_DISCONNECT ||
           (e->type == EVENT_STATE && e->tries <= UINT8_MAX);
}

/* Takes the text over.  Without memory for the whole, what fits is kept of it. */
static struct record record_of(struct event *e)
{
    struct record r = { .wall = e->wall, .name = event_name_ref(e->name), .pid = e->pid, .type = e->type };
    if (e->type == EVENT_STATE && e->tries <= UINT8_MAX) {
        r.from = (uint8_t)(e->from / 10);
        r.to = (uint8_t)(e->to / 10);
        r.tries = e->tries < UINT8_MAX ? (uint8_t)e->tries : UINT8_MAX;
    }
    if (fits_record(e))
        return r;
    struct event *whole = malloc(sizeof(*e));
    if (whole == NULL) {
        free(TAKE_PTR(e->text));
        return r;
    }
    *whole = *e;
    r.whole = whole;
    r.type = RECORD_WHOLE;
    return r;
}

static void record_done(struct record *r)
{
    event_name_unref(r->name);
    if (r->type != RECORD_WHOLE)
        return;
    free(r->whole->text);
    free(r->whole);
}

static struct event event_of(const struct record *r, uint64_t seq)
{
    if (r->type == RECORD_WHOLE)
        return *r->whole;
    return (struct event){ .seq = seq,
                           .wall = r->wall,
                           .name = r->name,
                           .pid = r->pid,
                           .type = r->type,
                           .from = (uint16_t)(r->from * 10),
                           .to = (uint16_t)(r->to * 10),
                           .tries = r->tries };
}

/* -- the ring --------------------------------------------------------------- */

static struct record *record_at(const struct events *ev, uint64_t seq)
{
    return &ev->ring[(seq - ev->start) % ev->size];
}

void events_free(struct events *ev)
{
    if (ev == NULL)
        return;
    for (uint64_t seq = ev->first; seq <= ev->last; seq++)
        record_done(record_at(ev, seq));
    free(ev->ring);
    free(ev);
}

/* Doubles the ring while it is smaller than it may be; records keep the place
 * (seq - start) % size, which stays true because nothing has been dropped before
 * the ring has its full size. */
static void ring_grow(struct events *ev)
{
    size_t size = ev->size == 0 ? 64 : ev->size * 2;
    struct record *ring = realloc(ev->ring, size * sizeof(*ring));
    if (ring == NULL)
        return;
    ev->ring = ring;
    ev->size = size;
}

void events_add(struct events *ev, struct event *e)
{
    e->wall = usec_now(CLOCK_REALTIME);
    e->seq = ++ev->last;
    journal_set_sequence(ev->journal, ev->last);
    if (ev->last - ev->start >= ev->size && ev->size < EVENTS_KEPT && ev->first == ev->start)
        ring_grow(ev);
    bool kept = ev->size > 0;
    if (kept) {
        if (e->seq - ev->first >= ev->size) /* the place of the oldest */
            record_done(record_at(ev, ev->first++));
        *record_at(ev, e->seq) = record_of(e);
    } else { /* no memory for a ring: listeners still hear it */
        ev->first = ev->last + 1;
    }
    struct event_subscriber *next;
    for (struct event_subscriber *s = ev->subscribers; s != NULL; s = next) {
        next = s->next;
        s->fn(e, s->arg);
    }
    if (!kept)
        free(e->text);
}

void events_tell(const struct events *ev, struct event *e)
{
    struct event_subscriber *next;
    e->seq = ev->last;
    e->wall = usec_now(CLOCK_REALTIME);
    for (struct event_subscriber *s = ev->subscribers; s != NULL; s = next) {
        next = s->next;
        if (s->messages)
            s->fn(e, s->arg);
    }
}

bool events_wants_messages(const struct events *ev)
{
    const struct event_subscriber *s = ev->subscribers;
    while (s != NULL && !s->messages)
        s = s->next;
    return s != NULL;
}

void events_subscribe(struct events *ev, struct event_subscriber *s, event_fn fn, void *arg)
{
    *s = (struct event_subscriber){ .next = ev->subscribers, .at = &ev->subscribers, .fn = fn, .arg = arg };
    if (s->next != NULL)
        s->next->at = &s->next;
    ev->subscribers = s;
}

void events_unsubscribe(struct event_subscriber *s)
{
    if (s->at == NULL)
        return;
    *s->at = s->next;
    if (s->next != NULL)
        s->next->at = s->at;
    s->at = NULL;
}

uint64_t events_last(const struct events *ev)
{
    return ev->last;
}

uint64_t events_first(const struct events *ev)
{
    return ev->first;
}

bool events_get(const struct events *ev, uint64_t seq, struct event *ret)
{
    if (seq < ev->first || seq > ev->last)
        return false;
    *ret = event_of(record_at(ev, seq), seq);
    return true;
}

/* -- JSON ------------------------------------------------------------------- */

static void json_exit(struct jsonw *j, const struct event *e)
{
    char name[16];
    if (e->kind == EXIT_STATUS)
        jsonw_int(j, "status", e->value);
    else
        jsonw_null(j, "status");
    jsonw_string(j, "signal", e->kind == EXIT_SIGNAL ? exit_signal_name(e->value, name) : NULL);
    jsonw_bool(j, "core", e->core);
    jsonw_bool(j, "timeout", e->timed_out);
    jsonw_bool(j, "expected", e->expected);
    jsonw_object(j, "rusage");
    jsonw_seconds(j, "utime", (usec_t)e->cpu_user_ms * USEC_PER_MSEC);
    jsonw_seconds(j, "stime", (usec_t)e->cpu_system_ms * USEC_PER_MSEC);
    jsonw_int(j, "maxrss", (int64_t)e->maxrss_kib * 1024);
    jsonw_object_end(j);
}

static void json_error(struct jsonw *j, const struct event *e)
{
    jsonw_string(j, "stage", spawn_stage_name(e->stage));
    jsonw_string(j, "code", strerrorname_np(e->value) ?: "EIO");
    jsonw_string(j, "path", e->text);
    jsonw_string(j, "message", e->text != NULL ? e->text + strlen(e->text) + 1 : NULL);
}

static void json_state(struct jsonw *j, const struct event *e)
{
    jsonw_string(j, "from", process_state_name(e->from));
    jsonw_string(j, "to", process_state_name(e->to));
    jsonw_int(j, "tries", e->tries);
}

static void json_log(struct jsonw *j, const struct event *e)
{
    jsonw_string(j, "stream", e->stream == 2 ? "stderr" : "stdout");
    jsonw_string(j, "reason", e->text);
    if (e->value != 0)
        jsonw_string(j, "code", strerrorname_np(e->value) ?: "EIO");
    if (e->bytes != 0)
        jsonw_int(j, "bytes", (int64_t)e->bytes);
}

static void json_config(struct jsonw *j, const struct event *e)
{
    if (e->text != NULL) { /* members, made by the one who announced them */
        buf_putc(j->out, ',');
        buf_puts(j->out, e->text);
    }
}

static void json_daemon(struct jsonw *j, const struct event *e)
{
    jsonw_string(j, "what", e->text);
}

/* A message is JSON already; one that is too long for an event is told by its length. */
static void json_message(struct jsonw *j, const struct event *e)
{
    if (e->text != NULL)
        jsonw_raw(j, "message", e->text, e->bytes);
    else
        jsonw_null(j, "message");
    jsonw_int(j, "bytes", (int64_t)e->bytes);
}

static const struct {
    const char *name;
    void (*members)(struct jsonw *j, const struct event *e);
} event_types[] = {
    [EVENT_SPAWN] = { "spawn", NULL },           [EVENT_ERROR] = { "error", json_error },
    [EVENT_EXIT] = { "exit", json_exit },        [EVENT_CLOSE] = { "close", NULL },
    [EVENT_DISCONNECT] = { "disconnect", NULL }, [EVENT_MESSAGE] = { "message", json_message },
    [EVENT_STATE] = { "state", json_state },     [EVENT_LOG] = { "log", json_log },
    [EVENT_CONFIG] = { "config", json_config },  [EVENT_DAEMON] = { "daemon", json_daemon },
};

void event_json(const struct event *e, struct buf *out)
{
    struct jsonw j = JSONW_INIT(out);
    jsonw_object(&j, NULL);
    if (e->type != EVENT_MESSAGE)
        jsonw_int(&j, "seq", (int64_t)e->seq);
    jsonw_seconds(&j, "time", e->wall);
    jsonw_string(&j, "event", event_types[e->type].name);
    if (e->name != NULL) {
        jsonw_string(&j, "process", event_name_text(e->name));
        jsonw_int(&j, "pid", e->pid);
    }
    if (event_types[e->type].members != NULL)
        event_types[e->type].members(&j, e);
    jsonw_object_end(&j);
    buf_putc(out, '\n');
}
