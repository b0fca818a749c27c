/* log_place.c - see log_place.h.  Owns nothing but the descriptor that it hands over.
 *
 * An inode's number is soon another file's, so the time of its birth belongs to its
 * identity wherever the file system has one. */
#include "control/log_place.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"

#define BACKUPS_MAX 1000 /* that are looked through */

static uint64_t mix(uint64_t h, uint64_t value)
{
    h = (h ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

/* 0: not to be had. */
static uint64_t id_of(int fd, off_t *size)
{
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &st) < 0 || !S_ISREG(st.stx_mode))
        return 0;
    uint64_t h = mix(mix(1, (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor), st.stx_ino);
    if ((st.stx_mask & STATX_BTIME) != 0)
        h = mix(mix(h, (uint64_t)st.stx_btime.tv_sec), st.stx_btime.tv_nsec);
    *size = (off_t)st.stx_size;
    return h != 0 ? h : 1;
}

void log_place_text(int fd, off_t offset, char text[LOG_PLACE_MAX])
{
    off_t size;
    uint64_t id = id_of(fd, &size);
    text[0] = '\0';
    if (id != 0)
        snprintf(text, LOG_PLACE_MAX, "%016" PRIx64 ":%lld", id, (long long)offset);
}

static bool read_place(const char *text, uint64_t *id, int64_t *offset)
{
    char *end;
    *id = strtoull(text, &end, 16);
    return end == text + 16 && *end == ':' && parse_int(end + 1, offset) == 0 && *offset >= 0;
}

struct candidate {
    int fd;
    uint64_t id;
    off_t size;
};

static int look(const char *path, unsigned number, struct candidate *c)
{
    _cleanup_free_ char *name = NULL;
    if ((number > 0 ? asprintf(&name, "%s.%u", path, number) : asprintf(&name, "%s", path)) < 0) {
        name = NULL;
        return -ENOMEM;
    }
    c->fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (c->fd < 0)
        return -errno;
    c->id = id_of(c->fd, &c->size);
    if (c->id != 0)
        return 0;
    cleanup_close(&c->fd);
    return -ENOENT;
}

/* From the file that the place was in to the one that it is in now: the same, or a
 * newer one.  What is beyond the end of the newest was never there: it was emptied. */
static void walk(const char *path, unsigned number, struct candidate *c, off_t offset, struct log_found *ret)
{
    while (number > 0 && offset >= c->size) {
        struct candidate newer;
        if (look(path, number - 1, &newer) < 0)
            break;
        offset -= c->size;
        cleanup_close(&c->fd);
        *c = newer;
        number--;
    }
    *ret = (struct log_found){ .fd = c->fd, .size = c->size, .older = number > 0 };
    ret->missed = offset > c->size;
    ret->offset = ret->missed ? c->size : offset;
}

int log_place_find(const char *path, const char *text, struct log_found *ret)
{
    uint64_t id;
    int64_t offset;
    struct candidate newest, c;
    if (!read_place(text, &id, &offset))
        return -EINVAL;
    int r = look(path, 0, &newest);
    if (r < 0)
        return r;
    c = newest;
    for (unsigned number = 0; number < BACKUPS_MAX; number++) {
        if (number > 0 && look(path, number, &c) < 0)
            break;
        if (c.id == id) {
            walk(path, number, &c, (off_t)offset, ret);
            if (number > 0)
                cleanup_close(&newest.fd);
            return 0;
        }
        if (number > 0)
            cleanup_close(&c.fd);
    }
    *ret = (struct log_found){ .fd = newest.fd, .size = newest.size, .missed = true }; /* all of it is newer */
    return 0;
}
