/* logmove.c - see logmove.h.
 *
 * Owns the shared memory, the scratch pipes and a pipe for looking.  A slot has
 * two copies of its record and a number that says which one holds: a record is
 * written aside and takes effect with one store of eight bytes, so a kill finds
 * either the old one or the new one.  The order of stores is all that counts
 * here: memory that is shared survives its writer, but not the machine. */
#include "os/logmove.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/spawn.h"

#define SCRATCH_SIZE (64 * 1024)

enum { IDLE, TAKEN, WRITTEN };

struct record {
    uint64_t state, from, dev, ino, offset, done;
};

struct slot {
    _Atomic uint64_t number; /* its lowest bit: the copy that holds */
    struct record copies[2];
};

_Static_assert(sizeof(struct slot) <= MOVER_MEMORY / MOVER_SLOTS, "a slot has outgrown its place");

struct move {
    struct slot *slot;
    struct record record; /* as it will be committed next */
    int scratch[2];
    bool busy;
};

struct mover {
    int memory_fd;
    int look[2];
    int null_fd;
    unsigned char *memory;
    struct move moves[MOVER_SLOTS];
};

/* -- slots ------------------------------------------------------------------ */

static void commit(struct move *v)
{
    uint64_t number = atomic_load_explicit(&v->slot->number, memory_order_relaxed) + 1;
    v->slot->copies[number & 1] = v->record;
    atomic_store_explicit(&v->slot->number, number, memory_order_release);
}

static void commit_state(struct move *v, uint64_t state)
{
    v->record.state = state;
    commit(v);
}

/* -- pipes ------------------------------------------------------------------ */

