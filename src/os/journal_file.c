/* journal_file.c - see journal_file.h.
 *
 * Owns the descriptor and the mapping.  Knows nothing of what a slot holds.
 *
 * A store into a mapping can kill (SIGBUS) where the file has a hole that the disk
 * cannot fill, or where it ends.  So the file never grows by ftruncate, only by
 * posix_fallocate, which gives each page its place on the disk before it counts as
 * part of the file, on tmpfs as well; what is found of an earlier daemon is allocated
 * again before it is mapped, should somebody have made holes; and where copies are
 * made on write (btrfs) the file is told not to be.  It is ours alone: 0600, under the
 * lock of the state directory, refused when another user owns it or has a link to it.
 * A disk that fails to read is beyond this: the daemon dies and starts anew.  Slots for
 * which it has no room are in memory (journal_more.c), until it has.
 *
 * The size is the only word on how many slots there are, and bytes that were never
 * written are zeros, a free slot: so a growth that was killed half way has happened
 * as far as it went.  A new file gets its name when it is complete.
 *
 * The header is written once, twice over: either copy will do.  What changes in it is
 * one number, the sequence of events, which has its sum within its own eight bytes. */
#include "os/journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "os/spawn.h"

#define MAGIC "drvrjnl\n"
#define SEQUENCE_BITS 48
#define SEQUENCE_MAX ((1ULL << SEQUENCE_BITS) - 1)
#define SLOTS_AT_ONCE (4096 / JOURNAL_SLOT_SIZE) /* room is made for so many */

struct header {
    char magic[8];
    uint32_t version, header_size, slot_size, spare;
    struct identity_era era;
    uint64_t id;
    uint64_t check; /* of all before */
};

struct head_page {
    struct header header;
    unsigned char room[512 - sizeof(struct header)];
    _Atomic uint64_t sequence;
    unsigned char more_room[1024 - 512 - sizeof(uint64_t)];
};

_Static_assert(2 * sizeof(struct head_page) <= JOURNAL_HEADER_SIZE, "the header has outgrown its page");

static struct head_page *head_pages(const struct journal_file *f)
{
    return (struct head_page *)(void *)f->map;
}

static uint64_t header_check(const struct header *h)
{
    return hash64(JOURNAL_VERSION, h, offsetof(struct header, check));
}

size_t journal_file_size(uint32_t n_slots)
{
    return JOURNAL_HEADER_SIZE + (size_t)n_slots * JOURNAL_SLOT_SIZE;
}

static uint32_t in_steps(uint32_t n_slots)
{
    return n_slots / SLOTS_AT_ONCE * SLOTS_AT_ONCE;
}

/* -- room and mapping --------------------------------------------------------- */

int journal_file_allocate(int fd, uint32_t n_slots)
{
    int r;
    do
        r = posix_fallocate(fd, 0, (off_t)journal_file_size(n_slots));
    while (r == EINTR);
    return -r;
}

int journal_file_memfd(const char *name, uint32_t n_slots)
{
    _cleanup_close_ int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    fd = spawn_raise_fd(fd);
    int r = fchmod(fd, 0600) < 0 ? -errno : journal_file_allocate(fd, n_slots); /* it is born with 0777 */
    return r < 0 ? r : TAKE_FD(fd);
}

/* The children that a fork makes have no business here. */
int journal_file_map(int fd, unsigned char **map, uint32_t *n, uint32_t n_slots)
{
    size_t size = journal_file_size(n_slots);
    void *at = *map == NULL ? mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0)
                            : mremap(*map, journal_file_size(*n), size, MREMAP_MAYMOVE);
    if (at == MAP_FAILED)
        return -errno;
    madvise(at, size, MADV_DONTFORK);
    *map = at;
    *n = n_slots;
    return 0;
}

static int map(struct journal_file *f, uint32_t n_slots)
{
    return journal_file_map(f->fd, &f->map, &f->n_own, n_slots);
}

/* There is room for those in memory as well: they get the places that their numbers say. */
static void move_in(struct journal_file *f)
{
    for (uint32_t i = f->more.first; i < f->n_slots; i++)
        memcpy(f->map + journal_file_size(i), journal_more_slot(&f->more, i), JOURNAL_SLOT_SIZE);
    journal_more_end(&f->more);
}

/* n: at least as many as there are. */
static int grow_file(struct journal_file *f, uint32_t n)
{
    int r = n > f->n_own ? journal_file_allocate(f->fd, n) : 0;
    if (r == 0 && n > f->n_own)
        r = map(f, n);
    if (r < 0)
        return r;
    if (f->more.fd >= 0)
        move_in(f);
    f->n_slots = f->n_own;
    return 0;
}

