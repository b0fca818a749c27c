/* requests_heap.c - deadlines of requests: a heap of the numbers of those that have one,
 * the earliest first.  Owns nothing; it lies in what requests.c owns. */
#include "core/requests_internal.h"

static void heap_put(struct requests *r, uint32_t at, uint32_t n)
{
    r->heap[at] = n;
    r->records[n].heap_at = at + 1;
}

static usec_t heap_time(const struct requests *r, uint32_t at)
{
    return r->records[r->heap[at]].deadline;
}

void requests_heap_up(struct requests *r, uint32_t at)
{
    uint32_t n = r->heap[at];
    while (at > 0 && r->records[n].deadline < heap_time(r, (at - 1) / 2)) {
        heap_put(r, at, r->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(r, at, n);
}

static void heap_down(struct requests *r, uint32_t at)
{
    uint32_t n = r->heap[at];
    for (;;) {
        uint32_t below = 2 * at + 1;
        if (below + 1 < r->n_heap && heap_time(r, below + 1) < heap_time(r, below))
            below++;
        if (below >= r->n_heap || r->records[n].deadline <= heap_time(r, below))
            break;
        heap_put(r, at, r->heap[below]);
        at = below;
    }
    heap_put(r, at, n);
}

void requests_heap_out(struct requests *r, uint32_t n)
{
    uint32_t at = r->records[n].heap_at;
    if (at-- == 0)
        return;
    r->records[n].heap_at = 0;
    uint32_t last = r->heap[--r->n_heap];
    if (last == n)
        return;
    heap_put(r, at, last);
    requests_heap_up(r, at);
    heap_down(r, r->records[last].heap_at - 1);
}

usec_t requests_next(const struct requests *r)
{
    return r->n_heap > 0 ? heap_time(r, 0) : USEC_INFINITY;
}
