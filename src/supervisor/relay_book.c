/* relay_book.c - see relay_book.h.
 *
 * Owns the memfd and its mapping.  An entry is written before what it tells of happens, and
 * its state last, so that whoever looks at it after our death finds each of them whole;
 * numbers of messages that never were say that it did not happen.  There is no pointer in
 * it, and nothing in it is believed that does not fit. */
#include "supervisor/relay_book.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

#define MAGIC (0x726b0000U + (uint32_t)sizeof(struct relay_book_entry))
#define STEP 256U /* so many more entries have memory at a time: what is short is an error here, and never a SIGBUS */

struct pages {
    uint32_t magic;
    uint32_t used;
    uint32_t missed;                                      /* did not fit */
    struct relay_book_entry entries[RELAY_BOOK_MOST + 1]; /* [0] is not used */
};

struct relay_book {
    struct pages *pages;
    uint32_t free, backed;
    int memory;
    bool is_new;
};

static int back(struct relay_book *b, uint32_t n)
{
    size_t size = offsetof(struct pages, entries) + ((size_t)n + 1) * sizeof(struct relay_book_entry);
    int r = posix_fallocate(b->memory, 0, (off_t)size);
    if (r == 0)
        b->backed = n;
    return -r;
}

static void begin_anew(struct relay_book *b)
{
    b->is_new = true;
    b->pages->magic = 0;
    b->pages->used = b->pages->missed = 0;
    __atomic_store_n(&b->pages->magic, MAGIC, __ATOMIC_RELEASE);
}

/* What somebody before us has left. */
static void look_at(struct relay_book *b)
{
    struct pages *p = b->pages;
    if (p->magic != MAGIC || p->used > RELAY_BOOK_MOST || (p->used > b->backed && back(b, p->used) < 0)) {
        begin_anew(b);
        return;
    }
    for (uint32_t n = p->used; n > 0; n--)
        if (p->entries[n].state != RELAY_BOOK_OPEN && p->entries[n].state != RELAY_BOOK_ENDED) {
            p->entries[n].state = RELAY_BOOK_FREE;
            p->entries[n].next = b->free;
            b->free = n;
        }
}

