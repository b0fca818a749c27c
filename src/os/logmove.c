/* logmove.c - see logmove.h.
 *
 * Owns the shared memory, the scratch pipes and a pipe for looking.  A slot has
 * two copies of its record and a number that says which one holds: a record is
 * written aside and takes effect with one store of eight bytes, so a kill finds
 * either the old one or the new one.  The order of stores is all that counts
 * here: memory that is shared survives its writer, but not the machine. */
#include "os/logmove_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/spawn.h"

/* -- slots ------------------------------------------------------------------ */

static void commit(struct move *v)
{
    uint64_t number = atomic_load_explicit(&v->slot->number, memory_order_relaxed) + 1;
    v->slot->copies[number & 1] = v->record;
    atomic_store_explicit(&v->slot->number, number, memory_order_release);
}

void move_commit(struct move *v, uint64_t state)
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

static int move_need_scratch(struct mover *m, struct move *v)
{
    if (v->scratch[0] >= 0)
        return 0;
    int r = make_pipe(v->scratch);
    if (r == 0 && !is_large(v->scratch)) {
        close_pipe(v->scratch);
        r = -ENOBUFS;
    }
    if (r == 0 && m->on_scratch != NULL)
        m->on_scratch((unsigned)(v - m->moves), v->scratch, m->on_scratch_arg);
    return r;
}

int move_waiting_in(int fd)
{
    int n = 0;
    return ioctl(fd, FIONREAD, &n) < 0 ? 0 : n;
}

