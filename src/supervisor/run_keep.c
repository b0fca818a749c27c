/* run_keep.c - see run_keep.h.  Owns the memory and its descriptor.  A berth is written
 * while nobody else looks at it; what counts is only that a number is stored after the
 * bytes that it speaks of, since the memory outlives its writer at any instruction. */
#include "supervisor/run_keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guardian/holder.h"
#include "os/spawn.h"

#define MEMORY_NAME "runs"
#define MAGIC (0x72756e00U + (uint32_t)(sizeof(struct run_keep) & 0xffffff))
#define UNREAD_FOR (10 * USEC_PER_MSEC) /* that long a client has to read its end before the berth is used again */
#define UNBORN_FOR (15 * USEC_PER_SEC)  /* and to ask for it once more */

struct content {
    uint64_t magic, last;
    struct run_keep berths[RUN_BERTHS];
};

struct run_memory {
    int fd;
    struct content *content;
};

static void *map(int fd)
{
    int flags = fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    void *p = mmap(NULL, sizeof(struct content), PROT_READ | PROT_WRITE, flags, fd, 0);
    return p != MAP_FAILED ? p : NULL;
}

/* The same size and layout as ours, or it is not read at all. */
static struct content *map_existing(int fd)
{
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size != (off_t)sizeof(struct content))
        return NULL;
    struct content *c = map(fd);
    if (c != NULL && c->magic == MAGIC)
        return c;
    if (c != NULL)
        munmap(c, sizeof(*c));
    return NULL;
}

static int make_memory(void)
{
    _cleanup_close_ int fd = memfd_create("drover-runs", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)sizeof(struct content)) < 0)
        return -1;
    return spawn_raise_fd(TAKE_FD(fd));
}

bool run_memory_is_left(const struct holder *h)
{
    return h != NULL && roll_held(h->roll, roll_name(MEMORY_NAME)) >= 0;
}

struct run_memory *run_memory_new(struct holder *h)
{
    struct run_memory *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return NULL;
    m->fd = h != NULL ? holder_take(h, MEMORY_NAME) : -1;
    m->content = map_existing(m->fd);
    if (m->content != NULL)
        return m;
    cleanup_close(&m->fd);
    m->fd = h != NULL ? make_memory() : -1;
    m->content = map(m->fd);
    if (m->content == NULL) {
        run_memory_free(m);
        return NULL;
    }
    m->content->magic = MAGIC;
    if (m->fd >= 0)
        holder_put(h, MEMORY_NAME, m->fd);
    return m;
}

void run_memory_free(struct run_memory *m)
{
    if (m == NULL)
        return;
    if (m->content != NULL)
        munmap(m->content, sizeof(*m->content));
    cleanup_close(&m->fd);
    free(m);
}

struct run_keep *run_memory_berth(struct run_memory *m, unsigned i)
{
    return &m->content->berths[i];
}

unsigned run_memory_index(const struct run_memory *m, const struct run_keep *k)
{
    return (unsigned)(k - m->content->berths);
}

/* Everything but the ring, which is not read before it is written. */
static void clear(struct run_keep *k)
{
    k->state = RUN_FREE;
    memset(k, 0, offsetof(struct run_keep, input));
}

static bool is_free(const struct run_keep *k, uint64_t at)
{
    uint64_t for_long = k->state == RUN_UNBORN ? UNBORN_FOR : UNREAD_FOR;
    return k->state == RUN_FREE || (k->state != RUN_LIVES && k->told_at + for_long < at);
}

static struct run_keep *find_berth(struct run_memory *m, uint64_t key)
{
    struct run_keep *best = NULL;
    uint64_t at = usec_now(CLOCK_MONOTONIC);
    for (unsigned i = 0; i < RUN_BERTHS; i++) {
        struct run_keep *k = &m->content->berths[i];
        if (k->state == RUN_UNBORN && key != 0 && k->key == key)
            return k;
        if (k->state == RUN_LIVES || (best != NULL && is_free(best, at)))
            continue;
        if (best == NULL || is_free(k, at) || k->told_at < best->told_at)
            best = k;
    }
    return best;
}

struct run_keep *run_memory_take(struct run_memory *m, uint64_t key)
{
    struct run_keep *k = find_berth(m, key);
    if (k == NULL)
        return NULL;
    uint64_t number = k->state == RUN_UNBORN && k->key == key ? k->number : ++m->content->last;
    clear(k);
    k->number = number;
    return k;
}

void run_memory_told(struct run_keep *k)
{
    k->told_at = usec_now(CLOCK_MONOTONIC);
    k->state = k->key != 0 ? RUN_TOLD : RUN_FREE;
}

void run_memory_unborn(struct run_keep *k)
{
    k->told_at = usec_now(CLOCK_MONOTONIC);
    k->state = RUN_UNBORN;
}

/* -- the answer ----------------------------------------------------------------- */

static void put(struct run_keep *k, uint64_t at, const char *data, size_t len)
{
    size_t from = (size_t)(at % RUN_RING);
    size_t to_end = len < RUN_RING - from ? len : RUN_RING - from;
    memcpy(k->ring + from, data, to_end);
    memcpy(k->ring, data + to_end, len - to_end);
}

void run_keep_add(struct run_keep *k, const char *head, size_t head_len, const char *data, size_t len)
{
    put(k, k->made, head, head_len);
    put(k, k->made + head_len, data, len);
    atomic_signal_fence(memory_order_seq_cst); /* whoever is killed here has made nothing */
    k->made += head_len + len;
    atomic_signal_fence(memory_order_seq_cst);
}

int run_keep_rest(const struct run_keep *k, uint64_t from, struct run_piece pieces[2])
{
    if (from > k->made || k->made - from > RUN_RING)
        return -ERANGE;
    size_t len = (size_t)(k->made - from), at = (size_t)(from % RUN_RING);
    size_t to_end = len < RUN_RING - at ? len : RUN_RING - at;
    pieces[0] = (struct run_piece){ k->ring + at, to_end };
    pieces[1] = (struct run_piece){ k->ring, len - to_end };
    return 0;
}
