/* requests_internal.h - what requests.c and requests_heap.c share; others use requests.h. */
#pragma once

#include "core/requests.h"

struct record {
    uint64_t id;
    usec_t deadline;
    struct route_member *sender, *receiver;
    struct request_cast *cast;
    uint32_t generation; /* of the tags of this number */
    uint32_t hash_next;  /* or the next free one */
    uint32_t asked_next, asked_before;
    uint32_t open_next, open_before;
    uint32_t heap_at; /* its place in the heap, plus one; 0: not in it */
    uint32_t note;
    bool sent, answer;
};

struct request_cast {
    struct route_member *sender; /* NULL: gone, nobody is told */
    struct request_cast *next, **at;
    uint64_t id;
    uint32_t waiting; /* for so many, and one more while it is being opened */
    uint32_t ok, receivers, note;
    size_t n_failures;
    struct request_failure failures[REQUEST_FAILURES_MAX];
};

struct requests {
    struct requests_owner owner;
    struct record *records; /* records[0] is not used */
    uint32_t *table;        /* as many as records, a power of two */
    uint32_t *heap;
    uint32_t size, n_heap, n, free;
    uint32_t generation; /* of the next record; never starts anew, so that an old tag fits nothing */
    uint32_t used;       /* records[1 .. used] have been given out at least once */
    struct request_cast *casts;
};

/* Its place has changed for the better, or it is new and last. */
void requests_heap_up(struct requests *r, uint32_t at);
void requests_heap_out(struct requests *r, uint32_t n); /* also one that is not in it */
