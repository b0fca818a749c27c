/* snapshot.c - see snapshot.h.
 *
 * Owns its bytes: records one behind the other, each a header, the question (its kind
 * and a path or pattern) and the answer.  A question that was not asked before is
 * passed on to the real world: users and groups always are. */
#include "os/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define SNAPSHOT_MAX (256UL << 20) /* as much as all files together may be */
#define MAGIC "drvsnap1"

enum question { QUESTION_FILE = 1, QUESTION_GLOB, QUESTION_DIRECTORY, QUESTION_EXISTS };

struct record {
    uint32_t question;
    int32_t result; /* as the world's function returned it */
    uint32_t asked_len, answer_len;
};

struct snapshot {
    struct config_world real;
    struct buf bytes; /* recording */
    const char *map;  /* replaying */
    size_t len, next; /* a load asks the same in the same order, so the next answer is mostly here */
};

/* -- writing down ------------------------------------------------------------- */

static void note(struct snapshot *s, enum question q, const char *asked, int result, const void *answer, size_t len)
{
    const struct record r = {
        .question = q, .result = result, .asked_len = (uint32_t)strlen(asked), .answer_len = (uint32_t)len
    };
    buf_add(&s->bytes, &r, sizeof(r));
    buf_add(&s->bytes, asked, r.asked_len);
    if (len > 0)
        buf_add(&s->bytes, answer, len);
}

static int record_file(void *ctx, const char *path, char **text, size_t *len)
{
    struct snapshot *s = ctx;
    int r = s->real.read_file(s->real.ctx, path, text, len);
    note(s, QUESTION_FILE, path, r, r == 0 ? *text : NULL, r == 0 ? *len : 0);
    return r;
}

static int record_glob(void *ctx, const char *pattern, char ***paths)
{
    struct snapshot *s = ctx;
    _cleanup_buf_ struct buf list = BUF_INIT(SNAPSHOT_MAX);
    int r = s->real.glob(s->real.ctx, pattern, paths);
    for (char **p = r == 0 ? *paths : NULL; p != NULL && *p != NULL; p++)
        buf_add(&list, *p, strlen(*p) + 1);
    if (list.error != 0)
        s->bytes.error = list.error;
    note(s, QUESTION_GLOB, pattern, r, list.data, list.len);
    return r;
}

static bool record_is_directory(void *ctx, const char *path)
{
    struct snapshot *s = ctx;
    bool yes = s->real.is_directory(s->real.ctx, path);
    note(s, QUESTION_DIRECTORY, path, yes, NULL, 0);
    return yes;
}

static bool record_exists(void *ctx, const char *path)
{
    struct snapshot *s = ctx;
    bool yes = s->real.exists(s->real.ctx, path);
    note(s, QUESTION_EXISTS, path, yes, NULL, 0);
    return yes;
}

/* -- answering ------------------------------------------------------------------ */

static const struct record *record_at(const struct snapshot *s, size_t at, struct record *r)
{
    if (s->len - at < sizeof(*r))
        return NULL;
    memcpy(r, s->map + at, sizeof(*r));
    uint64_t rest = s->len - at - sizeof(*r);
    return (uint64_t)r->asked_len + r->answer_len <= rest ? r : NULL;
}

static const char *find_from(struct snapshot *s, size_t at, enum question q, const char *asked, struct record *r)
{
    size_t len = strlen(asked);
    while (record_at(s, at, r) != NULL) {
        const char *question = s->map + at + sizeof(*r);
        at += sizeof(*r) + r->asked_len + r->answer_len;
        if (r->question == (uint32_t)q && r->asked_len == len && memcmp(question, asked, len) == 0) {
            s->next = at;
            return question + len;
        }
    }
    return NULL;
}

/* Where the answer is, or NULL: that was not asked. */
static const char *find(struct snapshot *s, enum question q, const char *asked, struct record *r)
{
    const char *answer = find_from(s, s->next, q, asked, r);
    return answer != NULL ? answer : find_from(s, sizeof(MAGIC), q, asked, r);
}

static int replay_file(void *ctx, const char *path, char **text, size_t *len)
{
    struct snapshot *s = ctx;
    struct record r;
    const char *answer = find(s, QUESTION_FILE, path, &r);
    if (answer == NULL)
        return s->real.read_file(s->real.ctx, path, text, len);
    if (r.result < 0)
        return r.result;
    char *copy = malloc(r.answer_len + 1UL);
    if (copy == NULL)
        return -ENOMEM;
    memcpy(copy, answer, r.answer_len);
    copy[r.answer_len] = '\0';
    *text = copy;
    *len = r.answer_len;
    return 0;
}