/* What has room in the file stays there, and so is known whoever dies. */
static int grow_more(struct journal_file *f, uint32_t n)
{
    uint32_t first = f->more.fd >= 0 ? f->more.first : f->n_own;
    int r = journal_more_grow(&f->more, f->id, first, n - first);
    if (r == 0)
        f->n_slots = n;
    return r;
}

int journal_file_grow(struct journal_file *f, uint32_t n)
{
    uint32_t target = f->n_slots + f->n_slots / 4; /* few growths, little to spare */
    target = in_steps((target > n ? target : n) + SLOTS_AT_ONCE - 1);
    if (n <= f->n_slots)
        return f->more.fd >= 0 ? grow_file(f, f->n_slots) : 0;
    if (n > JOURNAL_SLOTS_MAX)
        return -ENOSPC;
    int r = grow_file(f, target);
    return r < 0 ? grow_more(f, target) : 0;
}

int journal_file_take_more(struct journal_file *f, int fd)
{
    struct journal_more more;
    int r = journal_more_take(&more, fd, f->id);
    if (r < 0)
        return r;
    if (more.first > f->n_own || more.n > JOURNAL_SLOTS_MAX - more.first) {
        journal_more_close(&more);
        return -EBADMSG;
    }
    f->more = more;
    f->n_slots = more.first + more.n;
    return 0;
}

unsigned char *journal_file_slot(const struct journal_file *f, uint32_t i)
{
    if (f->more.fd >= 0 && i >= f->more.first)
        return journal_more_slot(&f->more, i);
    return f->map + journal_file_size(i);
}

/* -- the header ----------------------------------------------------------------- */

static uint64_t sealed(uint64_t sequence)
{
    sequence &= SEQUENCE_MAX;
    return sequence | hash64(0, &sequence, sizeof(sequence)) << SEQUENCE_BITS;
}

/* A kill between two stores leaves two numbers, both right; the later one counts. */
uint64_t journal_file_sequence(const struct journal_file *f)
{
    uint64_t latest = 0;
    for (int i = 0; i < 2; i++) {
        uint64_t word = atomic_load_explicit(&head_pages(f)[i].sequence, memory_order_relaxed);
        if (sealed(word) == word && (word & SEQUENCE_MAX) > latest)
            latest = word & SEQUENCE_MAX;
    }
    return latest;
}

void journal_file_set_sequence(struct journal_file *f, uint64_t sequence)
{
    for (int i = 0; i < 2; i++)
        atomic_store_explicit(&head_pages(f)[i].sequence, sealed(sequence), memory_order_relaxed);
}

static void write_header(struct journal_file *f, const struct identity_era *era)
{
    struct header h = {
        .version = JOURNAL_VERSION, .header_size = JOURNAL_HEADER_SIZE, .slot_size = JOURNAL_SLOT_SIZE, .era = *era
    };
    memcpy(h.magic, MAGIC, sizeof(h.magic));
    if (getrandom(&h.id, sizeof(h.id), GRND_NONBLOCK) != sizeof(h.id))
        h.id = hash64((uint64_t)getpid(), era, sizeof(*era));
    h.check = header_check(&h);
    head_pages(f)[0].header = head_pages(f)[1].header = h;
    f->id = h.id;
    journal_file_set_sequence(f, 0);
}

/* What a file that can be mapped says of itself: the first copy with the right sum,
 * which is put in the place of the other. */
static enum journal_origin read_header(struct journal_file *f, const struct identity_era *era)
{
    for (int i = 0; i < 2; i++) {
        struct header *h = &head_pages(f)[i].header;
        if (memcmp(h->magic, MAGIC, sizeof(h->magic)) == 0 && h->version != JOURNAL_VERSION &&
            head_pages(f)[!i].header.version == h->version)
            return JOURNAL_OTHER_VERSION;
        if (memcmp(h->magic, MAGIC, sizeof(h->magic)) != 0 || h->version != JOURNAL_VERSION ||
            h->header_size != JOURNAL_HEADER_SIZE || h->slot_size != JOURNAL_SLOT_SIZE || h->check != header_check(h))
            continue;
        if (memcmp(&h->era, era, sizeof(*era)) != 0)
            return JOURNAL_OTHER_ERA;
        head_pages(f)[!i].header = *h;
        f->id = h->id;
        return JOURNAL_RECOVERED;
    }
    return JOURNAL_DAMAGED;
}

/* -- opening ---------------------------------------------------------------------- */

static int close_with(struct journal_file *f, int r)
{
    journal_file_close(f);
    return r;
}

static void no_copy_on_write(int fd)
{
    int flags;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
        flags |= FS_NOCOW_FL;
        ioctl(fd, FS_IOC_SETFLAGS, &flags); /* most file systems know nothing of it, and need not */
    }
}

