/* envelope.c - see envelope.h.  Pure.  Owns nothing: what it makes are parts that
 * lie where they lay, and words in buffers of the caller's. */
#include "wire/envelope.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/strtab.h"
#include "base/utf8.h"

const struct jsonscan_keys envelope_keys = {
    .n = ENVELOPE_KEYS,
    .keys = { NODE_KEYS_LIST, JSONSCAN_KEY("re"), JSONSCAN_KEY("to"), JSONSCAN_KEY("id"), JSONSCAN_KEY("ttl"),
              JSONSCAN_KEY("ack"), JSONSCAN_KEY("raw") },
};

/* -- reading ------------------------------------------------------------------- */

#define OWN_KEYS                                                                                                       \
    (1U << ENVELOPE_MSG | 1U << ENVELOPE_TO | 1U << ENVELOPE_ID | 1U << ENVELOPE_RE | 1U << ENVELOPE_TTL |             \
     1U << ENVELOPE_ACK | 1U << ENVELOPE_RAW)

static int refuse(struct jsonscan_fault *fault, struct jsonscan_value v, const char *why)
{
    *fault = (struct jsonscan_fault){ v.at, why };
    return -EINVAL;
}

static bool is_there(struct jsonscan_value v)
{
    return v.type != JSONSCAN_NONE && v.type != JSONSCAN_NULL;
}

static int read_number(const char *text, struct jsonscan_value v, bool *has, uint64_t *ret,
                       struct jsonscan_fault *fault)
{
    *has = is_there(v);
    if (*has && jsonscan_integer(text, v, ret) < 0)
        return refuse(fault, v, "not an integer from 0 to 2^53 - 1");
    return 0;
}

static int read_bool(struct jsonscan_value v, bool *ret, struct jsonscan_fault *fault)
{
    if (is_there(v) && v.type != JSONSCAN_TRUE && v.type != JSONSCAN_FALSE)
        return refuse(fault, v, "neither true nor false");
    *ret = v.type == JSONSCAN_TRUE;
    return 0;
}

/* Each address is a string that has something in it. */
static int check_address(const char *text, struct jsonscan_value v, struct jsonscan_fault *fault)
{
    char buf[ENVELOPE_ADDRESS_MAX + 1];
    if (v.type != JSONSCAN_STRING)
        return refuse(fault, v, "an address is a string");
    if (v.len == 2)
        return refuse(fault, v, "an empty address");
    if (v.len > ENVELOPE_ADDRESS_MAX + 2 && jsonscan_string(text, v, buf, sizeof(buf)) < 0)
        return refuse(fault, v, "a very long address");
    return 0;
}

static int check_addresses(const char *text, struct jsonscan_value to, struct jsonscan_fault *fault)
{
    struct jsonscan_value v;
    uint32_t cursor = 0;
    unsigned n = 0;
    if (to.type != JSONSCAN_ARRAY)
        return check_address(text, to, fault);
    while (jsonscan_element(text, to, &cursor, &v)) {
        int error = check_address(text, v, fault);
        if (error < 0)
            return error;
        if (++n > ENVELOPE_ADDRESSES_MAX)
            return refuse(fault, v, "too many addresses");
    }
    return n > 0 ? 0 : refuse(fault, to, "no address");
}

/* What is delivered raw must not be one of the protocol's own messages, of which a
 * Node program dies when it has not asked for it. */
static int check_raw(const char *text, struct jsonscan_value msg, struct jsonscan_fault *fault)
{
    struct jsonscan scan;
    const char *at = text + msg.at;
    if (msg.type != JSONSCAN_OBJECT || jsonscan(at, msg.len, &envelope_keys, &scan, NULL) < 0 ||
        node_kind_of(at, &scan) == NODE_PLAIN)
        return 0;
    return refuse(fault, msg, "a message of Node's own");
}

static int check_twice(const struct jsonscan *scan, struct jsonscan_fault *fault)
{
    uint32_t twice = scan->twice & OWN_KEYS;
    return twice == 0 ? 0 : refuse(fault, scan->members[__builtin_ctz(twice)], "a member that is there twice");
}

