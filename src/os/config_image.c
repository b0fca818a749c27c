/* config_image.c - see config_image.h.
 *
 * The file: a head, where each block of the arena belongs, and the blocks, each from a
 * page on.  All that a configuration points to lies in these blocks or in the program
 * itself.  Whether the program is the same, at the same place, is told by what the
 * kernel gives each execution at random.  Mapped blocks cannot be written: nobody has
 * to, and nobody can spoil what the next supervisor maps.  Owns nothing beyond a call. */
#include "os/config_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "config/load.h"

#define MAGIC "drvimg1"
#define BLOCKS_MAX (1U << 20)

struct head {
    char magic[8];
    uint64_t execution;
    struct config_holder holder; /* its pointers hold where the blocks are in place */
    uint64_t n_blocks;
};

/* The same in all processes that came of one execve(2) by forks. */
static uint64_t this_execution(void)
{
    const void *random = (const void *)getauxval(AT_RANDOM);
    return random != NULL ? hash64((uintptr_t)&config_image_map, random, 16) : 0;
}

static size_t page_up(size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (n + page - 1) & ~(page - 1);
}

static off_t first_block(size_t n)
{
    return (off_t)page_up(sizeof(struct head) + n * sizeof(struct arena_span));
}

static bool put(int fd, const void *data, size_t len, off_t at)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, at);
        if (n <= 0)
            return false;
        data = (const char *)data + n;
        len -= (size_t)n;
        at += n;
    }
    return true;
}

static bool take(int fd, void *data, size_t len, off_t at)
{
    return pread(fd, data, len, at) == (ssize_t)len;
}

/* In place of what is there or, without MAP_FIXED, where nothing is. */
static int map_block(int fd, const struct arena_span *s, off_t at, int how)
{
    void *p = mmap(s->start, s->size, PROT_READ, MAP_PRIVATE | MAP_POPULATE | how, fd, at);
    return p == s->start ? 0 : p == MAP_FAILED ? -errno : -EEXIST;
}

/* -- writing ---------------------------------------------------------------------- */

static bool write_all(int fd, const struct head *head, const struct arena_span *spans)
{
    size_t n = head->n_blocks;
    off_t at = first_block(n);
    bool good = put(fd, head, sizeof(*head), 0) && put(fd, spans, n * sizeof(*spans), sizeof(*head));
    for (size_t i = 0; good && i < n; i++) {
        good = put(fd, spans[i].start, spans[i].size, at);
        at += (off_t)page_up(spans[i].size);
    }
    return good && ftruncate(fd, at) == 0 &&
           fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0;
}

/* What cannot be replaced stays as it is. */
static void replace(int fd, const struct arena_span *spans, size_t n)
{
    off_t at = first_block(n);
    for (size_t i = 0; i < n; i++) {
        map_block(fd, &spans[i], at, MAP_FIXED);
        at += (off_t)page_up(spans[i].size);
    }
}

int config_image_write(struct config *c)
{
    struct config_holder *h = (struct config_holder *)c;
    arena_trim(&h->arena);
    struct head head = { .magic = MAGIC, .execution = this_execution(), .holder = *h };
    head.n_blocks = arena_spans(&h->arena, NULL, 0);
    if (head.execution == 0 || head.n_blocks == 0 || head.n_blocks > BLOCKS_MAX)
        return -EOPNOTSUPP;
    _cleanup_free_ struct arena_span *spans = calloc(head.n_blocks, sizeof(*spans));
    _cleanup_close_ int fd = memfd_create("configuration image", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (spans == NULL || fd < 0)
        return spans == NULL ? -ENOMEM : -errno;
    arena_spans(&h->arena, spans, head.n_blocks);
    if (!write_all(fd, &head, spans))
        return -EIO;
    replace(fd, spans, head.n_blocks);
    return TAKE_FD(fd);
}

/* -- mapping ---------------------------------------------------------------------- */

/* A page that the file does not have would be a SIGBUS later. */
static bool is_whole(int fd, const struct arena_span *spans, size_t n)
{
    struct stat st;
    uint64_t end = (uint64_t)first_block(n);
    for (size_t i = 0; i < n; i++)
        end += page_up(spans[i].size);
    return fstat(fd, &st) == 0 && (uint64_t)st.st_size == end;
}

static int map_blocks(int fd, const struct arena_span *spans, size_t n)
{
    off_t at = first_block(n);
    for (size_t i = 0; i < n; i++) {
        int r = map_block(fd, &spans[i], at, MAP_FIXED_NOREPLACE);
        if (r < 0) {
            while (i-- > 0)
                munmap(spans[i].start, spans[i].size);
            return r == -EEXIST ? -ESTALE : r;
        }
        at += (off_t)page_up(spans[i].size);
    }
    return 0;
}

int config_image_map(int fd, struct config **ret)
{
    struct head head;
    if (!take(fd, &head, sizeof(head), 0) || memcmp(head.magic, MAGIC, sizeof(head.magic)) != 0 ||
        head.n_blocks > BLOCKS_MAX)
        return -EBADMSG;
    if (head.execution != this_execution())
        return -ESTALE;
    _cleanup_free_ struct arena_span *spans = calloc(head.n_blocks + 1, sizeof(*spans));
    struct config_holder *h = calloc(1, sizeof(*h));
    int r = spans == NULL || h == NULL ? -ENOMEM : 0;
    if (r == 0 &&
        (!take(fd, spans, head.n_blocks * sizeof(*spans), sizeof(head)) || !is_whole(fd, spans, head.n_blocks)))
        r = -EBADMSG;
    if (r == 0)
        r = map_blocks(fd, spans, head.n_blocks);
    if (r < 0) {
        free(h);
        return r;
    }
    *h = head.holder;
    h->c.arena = &h->arena;
    h->c.refs = 1;
    *ret = &h->c;
    return 0;
}
