/* intent.c - see intent.h.
 *
 * Owns the open file, which is locked, and a record of each process that a line was
 * about.  Memory is what counts; the file follows it: by lines at its end, or, when
 * most of them are out of date or some could not be written, by a new file in its
 * place.  Each line:
 *
 *     SUM stop|start SECONDS GROUP:NAME
 *
 * SUM, 16 hexadecimal digits, is that of all behind the blank after it. */
#include "os/intent.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/map.h"
#include "os/spawn.h"

#define SIZE_LIMIT (64U << 20) /* of the file, and of what waits to be written */
#define SUM_DIGITS 16
#define LINES_TO_SPARE 64 /* that may be out of date before the file is made anew */

struct wish {
    char *name; /* group:name */
    uint64_t wall;
    bool stopped;
};

struct intent {
    char *path;
    int fd;
    off_t size;
    size_t lines;
    bool behind; /* the file: it has not all that it should */
    struct buf waiting;
    struct wish **wishes;
    size_t n, n_stopped;
    struct map by_name;
};

/* -- wishes --------------------------------------------------------------------- */

static struct wish *find(const struct intent *it, const char *name, size_t len)
{
    void **at = map_find(&it->by_name, 0, name, len);
    return at != NULL ? *at : NULL;
}

static struct wish *add(struct intent *it, const char *name, size_t len)
{
    struct wish **list = realloc(it->wishes, (it->n + 1) * sizeof(struct wish *));
    if (list == NULL)
        return NULL;
    it->wishes = list;
    struct wish *w = calloc(1, sizeof(*w));
    void **at = NULL;
    if (w != NULL && (w->name = strndup(name, len)) != NULL)
        at = map_add(&it->by_name, 0, w->name, len);
    if (at == NULL) {
        if (w != NULL)
            free(w->name);
        free(w);
        return NULL;
    }
    *at = list[it->n++] = w;
    return w;
}

static int set(struct intent *it, const char *name, size_t len, bool stopped, uint64_t wall)
{
    struct wish *w = find(it, name, len);
    if (w == NULL && (w = add(it, name, len)) == NULL)
        return -ENOMEM;
    it->n_stopped += (size_t)stopped - (size_t)w->stopped;
    w->stopped = stopped;
    w->wall = wall;
    return 0;
}

static void write_line(struct buf *b, const struct wish *w)
{
    _cleanup_buf_ struct buf text = BUF_INIT(SIZE_LIMIT);
    buf_printf(&text, "%s %" PRIu64 " %s", w->stopped ? "stop" : "start", w->wall, w->name);
    if (text.error == 0)
        buf_printf(b, "%016" PRIx64 " %s\n", hash64(0, text.data, text.len), text.data);
    else
        b->error = text.error;
}

/* -- reading ---------------------------------------------------------------------- */

static int read_line(struct intent *it, char *line, size_t len)
{
    char *end;
    if (len < SUM_DIGITS + 1 || line[SUM_DIGITS] != ' ')
        return -EBADMSG;
    uint64_t sum = strtoull(line, &end, 16);
    const char *text = line + SUM_DIGITS + 1;
    len -= SUM_DIGITS + 1;
    if (end != line + SUM_DIGITS || sum != hash64(0, text, len) || memchr(text, '\0', len) != NULL)
        return -EBADMSG;
    bool stopped = strncmp(text, "stop ", 5) == 0;
    if (!stopped && strncmp(text, "start ", 6) != 0)
        return -EBADMSG;
    const char *number = text + (stopped ? 5 : 6);
    uint64_t wall = strtoull(number, &end, 10);
    if (end == number || *end != ' ')
        return -EBADMSG;
    return set(it, end + 1, (size_t)(text + len - end - 1), stopped, wall);
}

/* Line by line; each is ended by a NUL for what reads numbers in it. */
static int read_lines(struct intent *it, char *text, size_t size, unsigned *damaged)
{
    char *next;
    for (char *line = text; line < text + size; line = next + 1) {
        next = memchr(line, '\n', (size_t)(text + size - line));
        bool whole = next != NULL;
        if (!whole)
            next = text + size;
        *next = '\0';
        int r = whole ? read_line(it, line, (size_t)(next - line)) : -EBADMSG;
        if (r == -ENOMEM)
            return r;
        *damaged += r < 0;
        it->lines++;
    }
    return 0;
}

