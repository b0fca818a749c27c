/* test_events.c - the ring of events, its subscribers, and each kind as JSON. */
#include "cmocka_all.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>

#include "supervisor/events.h"

static int setup(void **state)
{
    return events_new(NULL, (struct events **)state);
}

static int teardown(void **state)
{
    events_free(*state);
    return 0;
}

static void add(struct events *ev, const char *text)
{
    struct event e = { .type = EVENT_DAEMON, .text = text != NULL ? strdup(text) : NULL };
    events_add(ev, &e);
}

static void test_numbers(void **state)
{
    struct events *ev = *state;
    assert_int_equal(events_last(ev), 0);
    assert_int_equal(events_first(ev), 1);
    struct event e;
    assert_false(events_get(ev, 0, &e));
    assert_false(events_get(ev, 1, &e));
    char text[16];
    for (unsigned i = 1; i <= 3 * EVENTS_KEPT + 7; i++) {
        snprintf(text, sizeof(text), "%u", i);
        add(ev, text);
        assert_int_equal(events_last(ev), i);
        assert_int_equal(events_first(ev), i > EVENTS_KEPT ? i - EVENTS_KEPT + 1 : 1);
    }
    for (uint64_t seq = 0; seq <= events_last(ev) + 1; seq++) {
        bool there = events_get(ev, seq, &e);
        assert_int_equal(there, seq >= events_first(ev) && seq <= events_last(ev));
        if (!there)
            continue;
        assert_int_equal(e.seq, seq);
        assert_int_equal(strtoul(e.text, NULL, 10), seq);
        assert_true(e.wall > 1600000000ULL * USEC_PER_SEC);
    }
}

static void test_names_outlive_processes(void **state)
{
    struct events *ev = *state;
    struct event_name *name = event_name_new("web", "web_00");
    assert_string_equal(event_name_text(name), "web:web_00");
    for (int i = 0; i < EVENTS_KEPT + 100; i++) {
        struct event e = { .type = EVENT_SPAWN, .name = name, .pid = i };
        events_add(ev, &e);
    }
    event_name_unref(name); /* the process is removed; its events stay */
    struct event e;
    assert_true(events_get(ev, events_first(ev), &e));
    assert_string_equal(event_name_text(e.name), "web:web_00");
    assert_null(event_name_ref(NULL));
    event_name_unref(NULL);
}

/* -- subscribers ------------------------------------------------------------ */

struct listener {
    struct event_subscriber subscriber;
    struct events *ev;
    uint64_t heard, last;
    struct listener *leaves; /* unsubscribes that one at the first event */
    unsigned adds;           /* so many more events from within */
};

static void on_event(const struct event *e, void *arg)
{
    struct listener *l = arg;
    l->heard++;
    l->last = e->seq;
    if (l->leaves != NULL)
        events_unsubscribe(&l->leaves->subscriber);
    l->leaves = NULL;
    for (; l->adds > 0; l->adds--) {
        unsigned left = l->adds;
        l->adds = 0;
        add(l->ev, "from within");
        l->adds = left;
    }
    assert_int_equal(strlen(e->text) > 0, 1); /* still there, whatever was added meanwhile */
}

static void test_subscribers(void **state)
{
    struct events *ev = *state;
    struct listener a = { .ev = ev }, b = { .ev = ev };
    events_subscribe(ev, &a.subscriber, on_event, &a);
    add(ev, "1");
    events_subscribe(ev, &b.subscriber, on_event, &b);
    add(ev, "2");
    assert_int_equal(a.heard, 2);
    assert_int_equal(b.heard, 1);
    assert_int_equal(b.last, 2);
    events_unsubscribe(&a.subscriber);
    events_unsubscribe(&a.subscriber); /* twice is once */
    add(ev, "3");
    assert_int_equal(a.heard, 2);
    assert_int_equal(b.heard, 2);
    events_unsubscribe(&b.subscriber);
    add(ev, "4");
    assert_int_equal(b.heard, 2);
}

static void test_leaving_while_told(void **state)
{
    struct events *ev = *state;
    struct listener all[3] = { { .ev = ev }, { .ev = ev }, { .ev = ev } };
    for (int i = 0; i < 3; i++)
        events_subscribe(ev, &all[i].subscriber, on_event, &all[i]);
    for (int i = 0; i < 3; i++)
        all[i].leaves = &all[i]; /* each at its own first event, as a stream that breaks */
    add(ev, "1");
    add(ev, "2");
    for (int i = 0; i < 3; i++)
        assert_int_equal(all[i].heard, 1);
}

static void test_adding_while_told(void **state)
{
    struct events *ev = *state;
    struct listener first = { .ev = ev }, second = { .ev = ev, .adds = 200 };
    events_subscribe(ev, &first.subscriber, on_event, &first);
    events_subscribe(ev, &second.subscriber, on_event, &second); /* is told before it */
    add(ev, "the ring grows under this one");
    assert_int_equal(first.heard, 201);
    assert_int_equal(second.heard, 201);
    assert_int_equal(events_last(ev), 201);
    events_unsubscribe(&first.subscriber);
    events_unsubscribe(&second.subscriber);
}

/* -- JSON ------------------------------------------------------------------- */

/* Adds it, reads its line back, and compares with `expected`, which has neither seq
 * nor time. */
