/* fuzz_envelope.c - any bytes as a message of a worker: it is read, its addresses are
 * looked up, and what receivers and the sender would be given is well-formed. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/route.h"
#include "wire/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(x)                                                                                                       \
    do {                                                                                                               \
        if (!(x))                                                                                                      \
            abort();                                                                                                   \
    } while (0)

enum { MEMBERS = 4 };

static struct route *route;
static struct route_member members[MEMBERS];

static void prepare(void)
{
    static const struct route_profile profiles[MEMBERS] = {
        { .name = "a", .group = "a", .process = "a", .program = "a" },
        { .name = "b:b_0", .group = "b", .process = "b_0", .program = "b" },
        { .name = "b:b_1", .group = "b", .process = "b_1", .program = "b" },
        { .name = "c:d", .group = "c", .process = "d", .program = "d" },
    };
    CHECK(route_new(NULL, &route) == 0);
    for (int i = 0; i < MEMBERS; i++) {
        CHECK(route_join(route, &members[i], &profiles[i]) == 0);
        members[i].up = i != 3;
    }
}

/* Nobody dies of it: JSON to the last byte. */
static void check_line(const struct buf *line)
{
    struct jsonscan scan;
    CHECK(line->error == 0 && jsonscan(line->data, line->len, &envelope_keys, &scan, NULL) == 0);
}

static void deliver(const char *text, const struct envelope *e, const struct buf *from)
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
    CHECK(line.len == p.len);
    check_line(&line);
}

static void route_it(const char *text, const struct envelope *e)
{
    char room[ENVELOPE_ADDRESS_MAX + 1];
    const char *address;
    struct route_set set;
    uint32_t cursor = 0;
    size_t len, n = 0;
    route_begin(route, &set);
    while ((len = envelope_address(text, e, &cursor, room, &address)) > 0) {
        size_t before = set.n;
        int error = route_add(route, &members[0], address, len, &set);
        CHECK(error == 0 || set.n == before);
        n++;
    }
    CHECK(n > 0 && n <= ENVELOPE_ADDRESSES_MAX && set.n <= MEMBERS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct jsonscan scan;
    struct jsonscan_fault fault = { 0 };
    struct envelope e;
    _cleanup_buf_ struct buf from = BUF_INIT(4096), bounce = BUF_INIT(4 << 20);
    if (route == NULL)
        prepare();
    if (jsonscan(text, size, &envelope_keys, &scan, &fault) < 0)
        return 0;
    int result = envelope_read(text, &scan, &e, &fault);
    if (result == ENVELOPE_NOT)
        return 0;
    if (result < 0) {
        CHECK(fault.at < size);
        envelope_bounce(&bounce, e.has_id ? e.id : 0, result, NULL, NULL, 0);
        envelope_bounce_fault(&bounce, &fault);
    } else {
        envelope_from(&from, "a:\"\xff\xc3\xa4");
        deliver(text, &e, &from);
        route_it(text, &e);
        envelope_bounce(&bounce, e.id, -2, NULL, text + e.to.at, e.to.len);
    }
    envelope_end(&bounce);
    check_line(&bounce);
    return 0;
}
