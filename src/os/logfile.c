/* logfile.c - one writer for each log file of the jobs.
 *
 * Owns the descriptors of log files (O_APPEND, CLOEXEC) and duplicates of the
 * daemon's own descriptors for /dev/stdout and its kin.  A file is rotated at
 * line ends, .1 being the newest.  A file that was renamed, removed or replaced
 * from outside is noticed at the first write more than a second later, and
 * made again under its name.
 *
 * A name may be a symbolic link: what it leads to is written, and rotated beside
 * itself, so that the link goes on to lead to the newest file.  Two names of one
 * file (links of either sort) have one writer, known by device and inode, since
 * two would each rotate what the other writes; the name that came first leads.
 *
 * The daemon's own stdout may be a pipe whose reader has stopped.  It must not
 * be made non-blocking, since its open file description is shared with whoever
 * started us; it is opened again through /proc/self/fd instead, and where that
 * is refused, written in pieces that poll(2) said will go. */
#include "os/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "core/rotation.h"
#include "os/logmove.h"
#include "os/lognames.h"
#include "os/spawn.h"

#define BUCKETS 256
#define LEAST_ROOM 65536 /* bytes that a file system must have for a log to be worth a try, in trouble */
#define PIECE 4096       /* PIPE_BUF: what poll's POLLOUT promises on a pipe (pipe(7)) */

struct logfile {
    struct logfile *next;      /* in its bucket by name */
    struct logfile *next_file; /* by inode, while is_regular */
    struct logfile_table *table;
    int fd;
    unsigned refs;
    bool is_file, is_regular, is_socket, in_pieces; /* is_file: and by a name of its own */
    bool named;                                     /* by a name of its own, whatever it is */
    bool no_splice;                                 /* its file system does not have it */
    bool not_appending;                             /* O_APPEND is off, for splice */
    unsigned backups, rotations;
    uint64_t max_bytes, size;
    void *first;
    dev_t dev;
    ino_t ino;
    time_t looked; /* CLOCK_MONOTONIC_COARSE seconds of the last look at the name */
    char *real;    /* where a link leads; NULL: the path itself */
    char path[];
};

struct logfile_table {
    struct logfile *buckets[BUCKETS];
    struct logfile *files[BUCKETS];
    struct move *move;
};

int logfile_table_new(struct logfile_table **ret)
{
    struct logfile_table *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return -ENOMEM;
    *ret = t;
    return 0;
}

void logfile_table_free(struct logfile_table *t)
{
    free(t);
}

static unsigned bucket_of(const char *path)
{
    unsigned h = 5381;
    for (; *path != '\0'; path++)
        h = h * 33 + (unsigned char)*path;
    return h % BUCKETS;
}

static time_t seconds_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
    return ts.tv_sec;
}

/* -- opening ---------------------------------------------------------------- */

