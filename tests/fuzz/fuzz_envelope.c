/* fuzz_envelope.c - any bytes as a line of a worker: the words of Node's protocol are
 * answered, a handle is unwrapped, an envelope is read, its addresses are looked up, and
 * what receivers and the sender would be given is well-formed and none of Node's own words
 * that nobody has asked for. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/route.h"
#include "fuzz.h"
#include "wire/envelope.h"

enum { MEMBERS = 4 };

static struct route *route;
static struct route_member members[MEMBERS];

static void prepare(void)
{
    static const char *not_c[] = { "a", "b:*", "@b", NULL }, *from_a[] = { "a", NULL };
    static const struct route_profile profiles[MEMBERS] = {
        { .name = "a", .group = "a", .process = "a", .program = "a", .send_to = not_c },
        { .name = "b:b_0", .group = "b", .process = "b_0", .program = "b" },
        { .name = "b:b_1", .group = "b", .process = "b_1", .program = "b", .accept_from = from_a },
        { .name = "c:d", .group = "c", .process = "d", .program = "d" },
    };
    REQUIRE(route_new(NULL, &route) == 0);
    for (int i = 0; i < MEMBERS; i++) {
        REQUIRE(route_join(route, &members[i], &profiles[i]) == 0);
        members[i].up = i != 3;
    }
}

/* Nobody dies of it: JSON to the last byte, and of that kind. */
static void check_line(const struct buf *line, enum node_kind kind)
{
    struct jsonscan scan;
    REQUIRE(line->error == 0 && jsonscan(line->data, line->len, &envelope_keys, &scan, NULL) == 0);
    REQUIRE(node_kind_of(line->data, &scan) == kind && memchr(line->data, '\n', line->len) == NULL);
}

/* What says of a handle what it is, around a message. */
static void check_wrapped(const struct node_handle *h, const struct buf *line)
{
    _cleanup_buf_ struct buf wrapped = BUF_INIT(4 << 20);
    struct jsonscan scan;
    struct node_handle again;
    char before[NODE_WRAP_MAX];
    int len = h->type != NODE_TYPE_NONE ? node_wrap_before(h->type, h->dgram, before) : 0;
    REQUIRE(len >= 0 && len < NODE_WRAP_MAX);
    if (len == 0)
        return;
    buf_add(&wrapped, before, (size_t)len);
    buf_add(&wrapped, line->data, line->len);
    buf_puts(&wrapped, NODE_WRAP_BEHIND);
    check_line(&wrapped, NODE_HANDLE);
    REQUIRE(jsonscan(wrapped.data, wrapped.len, &envelope_keys, &scan, NULL) == 0);
    node_handle_of(wrapped.data, &scan, &again);
    REQUIRE(again.type == h->type && again.dgram == h->dgram && again.msg.len == line->len);
}

static void deliver(const char *text, const struct envelope *e, const struct buf *from, const struct node_handle *h)
{
    _cleanup_buf_ struct buf line = BUF_INIT(4 << 20);
    struct envelope_parts p;
    enum envelope_form form = e->raw      ? ENVELOPE_FORM_RAW
                              : e->has_re ? ENVELOPE_FORM_ANSWER
                              : e->has_id ? ENVELOPE_FORM_REQUEST
                                          : ENVELOPE_FORM_MESSAGE;
    envelope_parts(&p, form, from, text + e->msg.at, e->msg.len, e->has_re ? e->re : e->id);
    for (unsigned i = 0; i < p.n; i++)
        buf_add(&line, p.list[i].iov_base, p.list[i].iov_len);
    REQUIRE(line.len == p.len);
    check_line(&line, NODE_PLAIN);
    check_wrapped(h, &line);
}

/* What became of each address, as an acknowledgement tells it. */
static void route_it(const char *text, const struct envelope *e)
{
    char room[ENVELOPE_ADDRESS_MAX + 1], name[ENVELOPE_ADDRESS_MAX + 1];
    const char *address;
    _cleanup_buf_ struct buf line = BUF_INIT(4 << 20);
    struct route_set set;
    uint32_t cursor = 0;
    size_t len, n = 0, failures = 0;
    route_begin(route, &set);
    envelope_ack(&line, e->id, 3);
    while ((len = envelope_address(text, e, &cursor, room, &address)) > 0) {
        size_t before = set.n;
        int error = route_add(route, &members[0], address, len, &set);
        REQUIRE(error == 0 || set.n == before);
        n++;
        if (error == 0)
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)len, address);
        envelope_ack_failure(&line, failures++ == 0, name, error);
    }
    REQUIRE(n > 0 && n <= ENVELOPE_ADDRESSES_MAX && set.n <= MEMBERS);
    envelope_ack_end(&line, failures > 0);
    check_line(&line, NODE_PLAIN);
}

static void take_message(const char *text, size_t size, const struct jsonscan *scan, const struct node_handle *h)
{
    struct jsonscan_fault fault = { 0 };
    struct envelope e;
    _cleanup_buf_ struct buf from = BUF_INIT(4096), bounce = BUF_INIT(4 << 20);
    int result = envelope_read(text, scan, &e, &fault);
    if (result == ENVELOPE_NOT)
        return;
    if (result < 0) {
        REQUIRE(fault.at < size);
        envelope_bounce(&bounce, e.has_id ? e.id : 0, result, NULL, NULL, 0);
        envelope_bounce_fault(&bounce, &fault);
    } else {
        envelope_from(&from, "a:\"\xff\xc3\xa4");
        deliver(text, &e, &from, h);
        route_it(text, &e);
        envelope_bounce(&bounce, e.id, -ENOENT, NULL, text + e.to.at, e.to.len);
    }
    envelope_end(&bounce);
    check_line(&bounce, NODE_PLAIN);
}

static void take_fault(const struct jsonscan_fault *fault)
{
    _cleanup_buf_ struct buf line = BUF_INIT(4096);
    envelope_fault(&line, -EINVAL, fault);
    check_line(&line, NODE_PLAIN);
}

static void take_question(const char *text, const struct jsonscan *scan, enum node_kind kind)
{
    struct jsonscan again;
    char line[1024];
    size_t n = node_answer(text, scan, kind, line, sizeof(line));
    REQUIRE(n < sizeof(line) && (n == 0 || line[n - 1] == '\n'));
    REQUIRE(n == 0 || jsonscan(line, n - 1, &envelope_keys, &again, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct jsonscan scan;
    struct jsonscan_fault fault = { 0 };
    struct node_handle h = { .type = NODE_TYPE_NONE };
    const char *newline = size > 0 ? memchr(text, '\n', size) : NULL;
    if (route == NULL)
        prepare();
    if (newline != NULL) /* it is a line */
        size = (size_t)(newline - text);
    for (int depth = 0; depth < 4; depth++) { /* a handle in a handle, as Node sends it again */
        if (jsonscan(text, size, &envelope_keys, &scan, &fault) < 0) {
            REQUIRE(depth == 0);
            take_fault(&fault);
            return 0;
        }
        enum node_kind kind = node_kind_of(text, &scan);
        if (kind == NODE_GET_COUNT || kind == NODE_NOTIFY_CLOSE)
            take_question(text, &scan, kind);
        if (kind == NODE_PLAIN)
            take_message(text, size, &scan, &h);
        if (kind != NODE_HANDLE)
            return 0;
        node_handle_of(text, &scan, &h);
        if (h.msg.type == JSONSCAN_NONE)
            return 0;
        text += h.msg.at;
        size = h.msg.len;
    }
    return 0;
}
