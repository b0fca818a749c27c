/* loads.c - see loads.h.
 *
 * Owns, for each configuration that is in use, a reference to it, the memfd of its
 * snapshot and that of its image; and, with the guardian, one more memfd that says which
 * group runs by which.  That one is lines of text: "path P", "daemon N", "latest N",
 * "group N NAME", where N is the name of a snapshot as the guardian has it.
 *
 * The image is what a successor of the same program goes on with in no time; the
 * snapshot is for another program, and for whatever may be wrong with an image. */
#include "daemon/loads.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "config/config_load.h"
#include "os/config_image.h"
#include "os/snapshot.h"

#define TABLE_NAME "groups"
#define TABLE_MAX (16UL << 20)

struct load {
    struct load *next;
    struct config *config;
    int fd;
    int image;                    /* -1: none, or the guardian's alone */
    char name[ROLL_NAME_MAX + 1]; /* as the guardian has it */
    bool used, has_image;
};

/* An image has the number of its snapshot. */
static void image_name(const char *name, char image[ROLL_NAME_MAX + 1])
{
    snprintf(image, ROLL_NAME_MAX + 1, "i%s", name + 1);
}

struct loads {
    struct holder *holder;
    char *path;
    struct load *list;
    struct config *daemon, *latest; /* of the list */
    struct supervisor_part *parts;
    size_t n_parts;
    unsigned last; /* number of the newest name */
    int table_fd;  /* borrowed by the holder until it has been sent; -1: none yet */
};

static void load_free(struct loads *l, struct load *one)
{
    char image[ROLL_NAME_MAX + 1];
    image_name(one->name, image);
    if (one->has_image)
        holder_drop(l->holder, image);
    if (one->name[0] != '\0')
        holder_drop(l->holder, one->name);
    cleanup_close(&one->image);
    cleanup_close(&one->fd);
    config_unref(one->config);
    free(one);
}

void loads_free(struct loads *l)
{
    if (l == NULL)
        return;
    while (l->list != NULL) {
        struct load *one = l->list;
        l->list = one->next;
        load_free(l, one);
    }
    cleanup_close(&l->table_fd);
    free(l->parts);
    free(l->path);
    free(l);
}

int loads_new(struct holder *h, const char *path, struct loads **ret)
{
    struct loads *l = calloc(1, sizeof(*l));
    if (l == NULL || (l->path = strdup(path)) == NULL) {
        free(l);
        return -ENOMEM;
    }
    l->holder = h;
    l->table_fd = -1;
    *ret = l;
    return 0;
}

struct config *loads_daemon(const struct loads *l)
{
    return l->daemon;
}

struct config *loads_latest(const struct loads *l)
{
    return l->latest;
}

const struct supervisor_part *loads_parts(const struct loads *l, size_t *n)
{
    *n = l->n_parts;
    return l->parts;
}

/* -- loading -------------------------------------------------------------------- */

/* Takes over the descriptor, which may be -1: then a successor reads the files. */
static int add(struct loads *l, struct config *config, int fd, const char *name, bool has_image)
{
    struct load *one = calloc(1, sizeof(*one));
    if (one == NULL) {
        cleanup_close(&fd);
        return -ENOMEM;
    }
    one->config = config_ref(config);
    one->fd = fd;
    one->image = -1;
    one->has_image = has_image;
    snprintf(one->name, sizeof(one->name), "%s", name);
    one->next = l->list;
    l->list = one;
    return 0;
}

int loads_load(struct loads *l, const struct options *o, struct config **ret, struct diagnostics *d)
{
    struct world world;
    struct snapshot *snapshot = NULL;
    int r = world_open(&world);
    if (r < 0)
        return r;
    r = snapshot_record(&world, &snapshot);
    if (r == 0)
        r = config_load_with(&world.config_world, l->path, o->overrides, ret, d);
    if (r == 0) {
        int fd = snapshot_take_fd(snapshot);
        r = add(l, *ret, fd < 0 ? -1 : fd, "", false);
        if (r < 0)
            config_unref(*ret);
    }
    snapshot_free(&world, snapshot);
    world_close(&world);
    return r;
}