static void free_list(char **list)
{
    for (char **p = list; p != NULL && *p != NULL; p++)
        free(*p);
    free(list);
}

static int replay_glob(void *ctx, const char *pattern, char ***paths)
{
    struct snapshot *s = ctx;
    struct record r;
    const char *answer = find(s, QUESTION_GLOB, pattern, &r);
    if (answer == NULL)
        return s->real.glob(s->real.ctx, pattern, paths);
    if (r.result < 0)
        return r.result;
    size_t n = 0, k = 0;
    for (size_t i = 0; i < r.answer_len; i++)
        n += answer[i] == '\0';
    char **list = calloc(n + 1, sizeof(*list));
    if (list == NULL)
        return -ENOMEM;
    for (size_t at = 0; k < n; k++) {
        list[k] = strdup(answer + at);
        if (list[k] == NULL)
            break;
        at += strlen(list[k]) + 1;
    }
    if (k < n) {
        free_list(list);
        return -ENOMEM;
    }
    *paths = list;
    return 0;
}

static bool replay_is_directory(void *ctx, const char *path)
{
    struct snapshot *s = ctx;
    struct record r;
    return find(s, QUESTION_DIRECTORY, path, &r) != NULL ? r.result != 0 : s->real.is_directory(s->real.ctx, path);
}

static bool replay_exists(void *ctx, const char *path)
{
    struct snapshot *s = ctx;
    struct record r;
    return find(s, QUESTION_EXISTS, path, &r) != NULL ? r.result != 0 : s->real.exists(s->real.ctx, path);
}

/* The others still are the real world's. */
static int pass_user(void *ctx, const char *name, struct config_user *ret)
{
    struct snapshot *s = ctx;
    return s->real.user(s->real.ctx, name, ret);
}

static int pass_group(void *ctx, const char *name, gid_t *gid, char found[64])
{
    struct snapshot *s = ctx;
    return s->real.group(s->real.ctx, name, gid, found);
}

static int pass_home(void *ctx, const char *user, char *buf, size_t size)
{
    struct snapshot *s = ctx;
    return s->real.home(s->real.ctx, user, buf, size);
}

/* -- both ------------------------------------------------------------------------- */

static struct snapshot *begin(struct world *w)
{
    struct snapshot *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->real = w->config_world;
    s->bytes = BUF_INIT(SNAPSHOT_MAX);
    w->config_world.ctx = s;
    w->config_world.user = pass_user;
    w->config_world.group = pass_group;
    w->config_world.home = pass_home;
    return s;
}

int snapshot_record(struct world *w, struct snapshot **ret)
{
    struct snapshot *s = begin(w);
    if (s == NULL)
        return -ENOMEM;
    buf_add(&s->bytes, MAGIC, sizeof(MAGIC));
    w->config_world.read_file = record_file;
    w->config_world.glob = record_glob;
    w->config_world.is_directory = record_is_directory;
    w->config_world.exists = record_exists;
    *ret = s;
    return 0;
}

int snapshot_take_fd(struct snapshot *s)
{
    _cleanup_close_ int fd = memfd_create("configuration", MFD_CLOEXEC);
    if (s->bytes.error != 0 || fd < 0)
        return s->bytes.error != 0 ? s->bytes.error : -errno;
    for (size_t done = 0; done < s->bytes.len;) {
        ssize_t n = write(fd, s->bytes.data + done, s->bytes.len - done);
        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return TAKE_FD(fd);
}

int snapshot_replay(struct world *w, int fd, struct snapshot **ret)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    size_t len = (size_t)st.st_size;
    void *map = len >= sizeof(MAGIC) ? mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
    if (map == MAP_FAILED || memcmp(map, MAGIC, sizeof(MAGIC)) != 0) {
        if (map != MAP_FAILED)
            munmap(map, len);
        return -EBADMSG;
    }
    struct snapshot *s = begin(w);
    if (s == NULL) {
        munmap(map, len);
        return -ENOMEM;
    }
    s->map = map;
    s->len = len;
    s->next = sizeof(MAGIC);
    w->config_world.read_file = replay_file;
    w->config_world.glob = replay_glob;
    w->config_world.is_directory = replay_is_directory;
    w->config_world.exists = replay_exists;
    *ret = s;
    return 0;
}

void snapshot_free(struct world *w, struct snapshot *s)
{
    if (s == NULL)
        return;
    w->config_world = s->real;
    if (s->map != NULL)
        munmap((void *)(uintptr_t)s->map, s->len);
    buf_done(&s->bytes);
    free(s);
}
