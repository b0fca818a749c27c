/* journal_more.c - see journal_more.h.
 *
 * Owns the descriptor and the mapping.  A head says whose they are and from which one on;
 * the slots behind it lie as in the file, so that they can be moved there as they are.
 * When they have been, one store into the head says so: a supervisor that is killed
 * before it is followed by one that goes on with these, and moves them again. */
#include "os/journal_more.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "os/journal_file.h"

#define MAGIC "drvrmore"

struct head {
    char magic[8];
    uint64_t id;
    uint32_t first;
    _Atomic uint32_t over;
};

_Static_assert(sizeof(struct head) <= JOURNAL_HEADER_SIZE, "the head has outgrown its page");

static struct head *head_of(const struct journal_more *m)
{
    return (struct head *)(void *)m->map;
}

static int map(struct journal_more *m, uint32_t n)
{
    return journal_file_map(m->fd, &m->map, &m->n, n);
}

static int begin(struct journal_more *m, uint64_t id, uint32_t first, uint32_t n)
{
    int fd = journal_file_memfd("journal-more", n);
    if (fd < 0)
        return fd;
    m->fd = fd;
    int r = map(m, n);
    if (r < 0) {
        journal_more_close(m);
        return r;
    }
    m->first = first;
    *head_of(m) = (struct head){ .id = id, .first = first };
    memcpy(head_of(m)->magic, MAGIC, sizeof(head_of(m)->magic));
    return 0;
}

int journal_more_grow(struct journal_more *m, uint64_t id, uint32_t first, uint32_t n)
{
    if (m->fd < 0)
        return begin(m, id, first, n);
    int r = n > m->n ? journal_file_allocate(m->fd, n) : 0;
    return r == 0 && n > m->n ? map(m, n) : r;
}

static bool is_of(const struct journal_more *m, uint64_t id)
{
    const struct head *h = head_of(m);
    return memcmp(h->magic, MAGIC, sizeof(h->magic)) == 0 && h->id == id && h->over == 0;
}

int journal_more_take(struct journal_more *m, int fd, uint64_t id)
{
    struct stat st;
    *m = JOURNAL_MORE_NONE;
    m->fd = fd;
    int r = fstat(fd, &st) < 0 ? -errno : st.st_size < (off_t)journal_file_size(1) ? -EBADMSG : 0;
    if (r == 0)
        r = map(m, (uint32_t)(((uint64_t)st.st_size - JOURNAL_HEADER_SIZE) / JOURNAL_SLOT_SIZE));
    if (r == 0 && !is_of(m, id))
        r = -EBADMSG;
    if (r < 0)
        journal_more_close(m);
    else
        m->first = head_of(m)->first;
    return r;
}

unsigned char *journal_more_slot(const struct journal_more *m, uint32_t i)
{
    return m->map + journal_file_size(i - m->first);
}

void journal_more_end(struct journal_more *m)
{
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&head_of(m)->over, 1, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    journal_more_close(m);
}

void journal_more_close(struct journal_more *m)
{
    if (m->map != NULL)
        munmap(m->map, journal_file_size(m->n));
    cleanup_close(&m->fd);
    *m = JOURNAL_MORE_NONE;
}