int envelope_read(const char *text, const struct jsonscan *scan, struct envelope *ret, struct jsonscan_fault *fault)
{
    const struct jsonscan_value *m = scan->members;
    if (scan->value.type != JSONSCAN_OBJECT || m[ENVELOPE_TO].type == JSONSCAN_NONE ||
        m[ENVELOPE_MSG].type == JSONSCAN_NONE)
        return ENVELOPE_NOT;
    bool has_ttl = false;
    *ret = (struct envelope){ .to = m[ENVELOPE_TO], .msg = m[ENVELOPE_MSG] };
    int error = read_number(text, m[ENVELOPE_ID], &ret->has_id, &ret->id, fault);
    ret->has_id = ret->has_id && error == 0;
    if (error == 0)
        error = check_twice(scan, fault);
    if (error == 0)
        error = check_addresses(text, ret->to, fault);
    if (error == 0)
        error = read_number(text, m[ENVELOPE_RE], &ret->has_re, &ret->re, fault);
    if (error == 0)
        error = read_number(text, m[ENVELOPE_TTL], &has_ttl, &ret->ttl, fault);
    if (error == 0)
        error = read_bool(m[ENVELOPE_ACK], &ret->ack, fault);
    if (error == 0)
        error = read_bool(m[ENVELOPE_RAW], &ret->raw, fault);
    if (error == 0 && has_ttl && (ret->ttl == 0 || ret->ttl > ENVELOPE_TTL_MAX))
        error = refuse(fault, m[ENVELOPE_TTL], "not from 1 ms to a week");
    if (error == 0 && (ret->ack || has_ttl) && !ret->has_id)
        error = refuse(fault, m[ret->ack ? ENVELOPE_ACK : ENVELOPE_TTL], "without an id there is nothing to tell");
    if (error == 0 && ret->raw && ret->has_re)
        error = refuse(fault, m[ENVELOPE_RAW], "an answer has to say what it answers");
    if (error == 0 && ret->raw)
        error = check_raw(text, ret->msg, fault);
    return error;
}

static size_t address_of(const char *text, struct jsonscan_value v, char buf[ENVELOPE_ADDRESS_MAX + 1],
                         const char **address)
{
    if (memchr(text + v.at, '\\', v.len) == NULL) {
        *address = text + v.at + 1;
        return v.len - 2;
    }
    ssize_t len = jsonscan_string(text, v, buf, ENVELOPE_ADDRESS_MAX + 1);
    *address = buf;
    return len > 0 ? (size_t)len : 0;
}

size_t envelope_address(const char *text, const struct envelope *e, uint32_t *cursor,
                        char buf[ENVELOPE_ADDRESS_MAX + 1], const char **address)
{
    struct jsonscan_value v;
    if (e->to.type == JSONSCAN_ARRAY)
        return jsonscan_element(text, e->to, cursor, &v) ? address_of(text, v, buf, address) : 0;
    if (*cursor != 0)
        return 0;
    *cursor = 1;
    return address_of(text, e->to, buf, address);
}

/* -- writing ------------------------------------------------------------------- */

/* A name as a string; what is not UTF-8 in it becomes U+FFFD. */
static void put_name(struct buf *out, const char *name)
{
    size_t len = strlen(name);
    buf_putc(out, '"');
    for (size_t i = 0, n; i < len; i += n) {
        uint32_t c;
        n = utf8_next(name + i, len - i, &c);
        if (c == '"' || c == '\\' || c < ' ')
            buf_printf(out, "\\u%04x", c);
        else if (n == 1 && c >= 0x80)
            buf_puts(out, "\xef\xbf\xbd");
        else
            buf_add(out, name + i, n);
    }
    buf_putc(out, '"');
}

int envelope_from(struct buf *out, const char *name)
{
    buf_puts(out, "{\"from\":");
    put_name(out, name);
    return out->error;
}

static void add(struct envelope_parts *p, const void *data, size_t len)
{
    p->list[p->n++] = (struct iovec){ (void *)(uintptr_t)data, len };
    p->len += len;
}