int relay_book_new(int memory, struct relay_book **ret)
{
    struct relay_book *b = memory >= 0 ? calloc(1, sizeof(*b)) : NULL;
    *ret = NULL;
    if (memory < 0)
        return 0;
    if (b == NULL)
        return -ENOMEM;
    b->memory = memory;
    int r = ftruncate(memory, sizeof(*b->pages)) < 0 ? -errno : back(b, STEP);
    void *at = r < 0 ? MAP_FAILED : mmap(NULL, sizeof(*b->pages), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (at == MAP_FAILED) {
        free(b);
        return -ENOMEM;
    }
    b->pages = at;
    look_at(b);
    *ret = b;
    return 0;
}

void relay_book_free(struct relay_book *b)
{
    if (b == NULL)
        return;
    munmap(b->pages, sizeof(*b->pages));
    close(b->memory);
    free(b);
}

struct relay_book_entry *relay_book_at(struct relay_book *b, uint32_t n)
{
    return b != NULL && n != 0 && n <= b->pages->used ? &b->pages->entries[n] : NULL;
}

uint32_t relay_book_used(const struct relay_book *b)
{
    return b != NULL ? b->pages->used : 0;
}

bool relay_book_is_whole(const struct relay_book *b)
{
    return b != NULL && b->pages->missed == 0;
}

void relay_book_had_predecessor(struct relay_book *b)
{
    if (b != NULL && b->is_new)
        b->pages->missed++;
}

static uint32_t missed(struct relay_book *b)
{
    if (b->pages->missed++ == 0)
        log_warn("relay: more than %u requests at a time; of some there will be no word if the supervisor is killed",
                 b->pages->used);
    return 0;
}

static uint32_t take(struct relay_book *b)
{
    struct pages *p = b->pages;
    uint32_t n = b->free;
    if (n != 0) {
        b->free = p->entries[n].next;
        return n;
    }
    if (p->used == RELAY_BOOK_MOST || (p->used == b->backed && back(b, p->used + STEP) < 0))
        return missed(b);
    p->entries[p->used + 1].state = RELAY_BOOK_FREE;
    return ++p->used;
}

static void set_state(struct relay_book_entry *e, enum relay_book_state state)
{
    __atomic_store_n(&e->state, (uint8_t)state, __ATOMIC_RELEASE);
}

uint32_t relay_book_add(struct relay_book *b, const struct relay_book_entry *e)
{
    uint32_t n = b != NULL ? take(b) : 0;
    if (n == 0)
        return 0;
    struct relay_book_entry *at = &b->pages->entries[n], fresh = *e;
    fresh.next = 0;
    fresh.state = RELAY_BOOK_FREE;
    *at = fresh;
    set_state(at, e->state);
    return n;
}

void relay_book_drop(struct relay_book *b, uint32_t n)
{
    struct relay_book_entry *e = relay_book_at(b, n);
    if (e == NULL)
        return;
    set_state(e, RELAY_BOOK_FREE);
    e->next = b->free;
    b->free = n;
}

void relay_book_end(struct relay_book *b, uint32_t n, uint64_t ended_at, uint64_t ended_by, int error)
{
    struct relay_book_entry *e = relay_book_at(b, n);
    if (e == NULL)
        return;
    e->ended_at = ended_at;
    e->ended_by = ended_by;
    e->error = (int16_t)error;
    set_state(e, RELAY_BOOK_ENDED);
}

void relay_book_reopen(struct relay_book *b, uint32_t n)
{
    struct relay_book_entry *e = relay_book_at(b, n);
    if (e != NULL)
        set_state(e, RELAY_BOOK_OPEN);
}

void relay_book_enqueue(struct relay_book *b, struct relay_book_queue *q, uint32_t n)
{
    struct relay_book_entry *e = relay_book_at(b, n), *last = relay_book_at(b, q->last);
    if (e == NULL)
        return;
    e->next = 0;
    if (last != NULL)
        last->next = n;
    else
        q->first = n;
    q->last = n;
}

void relay_book_clear(struct relay_book *b, struct relay_book_queue *q, uint64_t taken)
{
    const struct relay_book_entry *e;
    while ((e = relay_book_at(b, q->first)) != NULL && e->ended_at <= taken) {
        uint32_t n = q->first;
        q->first = e->next;
        if (q->first == 0)
            q->last = 0;
        relay_book_drop(b, n);
    }
}

void relay_book_forget(struct relay_book *b, uint64_t asker)
{
    for (uint32_t n = relay_book_used(b); n > 0; n--)
        if (b->pages->entries[n].state != RELAY_BOOK_FREE && b->pages->entries[n].asker == asker)
            relay_book_drop(b, n);
}

/* By as many as there are before it: thousands may expire at once, in a book of thousands. */
static uint64_t less(uint64_t at, const uint64_t *gaps, size_t n)
{
    size_t from = 0, to = n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (gaps[middle] < at)
            from = middle + 1;
        else
            to = middle;
    }
    return at - from;
}

void relay_book_close_gaps(struct relay_book *b, uint64_t channel, const uint64_t *gaps, size_t n)
{
    for (uint32_t i = relay_book_used(b); i > 0 && n > 0; i--) {
        struct relay_book_entry *e = &b->pages->entries[i];
        if (e->state == RELAY_BOOK_FREE)
            continue;
        if (e->answerer == channel && e->given_at > gaps[0])
            e->given_at = less(e->given_at, gaps, n);
        if (e->asker == channel && e->state == RELAY_BOOK_ENDED && e->ended_at > gaps[0])
            e->ended_at = less(e->ended_at, gaps, n);
    }
}
