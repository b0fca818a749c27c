/* envelope.h - messages between processes: what a sender wrote, and what receivers
 * are given.
 *
 * A message is an envelope when it is an object with members of its own `to` and
 * `msg`; what it carries goes on byte for byte.
 *
 *   worker ->  {"to":"api","msg":ANY}           and id, re, ttl, ack, raw
 *   worker <-  {"from":"web:web_1","msg":ANY,"id":7}
 *   answer     {"from":"api:api_0","re":7,"msg":ANY}
 *   ack        {"from":"$","re":7,"ok":3}       and fail, where somebody was not reached
 *   bounce     {"from":"$","re":7,"err":"ENOBUFS","to":"api:api_0"} */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "wire/jsonscan.h"
#include "wire/node.h"

/* What has to be looked for in every message, besides Node's own keys. */
enum {
    ENVELOPE_MSG = NODE_KEY_MSG,
    ENVELOPE_RE = NODE_KEYS,
    ENVELOPE_TO,
    ENVELOPE_ID,
    ENVELOPE_TTL,
    ENVELOPE_ACK,
    ENVELOPE_RAW,
    ENVELOPE_KEYS,
};
extern const struct jsonscan_keys envelope_keys;

#define ENVELOPE_ADDRESSES_MAX 256 /* in one list */
#define ENVELOPE_ADDRESS_MAX 255   /* bytes */
#define ENVELOPE_TTL_MAX (7ULL * 24 * 60 * 60 * 1000)

struct envelope {
    struct jsonscan_value to, msg; /* to: a string, or an array of strings */
    uint64_t id, re;
    uint64_t ttl; /* milliseconds; 0: none */
    bool has_id, has_re;
    bool ack, raw;
};

/* 0; ENVELOPE_NOT: a message of another kind; -EINVAL with *fault set.  After a
 * fault ret->id is there if the message has one that can be read. */
#define ENVELOPE_NOT 1
int envelope_read(const char *text, const struct jsonscan *scan, struct envelope *ret, struct jsonscan_fault *fault);

/* The addresses, one a call; *cursor is 0 at first.  The length, 0 at the end.
 * The bytes are in `buf` or in the text, without a NUL. */
size_t envelope_address(const char *text, const struct envelope *e, uint32_t *cursor,
                        char buf[ENVELOPE_ADDRESS_MAX + 1], const char **address);

/* -- what receivers are given ------------------------------------------------ */

/* {"from":"NAME" - made once for each process. */
int envelope_from(struct buf *out, const char *name);

#define ENVELOPE_PARTS 5
struct envelope_parts {
    struct iovec list[ENVELOPE_PARTS];
    unsigned n;
    size_t len;
    char numbers[64];
};
enum envelope_form { ENVELOPE_FORM_MESSAGE, ENVELOPE_FORM_REQUEST, ENVELOPE_FORM_ANSWER, ENVELOPE_FORM_RAW };

/* A line without its newline; borrows all that it is given. */
void envelope_parts(struct envelope_parts *p, enum envelope_form form, const struct buf *from, const char *msg,
                    size_t len, uint64_t id);

/* {"from":"$","re":ID,"err":"CODE","to":"NAME"} without the last brace, so that
 * more can follow; `to` as a name, or as JSON, or neither. */
void envelope_bounce(struct buf *out, uint64_t id, int error, const char *name, const char *json, size_t len);
void envelope_bounce_fault(struct buf *out, const struct jsonscan_fault *fault); /* ,"at":N,"why":"..." */
/* {"from":"$","err":"CODE","at":N,"why":"..."}: of a line that was no message. */
void envelope_fault(struct buf *out, int error, const struct jsonscan_fault *fault);
void envelope_end(struct buf *out);

/* {"from":"$","re":ID,"ok":N, then for each who was not reached envelope_ack_failure(). */
void envelope_ack(struct buf *out, uint64_t id, uint32_t ok);
void envelope_ack_failure(struct buf *out, bool first, const char *name, int error);
void envelope_ack_end(struct buf *out, bool failures);

/* {"from":"$","re":ID,"msg": - the answer of the supervisor itself. */
void envelope_own(struct buf *out, bool has_id, uint64_t id);

/* "ENOBUFS"; "EIO" for what has no place here. */
const char *envelope_code(int error);