static int replay(const struct loads *l, const struct options *o, int fd, struct config **ret)
{
    struct world world;
    struct snapshot *snapshot = NULL;
    _cleanup_(diagnostics_clear) struct diagnostics d = { 0 };
    int r = world_open(&world);
    if (r == 0)
        r = snapshot_replay(&world, fd, &snapshot);
    if (r == 0)
        r = config_load_with(&world.config_world, l->path, o->overrides, ret, &d);
    for (size_t i = 0; r < 0 && i < d.n; i++)
        if (d.list[i].level == DIAGNOSTIC_ERROR)
            fprintf(stderr, "droverd: error: %s\n", d.list[i].text);
    snapshot_free(&world, snapshot);
    world_close(&world);
    return r;
}

/* NULL: there is none that could be used. */
static struct config *map_image(const struct loads *l, const char *name)
{
    char image[ROLL_NAME_MAX + 1];
    struct config *config = NULL;
    image_name(name, image);
    _cleanup_close_ int fd = l->holder->early_deaths == 0 ? holder_take(l->holder, image) : -1;
    return fd >= 0 && config_image_map(fd, &config) == 0 ? config : NULL;
}

static int load_kept(struct loads *l, const struct options *o, const char *name)
{
    int fd = holder_take(l->holder, name);
    if (fd < 0)
        return -EBADMSG;
    struct config *config = map_image(l, name);
    bool mapped = config != NULL;
    int r = mapped ? 0 : replay(l, o, fd, &config);
    if (r < 0) {
        cleanup_close(&fd);
        return r;
    }
    r = add(l, config, fd, name, mapped);
    config_unref(config);
    unsigned number = (unsigned)strtoul(name + 1, NULL, 16);
    l->last = number > l->last ? number : l->last;
    return r;
}

/* -- taking over ------------------------------------------------------------------ */

static struct config *named(struct loads *l, const struct options *o, const char *name)
{
    for (int tries = 0; tries < 2; tries++) {
        for (struct load *one = l->list; one != NULL; one = one->next)
            if (strcmp(one->name, name) == 0)
                return one->config;
        if (load_kept(l, o, name) < 0)
            break;
    }
    return NULL;
}

/* The table has most groups in the order of their configuration: the next one is
 * looked for behind the one that was found last. */
static const struct program_group *group_of(const struct config *config, const char *name, size_t *next)
{
    for (size_t i = 0; i < config->n_groups; i++) {
        size_t at = (*next + i) % config->n_groups;
        if (config->groups[at].shadowed || strcmp(config->groups[at].name, name) != 0)
            continue;
        *next = at + 1;
        return &config->groups[at];
    }
    return NULL;
}

static int take_line(struct loads *l, const struct options *o, char *line, size_t *next_group)
{
    char *rest = strchr(line, ' ');
    if (rest == NULL)
        return -EBADMSG;
    *rest++ = '\0';
    if (strcmp(line, "path") == 0)
        return (l->path = strdup(rest)) != NULL ? 0 : -ENOMEM;
    char *group = strchr(rest, ' ');
    if (group != NULL)
        *group++ = '\0';
    struct config *config = l->path != NULL ? named(l, o, rest) : NULL;
    if (config == NULL)
        return -EBADMSG;
    if (strcmp(line, "daemon") == 0)
        l->daemon = config;
    else if (strcmp(line, "latest") == 0)
        l->latest = config;
    const struct program_group *g = group != NULL ? group_of(config, group, next_group) : NULL;
    if (g != NULL)
        l->parts[l->n_parts++] = (struct supervisor_part){ config, g };
    return 0;
}

static int take_table(struct loads *l, const struct options *o, char *text)
{
    size_t lines = 0, next_group = 0;
    for (const char *p = text; *p != '\0'; p++)
        lines += *p == '\n';
    l->parts = calloc(lines + 1, sizeof(*l->parts));
    int r = l->parts != NULL ? 0 : -ENOMEM;
    char *next;
    for (char *line = strtok_r(text, "\n", &next); r == 0 && line != NULL; line = strtok_r(NULL, "\n", &next))
        r = take_line(l, o, line, &next_group);
    return r < 0 || (l->daemon != NULL && l->latest != NULL) ? r : -EBADMSG;
}

