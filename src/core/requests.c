/* requests.c - see requests.h.  Owns the records: one array that grows by doubling
 * and is given back when nothing is open, so that records are numbers (0: none)
 * and cost no allocation each.  A record is in four places: a hash table by who
 * asked whom what, the lists of its sender and of its receiver, and, if it has a
 * deadline, a heap. */
#include "core/requests.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/requests_internal.h"

#define SIZE_FIRST 64
#define SIZE_MOST (1U << 24)

int requests_new(const struct requests_owner *owner, struct requests **ret)
{
    struct requests *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return -ENOMEM;
    r->owner = *owner;
    *ret = r;
    return 0;
}

static void give_back(struct requests *r)
{
    free(r->records);
    free(r->table);
    free(r->heap);
    r->records = NULL;
    r->table = r->heap = NULL;
    r->size = r->used = r->free = 0;
}

static void free_cast(struct request_cast *c)
{
    *c->at = c->next;
    if (c->next != NULL)
        c->next->at = c->at;
    for (size_t i = 0; i < c->n_failures; i++)
        free(c->failures[i].name);
    free(c);
}

void requests_free(struct requests *r)
{
    if (r == NULL)
        return;
    while (r->casts != NULL)
        free_cast(r->casts);
    give_back(r);
    free(r);
}

size_t requests_count(const struct requests *r)
{
    return r->n;
}

/* -- the hash table ------------------------------------------------------------ */

static uint32_t *bucket(const struct requests *r, const struct route_member *sender,
                        const struct route_member *receiver, uint64_t id)
{
    uint64_t h = (uintptr_t)sender * UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ (uintptr_t)receiver) * UINT64_C(0xd6e8feb86659fd93);
    h = (h ^ h >> 32 ^ id) * UINT64_C(0x9e3779b97f4a7c15);
    return &r->table[(h >> 32) & (r->size - 1)];
}

static void hash_in(struct requests *r, uint32_t n)
{
    struct record *q = &r->records[n];
    uint32_t *at = bucket(r, q->sender, q->receiver, q->id);
    q->hash_next = *at;
    *at = n;
}

static void hash_out(struct requests *r, uint32_t n)
{
    const struct record *q = &r->records[n];
    uint32_t *at = bucket(r, q->sender, q->receiver, q->id);
    while (*at != n)
        at = &r->records[*at].hash_next;
    *at = q->hash_next;
}

/* -- the lists of members -------------------------------------------------------- */

static void list_in(struct requests *r, uint32_t n)
{
    struct record *q = &r->records[n];
    q->asked_before = q->open_before = 0;
    q->asked_next = q->sender->asked_first;
    q->open_next = q->receiver->open_first;
    if (q->asked_next != 0)
        r->records[q->asked_next].asked_before = n;
    if (q->open_next != 0)
        r->records[q->open_next].open_before = n;
    q->sender->asked_first = q->receiver->open_first = n;
    q->sender->asked++;
    q->receiver->open++;
}

static void list_out(struct requests *r, uint32_t n)
{
    struct record *q = &r->records[n];
    if (q->asked_before != 0)
        r->records[q->asked_before].asked_next = q->asked_next;
    else
        q->sender->asked_first = q->asked_next;
    if (q->asked_next != 0)
        r->records[q->asked_next].asked_before = q->asked_before;
    if (q->open_before != 0)
        r->records[q->open_before].open_next = q->open_next;
    else
        q->receiver->open_first = q->open_next;
    if (q->open_next != 0)
        r->records[q->open_next].open_before = q->open_before;
    q->sender->asked--;
    q->receiver->open--;
}

/* -- records ---------------------------------------------------------------------- */

static int grow(struct requests *r)
{
    uint32_t size = r->size == 0 ? SIZE_FIRST : r->size * 2;
    if (size > SIZE_MOST)
        return -ENOMEM;
    struct record *records = reallocarray(r->records, size, sizeof(*records));
    if (records == NULL)
        return -ENOMEM;
    r->records = records;
    uint32_t *heap = reallocarray(r->heap, size, sizeof(*heap));
    uint32_t *table = heap != NULL ? calloc(size, sizeof(*table)) : NULL;
    if (heap != NULL)
        r->heap = heap;
    if (table == NULL)
        return -ENOMEM;
    free(r->table);
    r->table = table;
    r->size = size;
    for (uint32_t n = 1; n <= r->used; n++) /* it grows when all are in use */
        hash_in(r, n);
    return 0;
}