static int open_own(struct logfile *f, int own)
{
    struct stat st;
    if (fstat(own, &st) < 0)
        return -errno;
    f->is_regular = S_ISREG(st.st_mode);
    f->is_socket = S_ISSOCK(st.st_mode);
    if (!f->is_socket && !S_ISREG(st.st_mode)) {
        char name[64];
        snprintf(name, sizeof(name), "/proc/self/fd/%d", own);
        f->fd = open(name, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    }
    if (f->fd < 0) {
        f->in_pieces = !f->is_socket && !S_ISREG(st.st_mode);
        f->fd = fcntl(own, F_DUPFD_CLOEXEC, 3);
    }
    return f->fd < 0 ? -errno : 0;
}

/* -- by inode --------------------------------------------------------------- */

static struct logfile **files_at(const struct logfile *f)
{
    return &f->table->files[(unsigned)f->ino % BUCKETS];
}

static void file_forget(struct logfile *f)
{
    struct logfile **at = files_at(f);
    while (*at != NULL && *at != f)
        at = &(*at)->next_file;
    if (*at == f)
        *at = f->next_file;
}

static void file_remember(struct logfile *f)
{
    struct logfile **at = files_at(f);
    f->next_file = *at;
    *at = f;
}

static struct logfile *same_file(const struct logfile *f)
{
    struct logfile *other = f->is_file ? *files_at(f) : NULL;
    while (other != NULL && (other == f || !other->is_file || other->ino != f->ino || other->dev != f->dev))
        other = other->next_file;
    return other;
}

/* Where rotation happens.  Without memory, or for a name that is gone again, the
 * path as it was given has to do. */
static void find_real(struct logfile *f, bool is_link)
{
    free(TAKE_PTR(f->real));
    if (f->is_file && is_link)
        f->real = realpath(f->path, NULL);
}

/* O_NONBLOCK so that a FIFO without a reader fails instead of holding us up. */
static int open_file(struct logfile *f)
{
    static const int flags = O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int fd = open(f->path, flags | O_NOFOLLOW, 0666);
    bool is_link = fd < 0 && errno == ELOOP;
    struct stat st;
    if (is_link)
        fd = open(f->path, flags, 0666);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    if (f->is_file)
        file_forget(f);
    cleanup_close(&f->fd);
    f->fd = spawn_raise_fd(fd);
    f->not_appending = false;
    f->named = true;
    f->is_file = f->is_regular = S_ISREG(st.st_mode);
    f->size = f->is_file ? (uint64_t)st.st_size : 0;
    f->dev = st.st_dev;
    f->ino = st.st_ino;
    f->looked = seconds_now();
    if (f->is_file)
        file_remember(f);
    find_real(f, is_link);
    return 0;
}

static void logfile_free(struct logfile *f)
{
    if (f->is_file)
        file_forget(f);
    cleanup_close(&f->fd);
    free(f->real);
    free(f);
}

static struct logfile *share(struct logfile *f, uint64_t max_bytes, unsigned backups)
{
    f->refs++;
    f->max_bytes = max_bytes; /* the newest definition rules */
    f->backups = backups;
    return f;
}

int logfile_open(struct logfile_table *t, const char *path, uint64_t max_bytes, unsigned backups, struct logfile **ret)
{
    unsigned bucket = bucket_of(path);
    for (struct logfile *f = t->buckets[bucket]; f != NULL; f = f->next) {
        if (strcmp(f->path, path) == 0) {
            *ret = share(f, max_bytes, backups);
            return 0;
        }
    }
    struct logfile *f = calloc(1, sizeof(*f) + strlen(path) + 1);
    if (f == NULL)
        return -ENOMEM;
    *f = (struct logfile){ .table = t, .fd = -1, .refs = 1, .max_bytes = max_bytes, .backups = backups };
    memcpy(f->path, path, strlen(path) + 1);
    int own = log_own_descriptor(path);
    int r = own >= 0 ? open_own(f, own) : open_file(f);
    if (r < 0) {
        logfile_free(f);
        return r;
    }
    struct logfile *other = same_file(f);
    if (other != NULL) {
        logfile_free(f);
        *ret = share(other, max_bytes, backups);
        return 0;
    }
    f->next = t->buckets[bucket];
    t->buckets[bucket] = f;
    *ret = f;
    return 0;
}

void logfile_unref(struct logfile *f)
{
    if (f == NULL || --f->refs > 0)
        return;
    struct logfile **at = &f->table->buckets[bucket_of(f->path)];
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    logfile_free(f);
}

/* -- writing ---------------------------------------------------------------- */

/* Says where the next bytes go, or (to NULL) that none are on their way. */
static void tell_move(struct logfile *f, bool on)
{
    struct move *v = f->table->move;
    struct stat st;
    if (v == NULL || (on && (!f->is_file || fstat(f->fd, &st) < 0)))
        return;
    if (on)
        move_note(v, st.st_dev, st.st_ino, (uint64_t)st.st_size);
    else
        move_note(v, 0, 0, 0);
}

static const char *real_path(const struct logfile *f)
{
    return f->real != NULL ? f->real : f->path;
}

/* False when the file could not be cut and goes on to grow: better a large file
 * than a lost one. */
static bool rotate(struct logfile *f)
{
    tell_move(f, false);
    if (f->backups == 0) { /* supervisord starts the file over, too */
        if (ftruncate(f->fd, 0) < 0)
            return false;
        f->size = 0;
        f->rotations++;
        return true;
    }
    /* Without a file of that name an earlier attempt got half way: trying again
     * must not push the oldest logs out. */
    if (access(real_path(f), F_OK) == 0 && !lognames_shift(real_path(f), f->backups))
        return false;
    if (open_file(f) < 0)
        return false;
    f->rotations++;
    return true;
}

/* Is the name still that of the file we write to?  Looked up once a second at most. */
static void follow_name(struct logfile *f)
{
    time_t now = seconds_now();
    if (!f->named || now == f->looked)
        return;
    f->looked = now;
    struct stat st;
    if (stat(f->path, &st) == 0 && st.st_dev == f->dev && st.st_ino == f->ino) {
        f->size = f->is_file ? (uint64_t)st.st_size : 0; /* may have been truncated */
        return;
    }
    open_file(f); /* when it fails the old file, nameless, goes on to take the bytes */
}

/* splice(2) does not append, so O_APPEND goes for as long as there is nothing else. */
static bool set_appending(struct logfile *f, bool on)
{
    if (f->not_appending == !on)
        return true;
    if (fcntl(f->fd, F_SETFL, on ? O_NONBLOCK | O_APPEND : O_NONBLOCK) < 0)
        return false;
    f->not_appending = !on;
    return true;
}

static ssize_t write_some(struct logfile *f, const char *data, size_t len)
{
    if (f->is_socket)
        return send(f->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (f->in_pieces) {
        struct pollfd p = { .fd = f->fd, .events = POLLOUT };
        if (poll(&p, 1, 0) <= 0) { /* an error is for write() to name */
            errno = EAGAIN;
            return -1;
        }
        if (len > PIECE)
            len = PIECE;
    }
    if (!set_appending(f, true)) /* or the bytes would land on others */
        return -1;
    return write(f->fd, data, len);
}

static int write_fully(struct logfile *f, const char *data, size_t len, size_t *written)
{
    size_t done = 0;
    while (done < len) {
        tell_move(f, true);
        ssize_t n = write_some(f, data + done, len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int error = n < 0 ? -errno : -EIO;
            *written += done;
            tell_move(f, false); /* others may write here before this goes on */
            return error;
        }
        if (f->table->move != NULL)
            move_wrote(f->table->move, (uint64_t)n);
        done += (size_t)n;
        f->size += (size_t)n;
    }
    *written += done;
    return 0;
}

int logfile_write(struct logfile *f, const void *data, size_t len, size_t *written)
{
    *written = 0;
    follow_name(f);
    const char *p = data;
    bool cuts = f->is_file;
    while (len > 0) {
        struct rotation_verdict v = { .before = len };
        if (cuts)
            v = rotation_decide(f->size, f->max_bytes, p, len);
        int r = write_fully(f, p, v.before, written);
        if (r < 0)
            return r;
        p += v.before;
        len -= v.before;
        if (v.rotate)
            cuts = rotate(f); /* what cannot be cut takes the rest, or we would go round for ever */
    }
    return 0;
}

/* Below this a copy costs less than moving pages. */
#define SPLICE_MIN (16 * 1024)

/* We are the only writer, and so the file's size is where the bytes go.  A kill
 * finds every byte in the pipe or in the file. */
size_t logfile_splice(struct logfile *f, int pipe, size_t waiting)
{
    struct stat st;
    if (!f->is_file || f->no_splice || waiting < SPLICE_MIN)
        return 0;
    follow_name(f);
    if (!f->is_file || fstat(f->fd, &st) < 0)
        return 0;
    loff_t at = st.st_size;
    f->size = (uint64_t)at;
    if (f->max_bytes != 0 && f->size + waiting >= f->max_bytes)
        return 0;
    if (!set_appending(f, false))
        return 0;
    ssize_t n = splice(pipe, NULL, f->fd, &at, waiting, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    f->no_splice = n < 0 && errno == EINVAL;
    f->size += n > 0 ? (size_t)n : 0;
    return n > 0 ? (size_t)n : 0;
}

void logfile_settle(const struct logfile *f, struct mover *m)
{
    struct stat st;
    if (f->is_file && fstat(f->fd, &st) == 0)
        mover_settle(m, st.st_dev, st.st_ino, (uint64_t)st.st_size);
}

void logfile_set_move(struct logfile *f, struct move *v)
{
    f->table->move = v;
}

/* What root may use is left out: whoever is wrong about that tries in vain, or late. */
int logfile_trouble(const struct logfile *f)
{
    struct statvfs v;
    if (!f->is_file || fstatvfs(f->fd, &v) < 0 || v.f_blocks == 0)
        return 0;
    if (v.f_flag & ST_RDONLY)
        return -EROFS;
    return v.f_bfree < LEAST_ROOM / v.f_bsize + 1 ? -ENOSPC : 0;
}

size_t logfile_room(struct logfile *f)
{
    if (f->is_regular)
        return SIZE_MAX;
    struct pollfd p = { .fd = f->fd, .events = POLLOUT };
    if (poll(&p, 1, 0) <= 0)
        return 0;
    return PIECE; /* or an error, which the write will name */
}

/* -- the rest --------------------------------------------------------------- */

void *logfile_first(const struct logfile *f)
{
    return f->first;
}

void logfile_set_first(struct logfile *f, void *first)
{
    f->first = first;
}

unsigned logfile_rotations(const struct logfile *f)
{
    return f->rotations;
}

bool logfile_is_file(const struct logfile *f)
{
    return f->is_file;
}

int logfile_reopen_all(struct logfile_table *t)
{
    int failed = 0;
    for (unsigned i = 0; i < BUCKETS; i++)
        for (struct logfile *f = t->buckets[i]; f != NULL; f = f->next)
            if (f->named && open_file(f) < 0)
                failed++;
    return failed;
}

int logfile_clear(struct logfile *f)
{
    if (!f->is_file)
        return -EINVAL;
    if (ftruncate(f->fd, 0) < 0)
        return -errno;
    f->size = 0;
    return 0;
}