static char *read_table(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_size <= 0 || (uint64_t)st.st_size > TABLE_MAX)
        return NULL;
    char *text = calloc(1, (size_t)st.st_size + 1);
    if (text != NULL && pread(fd, text, (size_t)st.st_size, 0) != st.st_size)
        free(TAKE_PTR(text));
    return text;
}

int loads_take(struct holder *h, const struct options *o, struct loads **ret)
{
    _cleanup_close_ int fd = holder_take(h, TABLE_NAME);
    *ret = NULL;
    if (fd < 0)
        return 0;
    _cleanup_free_ char *text = read_table(fd);
    struct loads *l = calloc(1, sizeof(*l));
    if (l != NULL) {
        l->holder = h;
        l->table_fd = -1;
    }
    int r = l != NULL && text != NULL ? take_table(l, o, text) : -ENOMEM;
    if (r < 0) {
        loads_free(l);
        return r;
    }
    *ret = l;
    return 0;
}

void loads_forget(struct loads *l)
{
    holder_drop(l->holder, TABLE_NAME);
}

/* -- keeping ---------------------------------------------------------------------- */

static struct load *load_of(const struct loads *l, const struct config *config)
{
    struct load *one = l->list;
    while (one != NULL && one->config != config)
        one = one->next;
    return one;
}

/* Once; without one a successor reads the snapshot. */
static void add_image(struct loads *l, struct load *one)
{
    char name[ROLL_NAME_MAX + 1];
    if (one->has_image)
        return;
    one->has_image = true;
    one->image = config_image_write(one->config);
    config_keep_from_children(one->config);
    image_name(one->name, name);
    if (one->image >= 0)
        holder_put(l->holder, name, one->image);
}

/* The name of it, after it has one; NULL: it cannot be kept. */
static const char *use(struct loads *l, const struct config *config)
{
    struct load *one = load_of(l, config);
    if (one == NULL || one->fd < 0)
        return NULL;
    one->used = true;
    if (one->name[0] == '\0') {
        snprintf(one->name, sizeof(one->name), "c%07x", ++l->last & 0xfffffff);
        holder_put(l->holder, one->name, one->fd);
    }
    add_image(l, one);
    return one->name;
}

static void add_line(struct loads *l, struct buf *b, const char *word, const struct config *config, const char *group)
{
    const char *name = use(l, config);
    if (name == NULL)
        b->error = -ENOMEM;
    else if (group != NULL)
        buf_printf(b, "%s %s %s\n", word, name, group);
    else
        buf_printf(b, "%s %s\n", word, name);
}

static void drop_unused(struct loads *l)
{
    for (struct load **at = &l->list; *at != NULL;) {
        struct load *one = *at;
        if (one->used) {
            one->used = false;
            at = &one->next;
            continue;
        }
        *at = one->next;
        load_free(l, one);
    }
}

static int keep_table(struct loads *l, const struct buf *b)
{
    _cleanup_close_ int fd = memfd_create(TABLE_NAME, MFD_CLOEXEC);
    if (b->error != 0 || fd < 0)
        return b->error != 0 ? b->error : -errno;
    if (write(fd, b->data, b->len) != (ssize_t)b->len)
        return -EIO;
    int r = holder_put(l->holder, TABLE_NAME, fd);
    cleanup_close(&l->table_fd);
    l->table_fd = TAKE_FD(fd);
    return r;
}

void loads_sync(struct loads *l, const struct supervisor *s, const struct config *daemon)
{
    _cleanup_buf_ struct buf b = BUF_INIT(TABLE_MAX);
    buf_printf(&b, "path %s\n", l->path);
    add_line(l, &b, "daemon", daemon, NULL);
    add_line(l, &b, "latest", s->config, NULL);
    for (size_t i = 0; i < s->n_groups; i++)
        add_line(l, &b, "group", s->groups[i]->config, s->groups[i]->group->name);
    int r = keep_table(l, &b);
    if (r < 0)
        log_error("what the groups run by cannot be kept: %s; should the supervisor be killed, the files are read anew",
                  strerror(-r));
    free(TAKE_PTR(l->parts));
    l->n_parts = 0;
    drop_unused(l);
}