static int take(struct requests *r, uint32_t *ret)
{
    if (r->free == 0 && r->used + 1 >= r->size) {
        int error = grow(r);
        if (error < 0)
            return error;
    }
    if (r->free != 0) {
        *ret = r->free;
        r->free = r->records[*ret].hash_next;
    } else {
        *ret = ++r->used;
    }
    r->n++;
    return 0;
}

static void drop(struct requests *r, uint32_t n)
{
    hash_out(r, n);
    list_out(r, n);
    requests_heap_out(r, n);
    r->records[n].sender = NULL;
    r->records[n].hash_next = r->free;
    r->free = n;
    if (--r->n == 0 && r->size > SIZE_FIRST)
        give_back(r);
}

static uint64_t tag_of(const struct requests *r, uint32_t n)
{
    return (uint64_t)r->records[n].generation << 32 | n;
}

static uint32_t find_tag(const struct requests *r, uint64_t tag)
{
    uint32_t n = (uint32_t)tag;
    return n != 0 && n <= r->used && r->records[n].sender != NULL && tag_of(r, n) == tag ? n : 0;
}

int requests_open(struct requests *r, const struct request *q, uint32_t most, uint64_t *tag)
{
    uint32_t n;
    if (q->sender->asked >= most)
        return -ENOBUFS;
    int error = take(r, &n);
    if (error < 0)
        return error;
    r->records[n] = (struct record){
        .id = q->id,
        .deadline = q->deadline,
        .sender = q->sender,
        .receiver = q->receiver,
        .cast = q->cast,
        .generation = r->generation++,
        .answer = q->answer,
        .note = q->note,
    };
    hash_in(r, n);
    list_in(r, n);
    if (q->deadline != USEC_INFINITY) {
        r->heap[r->n_heap] = n;
        requests_heap_up(r, r->n_heap++);
    }
    if (q->cast != NULL) {
        q->cast->waiting++;
        q->cast->receivers++;
    }
    *tag = tag_of(r, n);
    return 0;
}

/* -- acknowledgements ---------------------------------------------------------------- */

int requests_cast(struct requests *r, struct route_member *sender, uint64_t id, struct request_cast **ret)
{
    struct request_cast *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return -ENOMEM;
    c->sender = sender;
    c->id = id;
    c->waiting = 1;
    c->at = &r->casts;
    c->next = r->casts;
    if (c->next != NULL)
        c->next->at = &c->next;
    r->casts = c;
    *ret = c;
    return 0;
}

static void settle(struct requests *r, struct request_cast *c)
{
    if (--c->waiting > 0)
        return;
    const struct request_ack a = { .sender = c->sender,
                                   .id = c->id,
                                   .ok = c->ok,
                                   .receivers = c->receivers,
                                   .failures = c->failures,
                                   .n_failures = c->n_failures,
                                   .note = c->note };
    if (c->sender != NULL)
        r->owner.acked(&a, r->owner.arg);
    free_cast(c);
}

static void note_failure(struct request_cast *c, const char *receiver, int error)
{
    if (c->n_failures == REQUEST_FAILURES_MAX)
        return;
    struct request_failure *f = &c->failures[c->n_failures];
    f->error = error;
    f->name = strdup(receiver);
    if (f->name != NULL)
        c->n_failures++;
}

void requests_failed(struct requests *r, struct request_cast *c, const char *receiver, int error)
{
    (void)r;
    c->receivers++;
    note_failure(c, receiver, error);
}

void requests_cast_all(struct requests *r, struct request_cast *c)
{
    settle(r, c);
}

uint32_t *requests_cast_note(struct request_cast *c)
{
    return &c->note;
}

void requests_cast_drop(struct requests *r, struct request_cast *c)
{
    c->sender = NULL;
    settle(r, c);
}

/* -- ends ------------------------------------------------------------------------------ */