static int create(struct journal_file *f, const char *path, const struct identity_era *era)
{
    _cleanup_free_ char *fresh = NULL;
    if (asprintf(&fresh, "%s.new", path) < 0) {
        fresh = NULL;
        return -ENOMEM;
    }
    if (unlink(fresh) < 0 && errno != ENOENT)
        return -errno;
    f->fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (f->fd < 0)
        return -errno;
    f->fd = spawn_raise_fd(f->fd);
    no_copy_on_write(f->fd);
    int r = journal_file_allocate(f->fd, SLOTS_AT_ONCE);
    if (r == 0)
        r = map(f, SLOTS_AT_ONCE);
    if (r == 0) {
        f->n_slots = f->n_own;
        write_header(f, era);
        r = rename(fresh, path) < 0 ? -errno : 0;
    }
    if (r == 0)
        return 0;
    unlink(fresh);
    return close_with(f, r);
}

static int is_ours(int fd, struct stat *st)
{
    if (fstat(fd, st) < 0)
        return -errno;
    bool ours = S_ISREG(st->st_mode) && st->st_uid == geteuid() && st->st_nlink <= 1 && (st->st_mode & 022) == 0;
    return ours ? 0 : -EPERM;
}

/* What the file that is open is.  It stays so only when it is RECOVERED. */
static int load(struct journal_file *f, const struct identity_era *era, enum journal_origin *origin)
{
    struct stat st;
    int r = is_ours(f->fd, &st);
    if (r < 0)
        return close_with(f, r);
    if (st.st_size < (off_t)journal_file_size(SLOTS_AT_ONCE)) { /* cut by somebody: we make none as small */
        *origin = JOURNAL_DAMAGED;
        return close_with(f, 0);
    }
    /* what a killed growth has left beyond the last whole page was never in use */
    uint64_t n = ((uint64_t)st.st_size - JOURNAL_HEADER_SIZE) / JOURNAL_SLOT_SIZE;
    uint32_t n_slots = in_steps(n < JOURNAL_SLOTS_MAX ? (uint32_t)n : JOURNAL_SLOTS_MAX);
    r = journal_file_allocate(f->fd, n_slots);
    if (r == 0)
        r = map(f, n_slots);
    if (r < 0)
        return close_with(f, r);
    f->n_slots = n_slots;
    *origin = read_header(f, era);
    return *origin == JOURNAL_RECOVERED ? 0 : close_with(f, 0);
}

/* 0 and what it is; JOURNAL_FRESH: there is none. */
static int find(struct journal_file *f, const char *path, const struct identity_era *era, enum journal_origin *origin)
{
    f->fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (f->fd < 0 && errno == ENOENT) {
        *origin = JOURNAL_FRESH;
        return 0;
    }
    if (f->fd < 0)
        return errno == ELOOP ? -EPERM : -errno;
    f->fd = spawn_raise_fd(f->fd);
    return load(f, era, origin);
}

static int put_aside(const char *path)
{
    _cleanup_free_ char *aside = NULL;
    if (asprintf(&aside, "%s.refused", path) < 0) {
        aside = NULL;
        return -ENOMEM;
    }
    return rename(path, aside) < 0 ? -errno : 0;
}

int journal_file_open(struct journal_file *f, const char *path, const struct identity_era *era,
                      enum journal_origin *origin)
{
    enum journal_origin found = JOURNAL_FRESH;
    *f = (struct journal_file){ .fd = -1, .more = JOURNAL_MORE_NONE };
    int r = find(f, path, era, &found);
    if (r == 0 && (found == JOURNAL_DAMAGED || found == JOURNAL_OTHER_VERSION))
        r = put_aside(path);
    if (r == 0 && found != JOURNAL_RECOVERED)
        r = create(f, path, era);
    if (r == 0)
        *origin = found;
    return r;
}

int journal_file_take(struct journal_file *f, int fd, const struct identity_era *era)
{
    enum journal_origin found = JOURNAL_FRESH;
    *f = (struct journal_file){ .fd = fd, .more = JOURNAL_MORE_NONE };
    int r = load(f, era, &found);
    return r == 0 && found != JOURNAL_RECOVERED ? -EBADMSG : r;
}

int journal_file_memory(struct journal_file *f, const struct identity_era *era)
{
    int fd = journal_file_memfd("journal", SLOTS_AT_ONCE);
    if (fd < 0)
        return fd;
    *f = (struct journal_file){ .fd = fd, .more = JOURNAL_MORE_NONE };
    int r = map(f, SLOTS_AT_ONCE);
    if (r < 0)
        return close_with(f, r);
    f->n_slots = f->n_own;
    write_header(f, era);
    return 0;
}

void journal_file_close(struct journal_file *f)
{
    if (f->map != NULL)
        munmap(f->map, journal_file_size(f->n_own));
    f->map = NULL;
    journal_more_close(&f->more);
    cleanup_close(&f->fd);
}