static void assert_json(struct events *ev, struct event *e, const char *expected)
{
    _cleanup_buf_ struct buf line = BUF_INIT(10000);
    struct event kept;
    events_add(ev, e);
    assert_true(events_get(ev, events_last(ev), &kept));
    event_json(&kept, &line);
    assert_int_equal(line.error, 0);
    assert_ptr_equal(strchr(line.data, '\n'), line.data + line.len - 1); /* one line */
    json_error_t error;
    json_t *got = json_loads(line.data, JSON_REJECT_DUPLICATES, &error), *wanted = json_loads(expected, 0, &error);
    if (got == NULL || wanted == NULL)
        fail_msg("%s: %s", error.text, line.data);
    assert_int_equal(json_integer_value(json_object_get(got, "seq")), events_last(ev));
    assert_true(json_number_value(json_object_get(got, "time")) > 1.6e9);
    json_object_del(got, "seq");
    json_object_del(got, "time");
    if (!json_equal(got, wanted))
        fail_msg("%s is not %s", line.data, expected);
    json_decref(got);
    json_decref(wanted);
}

static void test_json(void **state)
{
    struct events *ev = *state;
    struct event_name *n = event_name_new("g", "p");
    assert_json(ev, &(struct event){ .type = EVENT_SPAWN, .name = n, .pid = 7 },
                "{\"event\":\"spawn\",\"process\":\"g:p\",\"pid\":7}");
    assert_json(ev, &(struct event){ .type = EVENT_CLOSE, .name = n, .pid = 7 },
                "{\"event\":\"close\",\"process\":\"g:p\",\"pid\":7}");
    assert_json(
        ev,
        &(struct event){ .type = EVENT_STATE, .name = n, .from = PROCESS_STARTING, .to = PROCESS_BACKOFF, .tries = 2 },
        "{\"event\":\"state\",\"process\":\"g:p\",\"pid\":0,\"from\":\"STARTING\",\"to\":\"BACKOFF\",\"tries\":2}");
    assert_json(
        ev,
        &(struct event){ .type = EVENT_STATE, .name = n, .from = PROCESS_FATAL, .to = PROCESS_UNKNOWN, .tries = 300 },
        "{\"event\":\"state\",\"process\":\"g:p\",\"pid\":0,\"from\":\"FATAL\",\"to\":\"UNKNOWN\",\"tries\":300}");
    assert_json(ev,
                &(struct event){ .type = EVENT_ERROR,
                                 .name = n,
                                 .stage = SPAWN_STAGE_EXEC,
                                 .value = ENOENT,
                                 .text = event_error_text("/bin/x", "no \"x\"\n") },
                "{\"event\":\"error\",\"process\":\"g:p\",\"pid\":0,\"stage\":\"exec\",\"code\":\"ENOENT\",\"path\":\"/"
                "bin/x\",\"message\":\"no "
                "\\\"x\\\"\\n\"}");
    assert_json(ev, &(struct event){ .type = EVENT_LOG, .name = n, .pid = 7, .stream = 2, .text = strdup("rotated") },
                "{\"event\":\"log\",\"process\":\"g:p\",\"pid\":7,\"stream\":\"stderr\",\"reason\":\"rotated\"}");
    assert_json(ev,
                &(struct event){ .type = EVENT_LOG,
                                 .name = n,
                                 .stream = 1,
                                 .value = ENOSPC,
                                 .bytes = UINT64_C(1) << 40,
                                 .text = strdup("dropped") },
                "{\"event\":\"log\",\"process\":\"g:p\",\"pid\":0,\"stream\":\"stdout\",\"reason\":\"dropped\","
                "\"code\":\"ENOSPC\",\"bytes\":1099511627776}");
    assert_json(ev, &(struct event){ .type = EVENT_DAEMON, .text = strdup("running") },
                "{\"event\":\"daemon\",\"what\":\"running\"}");
    assert_json(ev, &(struct event){ .type = EVENT_CONFIG, .text = strdup("\"added\":[\"a\"],\"removed\":[]") },
                "{\"event\":\"config\",\"added\":[\"a\"],\"removed\":[]}");
    assert_json(ev, &(struct event){ .type = EVENT_CONFIG }, "{\"event\":\"config\"}");
    event_name_unref(n);
}

static void test_json_of_exits(void **state)
{
    struct events *ev = *state;
    struct event_name *n = event_name_new("g", "p");
    struct event e = { .type = EVENT_EXIT,
                       .name = n,
                       .pid = 7,
                       .kind = EXIT_STATUS,
                       .value = 3,
                       .cpu_user_ms = 1500,
                       .cpu_system_ms = 20,
                       .maxrss_kib = 2048 };
    assert_json(ev, &e,
                "{\"event\":\"exit\",\"process\":\"g:p\",\"pid\":7,\"status\":3,\"signal\":null,\"core\":false,"
                "\"timeout\":false,"
                "\"expected\":false,\"rusage\":{\"utime\":1.5,\"stime\":0.02,\"maxrss\":2097152}}");
    e = (struct event){
        .type = EVENT_EXIT, .name = n, .kind = EXIT_SIGNAL, .value = SIGSEGV, .core = true, .expected = true
    };
    assert_json(ev, &e,
                "{\"event\":\"exit\",\"process\":\"g:p\",\"pid\":0,\"status\":null,\"signal\":\"SIGSEGV\",\"core\":"
                "true,\"timeout\":false,"
                "\"expected\":true,\"rusage\":{\"utime\":0,\"stime\":0,\"maxrss\":0}}");
    event_name_unref(n);
}

int main(void)
{
#define WITH_RING(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    static const struct CMUnitTest tests[] = {
        WITH_RING(test_numbers),           WITH_RING(test_names_outlive_processes),
        WITH_RING(test_subscribers),       WITH_RING(test_leaving_while_told),
        WITH_RING(test_adding_while_told), WITH_RING(test_json),
        WITH_RING(test_json_of_exits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