static int read_file(struct intent *it, unsigned *damaged)
{
    _cleanup_free_ char *text = malloc((size_t)it->size + 1);
    size_t done = 0;
    if (text == NULL)
        return -ENOMEM;
    while (done < (size_t)it->size) {
        ssize_t n = pread(it->fd, text + done, (size_t)it->size - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return read_lines(it, text, done, damaged);
}

/* -- writing ---------------------------------------------------------------------- */

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* The name is safe with the directory. */
static int sync_directory(const char *path)
{
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *directory = slash != NULL ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (directory == NULL)
        return -ENOMEM;
    _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Opens it locked; somebody else's file is refused. */
static int open_locked(const char *path, int flags, int *ret, off_t *size)
{
    struct stat st;
    _cleanup_close_ int fd = open(path, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | flags, 0600);
    if (fd < 0 || fstat(fd, &st) < 0)
        return errno == ELOOP ? -EPERM : -errno;
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1 || (st.st_mode & 022) != 0)
        return -EPERM;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return -errno;
    *ret = spawn_raise_fd(TAKE_FD(fd));
    *size = st.st_size;
    return 0;
}

static int replace(struct intent *it, const char *fresh, const struct buf *text)
{
    _cleanup_close_ int fd = -1;
    off_t size;
    int r = open_locked(fresh, O_CREAT | O_EXCL, &fd, &size);
    if (r == 0)
        r = write_all(fd, text->data, text->len);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (r == 0 && rename(fresh, it->path) < 0)
        r = -errno;
    if (r < 0)
        return r;
    cleanup_close(&it->fd);
    it->fd = TAKE_FD(fd);
    it->size = (off_t)text->len;
    it->lines = it->n_stopped;
    return sync_directory(it->path);
}

/* A new file with what holds now, in place of the old one. */
static int make_anew(struct intent *it)
{
    _cleanup_free_ char *fresh = NULL;
    _cleanup_buf_ struct buf text = BUF_INIT(SIZE_LIMIT);
    if (asprintf(&fresh, "%s.new", it->path) < 0) {
        fresh = NULL;
        return -ENOMEM;
    }
    for (size_t i = 0; i < it->n; i++)
        if (it->wishes[i]->stopped)
            write_line(&text, it->wishes[i]);
    if (text.error < 0)
        return text.error;
    if (unlink(fresh) < 0 && errno != ENOENT)
        return -errno;
    int r = replace(it, fresh, &text);
    if (r < 0)
        unlink(fresh);
    return r;
}

/* What has been written of it is taken back, or would lie before the next line. */
static int append(struct intent *it)
{
    int r = it->waiting.error;
    if (r == 0 && it->fd < 0) /* the first wish ever */
        r = open_locked(it->path, O_CREAT, &it->fd, &it->size);
    if (r == 0)
        r = write_all(it->fd, it->waiting.data, it->waiting.len);
    if (r == 0 && fdatasync(it->fd) < 0)
        r = -errno;
    if (r == 0 && it->size == 0)
        r = sync_directory(it->path);
    if (r == 0)
        it->size += (off_t)it->waiting.len;
    else if (it->fd >= 0 && ftruncate(it->fd, it->size) < 0)
        return r; /* no matter: it is behind, and is made anew */
    return r;
}

int intent_sync(struct intent *it)
{
    if (it == NULL || (it->waiting.len == 0 && it->waiting.error == 0 && !it->behind))
        return 0;
    bool anew = it->behind || it->lines > 2 * it->n_stopped + LINES_TO_SPARE;
    int r = anew ? make_anew(it) : append(it);
    it->behind = r < 0;
    buf_done(&it->waiting);
    return r;
}

int intent_note(struct intent *it, const char *group, const char *name, bool stopped, uint64_t wall)
{
    _cleanup_free_ char *full = NULL;
    if (it == NULL || intent_is_stopped(it, group, name) == stopped)
        return 0;
    if (strchr(group, '\n') != NULL || strchr(name, '\n') != NULL)
        return -EINVAL;
    if (asprintf(&full, "%s:%s", group, name) < 0) {
        full = NULL;
        return -ENOMEM;
    }
    int r = set(it, full, strlen(full), stopped, wall);
    if (r < 0)
        return r;
    const struct wish *w = find(it, full, strlen(full));
    if (w == NULL) /* it was set just now */
        return -ENOENT;
    write_line(&it->waiting, w);
    it->lines++;
    return 0;
}

bool intent_is_stopped(const struct intent *it, const char *group, const char *name)
{
    _cleanup_free_ char *full = NULL;
    if (it == NULL || it->n_stopped == 0)
        return false;
    if (asprintf(&full, "%s:%s", group, name) < 0) {
        full = NULL;
        return false;
    }
    const struct wish *w = find(it, full, strlen(full));
    return w != NULL && w->stopped;
}

/* -- the whole ---------------------------------------------------------------------- */

static int open_and_read(struct intent *it, unsigned *damaged)
{
    int r = open_locked(it->path, 0, &it->fd, &it->size);
    if (r == -ENOENT)
        return 0; /* nobody has wished for anything yet */
    if (r == 0 && it->size > SIZE_LIMIT)
        r = -EFBIG;
    return r < 0 ? r : read_file(it, damaged);
}

int intent_open(const char *path, struct intent **ret, unsigned *damaged)
{
    unsigned n = 0;
    struct intent *it = calloc(1, sizeof(*it));
    if (it == NULL)
        return -ENOMEM;
    it->fd = -1;
    it->waiting = BUF_INIT(SIZE_LIMIT);
    it->path = strdup(path);
    int r = it->path == NULL ? -ENOMEM : open_and_read(it, &n);
    if (r < 0) {
        intent_close(it);
        return r;
    }
    it->behind = n > 0; /* the next one makes it whole */
    *ret = it;
    *damaged = n;
    return 0;
}

void intent_close(struct intent *it)
{
    if (it == NULL)
        return;
    for (size_t i = 0; i < it->n; i++) {
        free(it->wishes[i]->name);
        free(it->wishes[i]);
    }
    free(it->wishes);
    map_done(&it->by_name);
    buf_done(&it->waiting);
    cleanup_close(&it->fd);
    free(it->path);
    free(it);
}