static int make_pipe(int fds[2])
{
    int made[2];
    if (pipe2(made, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    for (int i = 0; i < 2; i++)
        fds[i] = spawn_raise_fd(made[i]);
    return 0;
}

/* Looking at all that a scratch pipe holds takes a pipe as large.  Beyond the
 * user's share (fs.pipe-user-pages-soft) the kernel makes small ones. */
static bool is_large(const int fds[2])
{
    return fcntl(fds[1], F_GETPIPE_SZ) >= SCRATCH_SIZE || fcntl(fds[1], F_SETPIPE_SZ, SCRATCH_SIZE) >= SCRATCH_SIZE;
}

static void close_pipe(int fds[2])
{
    cleanup_close(&fds[0]);
    cleanup_close(&fds[1]);
}

static int make_scratch(struct move *v)
{
    if (v->scratch[0] >= 0)
        return 0;
    int r = make_pipe(v->scratch);
    if (r == 0 && !is_large(v->scratch)) {
        close_pipe(v->scratch);
        r = -ENOBUFS;
    }
    return r;
}

/* Reads what is in the scratch pipe and leaves it there. */
static ssize_t look(struct mover *m, struct move *v, void *data, size_t size)
{
    size_t done = 0;
    ssize_t n = tee(v->scratch[0], m->look[1], size, SPLICE_F_NONBLOCK);
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    while (done < (size_t)n) {
        ssize_t k = read(m->look[0], (char *)data + done, (size_t)n - done);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return -EIO;
        done += (size_t)k;
    }
    return n;
}

static void empty_scratch(struct mover *m, struct move *v)
{
    ssize_t n;
    do
        n = splice(v->scratch[0], NULL, m->null_fd, NULL, SCRATCH_SIZE, SPLICE_F_NONBLOCK);
    while (n > 0 || (n < 0 && errno == EINTR));
}

/* -- moves ------------------------------------------------------------------ */

static struct move *free_move(struct mover *m)
{
    for (unsigned i = 0; i < MOVER_SLOTS; i++)
        if (!m->moves[i].busy)
            return &m->moves[i];
    return NULL;
}

ssize_t mover_take(struct mover *m, int fd, void *data, size_t size, struct move **ret)
{
    struct move *v = free_move(m);
    struct stat st;
    int r = v == NULL ? -ENOBUFS : make_scratch(v);
    if (r == 0 && fstat(fd, &st) < 0)
        r = -errno;
    if (r < 0)
        return r;
    v->record = (struct record){ .from = st.st_ino };
    commit_state(v, TAKEN); /* before the bytes are, so that they never lie there without a name */
    ssize_t n = splice(fd, NULL, v->scratch[1], NULL, size < SCRATCH_SIZE ? size : SCRATCH_SIZE, SPLICE_F_NONBLOCK);
    if (n <= 0) {
        r = n < 0 ? -errno : 0;
        commit_state(v, IDLE);
        return r;
    }
    v->busy = true; /* also when they cannot be looked at: they stay with this slot, for a successor */
    ssize_t seen = look(m, v, data, (size_t)n);
    if (seen < 0)
        return seen;
    *ret = v;
    return seen;
}

void mover_end(struct mover *m, struct move *v)
{
    commit_state(v, WRITTEN);
    empty_scratch(m, v);
    commit_state(v, IDLE);
    v->busy = false;
}

void move_note(struct move *v, dev_t dev, ino_t ino, uint64_t size)
{
    v->record.dev = dev;
    v->record.ino = ino;
    v->record.offset = size;
    commit(v);
}

void move_wrote(struct move *v, uint64_t n)
{
    v->record.done += n;
}

/* -- after a death ------------------------------------------------------------ */

bool mover_left(struct mover *m, unsigned i, struct move_state *ret)
{
    struct move *v = &m->moves[i];
    if (v->scratch[0] < 0 || v->record.state == IDLE)
        return false;
    if (v->record.state == WRITTEN) {
        mover_end(m, v);
        return false;
    }
    *ret = (struct move_state){ .from = v->record.from,
                                .dev = v->record.dev,
                                .ino = v->record.ino,
                                .offset = v->record.offset,
                                .done = v->record.done };
    v->busy = true; /* until it is resumed and ended */
    return true;
}

ssize_t mover_resume(struct mover *m, unsigned i, uint64_t done, void *data, size_t size, struct move **ret)
{
    struct move *v = &m->moves[i];
    v->record.done = done;
    move_note(v, 0, 0, 0);
    ssize_t n = look(m, v, data, size);
    if (n < 0)
        return n;
    *ret = v;
    return n;
}

/* -- birth and end ------------------------------------------------------------ */

static int map_memory(struct mover *m, int fd)
{
    m->memory_fd = fd >= 0 ? fd : spawn_raise_fd(memfd_create("log-moves", MFD_CLOEXEC));
    if (m->memory_fd < 0 || (fd < 0 && ftruncate(m->memory_fd, MOVER_MEMORY) < 0))
        return -errno;
    void *memory = mmap(NULL, MOVER_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED, m->memory_fd, 0);
    if (memory == MAP_FAILED)
        return -errno;
    m->memory = memory;
    for (unsigned i = 0; i < MOVER_SLOTS; i++) {
        struct move *v = &m->moves[i];
        v->slot = (struct slot *)(void *)(m->memory + i * (MOVER_MEMORY / MOVER_SLOTS));
        v->record = v->slot->copies[atomic_load_explicit(&v->slot->number, memory_order_acquire) & 1];
    }
    return 0;
}

int mover_new(int memory_fd, struct mover **ret)
{
    struct mover *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return -ENOMEM;
    m->memory_fd = m->null_fd = m->look[0] = m->look[1] = -1;
    for (unsigned i = 0; i < MOVER_SLOTS; i++)
        m->moves[i].scratch[0] = m->moves[i].scratch[1] = -1;
    int r = map_memory(m, memory_fd);
    if (r == 0)
        r = make_pipe(m->look);
    if (r == 0)
        r = is_large(m->look) ? 0 : -ENOBUFS;
    if (r == 0 && (m->null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC)) < 0)
        r = -errno;
    if (r < 0) {
        mover_free(m);
        return r;
    }
    m->null_fd = spawn_raise_fd(m->null_fd);
    *ret = m;
    return 0;
}

void mover_free(struct mover *m)
{
    if (m == NULL)
        return;
    for (unsigned i = 0; i < MOVER_SLOTS; i++)
        close_pipe(m->moves[i].scratch);
    close_pipe(m->look);
    cleanup_close(&m->null_fd);
    if (m->memory != NULL)
        munmap(m->memory, MOVER_MEMORY);
    cleanup_close(&m->memory_fd);
    free(m);
}

int mover_memory(const struct mover *m)
{
    return m->memory_fd;
}

void mover_scratch(const struct mover *m, unsigned i, int fds[2])
{
    fds[0] = m->moves[i].scratch[0];
    fds[1] = m->moves[i].scratch[1];
}

void mover_adopt(struct mover *m, unsigned i, const int fds[2])
{
    m->moves[i].scratch[0] = fds[0];
    m->moves[i].scratch[1] = fds[1];
}