/* Up to `size` bytes that are there.  Their number; fewer when it cannot be read. */
static size_t read_there(int fd, void *data, size_t size)
{
    size_t done = 0;
    while (done < size && move_waiting_in(fd) > 0) {
        ssize_t n = read(fd, (char *)data + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return done;
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
    char rest[4096]; /* what the kernel would not splice away must not be taken for somebody else's */
    while (read_there(v->scratch[0], rest, sizeof(rest)) > 0)
        continue;
}

/* -- moves ------------------------------------------------------------------ */

struct move *mover_free_slot(struct mover *m, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (!m->moves[i].busy)
            return &m->moves[i];
    return NULL;
}

/* Before the bytes are, so that they never lie there without a name. */
static void commit_taken(struct move *v, ino_t from, uint64_t wall, uint32_t state)
{
    v->record.from = from;
    v->record.ino = v->record.done = 0;
    v->record.mind.wall = wall;
    v->record.mind.state = state;
    move_commit(v, TAKEN);
}

int move_ready(struct mover *m, struct move *v, int fd, ino_t *ino)
{
    struct stat st;
    int r = v == NULL ? -ENOBUFS : move_need_scratch(m, v);
    if (r == 0 && fstat(fd, &st) < 0)
        r = -errno;
    if (r == 0)
        *ino = st.st_ino;
    return r;
}

ssize_t mover_take(struct mover *m, int fd, void *data, size_t size, uint64_t wall, uint32_t state, struct move **ret)
{
    struct move *v = *ret != NULL ? *ret : mover_free_slot(m, MOVER_TAKES);
    ino_t ino;
    int r = move_ready(m, v, fd, &ino);
    if (r < 0)
        return r;
    if (*ret == NULL)
        v->record.mind.begun = 0;
    commit_taken(v, ino, wall, state);
    ssize_t n = splice(fd, NULL, v->scratch[1], NULL, size < SCRATCH_SIZE ? size : SCRATCH_SIZE, SPLICE_F_NONBLOCK);
    if (n <= 0) {
        r = n < 0 ? -errno : 0;
        move_commit(v, IDLE);
        return r;
    }
    v->busy = true;
    if (look(m, v, data, (size_t)n) == n) {
        *ret = v;
        return n;
    }
    char rest[4096]; /* they cannot be looked at: they are taken as by a read, and a crash now would lose them */
    while (read_there(m->look[0], rest, sizeof(rest)) > 0)
        continue;
    n = (ssize_t)read_there(v->scratch[0], data, (size_t)n);
    move_commit(v, IDLE);
    v->busy = *ret != NULL;
    return n > 0 ? n : -EIO;
}

void mover_take_begun(struct move *v, uint64_t wall)
{
    commit_taken(v, v->record.from, wall, v->record.mind.state);
}

uint64_t move_wall(const struct move *v)
{
    return v->record.mind.wall;
}

/* Into the half that the record which holds does not speak of. */
static void keep_begun(struct move *v, const void *begun, size_t len, uint64_t wall)
{
    if (len > 0) {
        v->record.half ^= 1;

        memcpy(v->begun + v->record.half * (size_t)MOVER_BEGUN, begun, len);
    }
    v->record.mind.begun = (uint32_t)len;
    v->record.mind.begun_wall = wall;
}

void move_over(struct mover *m, struct move *v)
{
    move_commit(v, WRITTEN);
    empty_scratch(m, v);
    move_commit(v, IDLE);
}

void mover_end(struct mover *m, struct move **at, const void *begun, size_t len, uint64_t begun_wall)
{
    struct move *v = *at;
    keep_begun(v, begun, len, begun_wall);
    move_over(m, v);
    v->busy = len > 0;
    if (len == 0)
        *at = NULL;
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

/* Whether there is anything in it that somebody has to go on with. */
static bool has_left(struct mover *m, struct move *v)
{
    if (v->record.state == WRITTEN)
        move_over(m, v);
    return v->record.state == TAKEN || v->record.state == GIVEN || v->record.mind.begun > 0;
}

void mover_adopt(struct mover *m, unsigned i, const int fds[2])
{
    struct move *v = &m->moves[i];
    v->scratch[0] = fds[0];
    v->scratch[1] = fds[1];
    v->busy = v->left = has_left(m, v);
    m->any_left |= v->left;
}

void mover_settle(struct mover *m, dev_t dev, ino_t ino, uint64_t size)
{
    for (unsigned i = 0; m->any_left && i < MOVER_SLOTS; i++) {
        struct move *v = &m->moves[i];
        if (!v->left || v->record.state != TAKEN || v->record.ino != ino || v->record.dev != dev)
            continue;
        if (size > v->record.offset)
            v->record.done += size - v->record.offset;
        move_note(v, 0, 0, 0);
    }
}

ssize_t mover_resume(struct mover *m, int fd, void *data, struct move_mind *mind, uint64_t *done, struct move **ret)
{
    struct stat st;
    *ret = NULL;
    if (!m->any_left)
        return 0;
    if (fstat(fd, &st) < 0)
        return -errno;
    for (unsigned i = 0; i < MOVER_SLOTS; i++) {
        struct move *v = &m->moves[i];
        if (!v->left || v->record.state == GIVEN || v->record.from != st.st_ino)
            continue;
        ssize_t n = look(m, v, data, SCRATCH_SIZE);
        if (n < 0)
            return n;
        move_note(v, 0, 0, 0);
        v->left = false;
        *mind = v->record.mind;
        *done = v->record.state == TAKEN ? v->record.done : 0;
        *ret = v;
        return n;
    }
    return 0;
}

void mover_forget(struct mover *m)
{
    for (unsigned i = 0; m->any_left && i < MOVER_SLOTS; i++) {
        struct move *v = &m->moves[i];
        if (v->left) {
            v->record.mind.begun = 0;
            move_over(m, v);
        }
        v->busy &= !v->left;
        v->left = false;
    }
    m->any_left = false;
}

const void *move_begun(const struct move *v)
{
    return v->begun + v->record.half * (size_t)MOVER_BEGUN;
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
        v->slot = (struct slot *)(void *)(m->memory + (size_t)i * SLOT_SIZE);
        v->begun = (char *)m->memory + 4096 + (size_t)i * 2 * MOVER_BEGUN;
        v->record = v->slot->copies[atomic_load_explicit(&v->slot->number, memory_order_acquire) & 1];
        v->busy = v->left =
            v->record.state == IDLE && v->record.mind.begun > 0; /* no scratch pipe is needed for that */
        m->any_left |= v->left;
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
    r = memory_fd < 0 ? move_need_scratch(m, &m->moves[0]) : 0;
    if (r < 0) {
        mover_free(m);
        return r;
    }
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

void mover_on_scratch(struct mover *m, void (*fn)(unsigned i, const int fds[2], void *arg), void *arg)
{
    m->on_scratch = fn;
    m->on_scratch_arg = arg;
}