/* What comes in place of an answer.  Before the hand-over an acknowledgement says it. */
static void end(struct requests *r, uint32_t n, int error)
{
    const struct record *q = &r->records[n];
    struct request_end e = { .sender = q->sender,
                             .receiver = q->receiver,
                             .id = q->id,
                             .tag = tag_of(r, n),
                             .error = error,
                             .sent = q->sent,
                             .acked = q->cast != NULL,
                             .note = q->note };
    struct request_cast *cast = q->cast;
    drop(r, n);
    if (!e.sent && r->owner.unsent != NULL)
        r->owner.unsent(&e, r->owner.arg);
    if (cast == NULL) {
        r->owner.ended(&e, r->owner.arg);
        return;
    }
    note_failure(cast, e.receiver->name, error);
    settle(r, cast);
}

void requests_undo(struct requests *r, uint64_t tag)
{
    uint32_t n = find_tag(r, tag);
    if (n == 0)
        return;
    struct request_cast *cast = r->records[n].cast;
    drop(r, n);
    if (cast != NULL) {
        cast->receivers--;
        settle(r, cast);
    }
}

void requests_sent(struct requests *r, uint64_t tag, int result)
{
    uint32_t n = find_tag(r, tag);
    if (n == 0)
        return;
    if (result < 0) {
        end(r, n, result);
        return;
    }
    struct record *q = &r->records[n];
    struct request_cast *cast = q->cast;
    q->sent = true;
    q->cast = NULL;
    if (!q->answer)
        drop(r, n);
    if (cast != NULL) {
        cast->ok++;
        settle(r, cast);
    }
}

/* The oldest one; 0: none. */
static uint32_t find_asked(const struct requests *r, const struct route_member *replier,
                           const struct route_member *sender, uint64_t id)
{
    uint32_t oldest = 0;
    if (r->n == 0)
        return 0;
    for (uint32_t n = *bucket(r, sender, replier, id); n != 0; n = r->records[n].hash_next) {
        const struct record *q = &r->records[n];
        if (q->id == id && q->sender == sender && q->receiver == replier && q->answer)
            oldest = n;
    }
    return oldest;
}

bool requests_waits(const struct requests *r, const struct route_member *replier, const struct route_member *sender,
                    uint64_t id, uint32_t *note)
{
    uint32_t n = find_asked(r, replier, sender, id);
    *note = n != 0 ? r->records[n].note : 0;
    return n != 0;
}

uint32_t requests_note(const struct requests *r, uint64_t tag)
{
    uint32_t n = find_tag(r, tag);
    return n != 0 ? r->records[n].note : 0;
}

bool requests_answer(struct requests *r, const struct route_member *replier, const struct route_member *sender,
                     uint64_t id)
{
    uint32_t n = find_asked(r, replier, sender, id);
    if (n == 0)
        return false;
    uint64_t tag = tag_of(r, n);
    requests_sent(r, tag, 0); /* whoever answers has got it */
    n = find_tag(r, tag);
    if (n != 0)
        drop(r, n);
    return true;
}

void requests_fail(struct requests *r, const struct route_member *replier, const struct route_member *sender,
                   uint64_t id, int error)
{
    uint32_t n = find_asked(r, replier, sender, id);
    if (n == 0)
        return;
    uint64_t tag = tag_of(r, n);
    requests_sent(r, tag, 0);
    n = find_tag(r, tag);
    if (n != 0)
        end(r, n, error);
}

void requests_expire(struct requests *r, usec_t now)
{
    while (requests_next(r) <= now && r->n_heap > 0)
        end(r, r->heap[0], -ETIMEDOUT);
}

void requests_gone(struct requests *r, struct route_member *m)
{
    for (struct request_cast *c = r->casts; c != NULL; c = c->next)
        if (c->sender == m)
            c->sender = NULL;
    while (m->asked_first != 0) {
        uint32_t n = m->asked_first;
        struct request_cast *cast = r->records[n].cast;
        drop(r, n);
        if (cast != NULL)
            settle(r, cast);
    }
    while (m->open_first != 0)
        end(r, m->open_first, r->records[m->open_first].sent ? -ECONNRESET : -EHOSTDOWN);
}