#define ADD_LITERAL(p, s) add((p), (s), sizeof(s) - 1)

/* ,"name":N and what follows it; digits from the right */
static void add_number(struct envelope_parts *p, const char *before, size_t before_len, uint64_t n, const char *behind,
                       size_t behind_len)
{
    char *end = p->numbers + sizeof(p->numbers), *at = end - behind_len;
    memcpy(at, behind, behind_len);
    do
        *--at = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    at -= before_len;
    memcpy(at, before, before_len);
    add(p, at, (size_t)(end - at));
}

void envelope_parts(struct envelope_parts *p, enum envelope_form form, const struct buf *from, const char *msg,
                    size_t len, uint64_t id)
{
    static const char id_before[] = ",\"id\":", re_before[] = ",\"re\":", msg_before[] = ",\"msg\":";
    p->n = 0;
    p->len = 0;
    if (form == ENVELOPE_FORM_RAW) {
        add(p, msg, len);
        return;
    }
    add(p, from->data, from->len);
    if (form == ENVELOPE_FORM_ANSWER)
        add_number(p, re_before, sizeof(re_before) - 1, id, msg_before, sizeof(msg_before) - 1);
    else
        add(p, msg_before, sizeof(msg_before) - 1);
    add(p, msg, len);
    if (form == ENVELOPE_FORM_REQUEST)
        add_number(p, id_before, sizeof(id_before) - 1, id, "}", 1);
    else
        ADD_LITERAL(p, "}");
}

static const struct strtab codes[] = {
    { "ENOENT", ENOENT }, { "EHOSTDOWN", EHOSTDOWN }, { "ENOBUFS", ENOBUFS },       { "EMSGSIZE", EMSGSIZE },
    { "EACCES", EACCES }, { "ETIMEDOUT", ETIMEDOUT }, { "ECONNRESET", ECONNRESET }, { "EINVAL", EINVAL },
    { "EBADF", EBADF },   { "ENOMEM", ENOMEM },
};

const char *envelope_code(int error)
{
    const char *name = strtab_name(codes, ELEMENTS(codes), -error);
    return name != NULL ? name : "EIO";
}

void envelope_bounce(struct buf *out, uint64_t id, int error, const char *name, const char *json, size_t len)
{
    buf_printf(out, "{\"from\":\"$\",\"re\":%llu,\"err\":\"%s\"", (unsigned long long)id, envelope_code(error));
    if (name == NULL && json == NULL)
        return;
    buf_puts(out, ",\"to\":");
    if (name != NULL)
        put_name(out, name);
    else
        buf_add(out, json, len);
}

void envelope_bounce_fault(struct buf *out, const struct jsonscan_fault *fault)
{
    buf_printf(out, ",\"at\":%zu,\"why\":", fault->at);
    put_name(out, fault->why);
}

void envelope_fault(struct buf *out, int error, const struct jsonscan_fault *fault)
{
    buf_printf(out, "{\"from\":\"$\",\"err\":\"%s\"", envelope_code(error));
    envelope_bounce_fault(out, fault);
    envelope_end(out);
}

void envelope_end(struct buf *out)
{
    buf_putc(out, '}');
}

void envelope_ack(struct buf *out, uint64_t id, uint32_t ok)
{
    buf_printf(out, "{\"from\":\"$\",\"re\":%llu,\"ok\":%u", (unsigned long long)id, ok);
}

void envelope_ack_failure(struct buf *out, bool first, const char *name, int error)
{
    buf_puts(out, first ? ",\"fail\":{" : ",");
    put_name(out, name);
    buf_printf(out, ":\"%s\"", envelope_code(error));
}

void envelope_ack_end(struct buf *out, bool failures)
{
    buf_puts(out, failures ? "}}" : "}");
}

void envelope_own(struct buf *out, bool has_id, uint64_t id)
{
    buf_puts(out, "{\"from\":\"$\"");
    if (has_id)
        buf_printf(out, ",\"re\":%llu", (unsigned long long)id);
    buf_puts(out, ",\"msg\":");
}
