/* channel_keep.c - see channel_keep.h.  The block belongs to its channel; its two
 * rooms grow by doubling and are given back when they are empty.  A memfd is made as
 * large as it has to be before anybody writes there: memory that is short is an error
 * here and never a SIGBUS. */
#include "supervisor/channel_keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SMALL 1024 /* a room of this size is worth keeping */
#define PAGE 4096U
#define MAGIC (0x63680000U + (uint32_t)(sizeof(struct channel_keep) + offsetof(struct channel_desk, batch)))

static size_t mapped(const struct channel_keep *k)
{
    return (sizeof(*k) + k->in_size + k->rest_size + PAGE - 1) / PAGE * PAGE;
}

static bool is_sound_state(const struct channel_keep *k, const struct channel_state *s)
{
    return s->in.start <= k->in_size && s->in.len <= k->in_size - s->in.start && s->in.looked <= s->in.len &&
           s->rest_start <= k->rest_size && s->rest_len <= k->rest_size - s->rest_start;
}

static bool is_sound(const struct channel_keep *k, size_t size)
{
    return k->magic == MAGIC && k->in_size <= size && k->rest_size <= size && mapped(k) <= size && k->current <= 1 &&
           is_sound_state(k, &k->states[k->current]);
}

/* What another process has left is looked at before it is believed. */
static struct channel_keep *map_existing(int memory, size_t size)
{
    struct channel_keep *k = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (k == MAP_FAILED)
        return NULL;
    if (is_sound(k, size)) {
        if (mapped(k) < size) /* it died while it grew */
            munmap((char *)k + mapped(k), size - mapped(k));
        return k;
    }
    munmap(k, size);
    return NULL;
}

static struct channel_keep *map_new(int memory)
{
    if (posix_fallocate(memory, 0, PAGE) != 0)
        return NULL;
    struct channel_keep *k = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    return k == MAP_FAILED ? NULL : k;
}

struct channel_keep *channel_keep_new(int memory)
{
    struct stat st = { .st_size = 0 };
    if (memory >= 0 && fstat(memory, &st) < 0)
        return NULL;
    if (st.st_size >= PAGE)
        return map_existing(memory, (size_t)st.st_size);
    struct channel_keep *k = memory >= 0 ? map_new(memory) : calloc(1, sizeof(*k));
    if (k != NULL)
        k->magic = MAGIC;
    return k;
}

bool channel_keep_fits(int memory)
{
    uint32_t magic;
    ssize_t n = pread(memory, &magic, sizeof(magic), 0);
    return n == 0 || (n == (ssize_t)sizeof(magic) && magic == MAGIC);
}

void channel_keep_free(struct channel_keep *k, int memory)
{
    if (k != NULL && memory >= 0)
        munmap(k, mapped(k));
    else
        free(k);
}

/* -- what is so ------------------------------------------------------------------ */

const struct channel_state *channel_keep_state(const struct channel_keep *k)
{
    return &k->states[k->current];
}

/* The other copy is written, and then it is the one that counts: for whoever looks after
 * our death all of it happens with one store. */
void channel_keep_publish(struct channel_keep *k, const struct channel_state *now)
{
    uint32_t next = k->current ^ 1;
    k->states[next] = *now;
    __atomic_store_n(&k->current, next, __ATOMIC_RELEASE);
}

void channel_keep_looked(struct channel_keep *k, const struct channel_state *now)
{
    struct channel_state *s = &k->states[k->current];
    struct channel_progress at = { .looked = now->batch_at.looked,
                                   .received = (uint32_t)(now->counters.received - s->counters.received) };
    __atomic_store(&s->batch_at, &at, __ATOMIC_RELEASE);
}

static size_t at_most(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The descriptor of the write, if there is one, has gone with the first byte. */
static void finish_handle(struct channel_state *s)
{
    if (!s->write.handle)
        return;
    s->counters.handles_sent++;
    s->handles -= s->handles > 0;
    s->unacked = true;
    if (s->write.box > 0)
        s->boxes &= (uint16_t) ~(1U << (s->write.box - 1));
}

bool channel_keep_through(struct channel_keep *k, const struct channel_desk *d, struct channel_state *now, size_t len,
                          size_t taken)
{
    const struct channel_through *t = &d->through;
    if (taken >= len) {
        now->counters.sent++;
        return true;
    }
    if (len > k->rest_size || t->at > sizeof(d->batch) || t->len > sizeof(d->batch) - t->at ||
        t->before > sizeof(t->around) || t->behind > sizeof(t->around) - t->before ||
        (size_t)t->before + t->len + t->behind != len)
        return false;
    char *to = mempcpy(channel_keep_rest_room(k), t->around, t->before);
    to = mempcpy(to, d->batch + t->at, t->len);
    memcpy(to, t->around + t->before, t->behind);
    now->rest_start = (uint32_t)taken;
    now->rest_len = (uint32_t)(len - taken);
    now->rest_is_message = true;
    return true;
}

/* Of a write that was under way the socket has taken n bytes.  False: within a line whose
 * end nobody has. */
static bool finish_write(struct channel_keep *k, const struct channel_desk *d, struct channel_state *s)
{
    const struct channel_write w = s->write;
    size_t n = d->out.msg_len;
    if (n == 0)
        return true;
    if (w.through)
        return channel_keep_through(k, d, s, w.len, n);
    if (w.whole && n < w.len && w.len <= k->rest_size) {
        s->rest_start = (uint32_t)n;
        s->rest_len = w.len - (uint32_t)n;
        s->rest_is_message = true;
        finish_handle(s);
        s->queued -= s->queued > 0;
        return true;
    }
    size_t part = at_most(n, s->rest_len);
    bool had_rest = s->rest_len > 0;
    s->rest_start += (uint32_t)part;
    s->rest_len -= (uint32_t)part;
    s->counters.sent += had_rest && s->rest_len == 0 && s->rest_is_message;
    if (part == n)
        return true;
    s->acks -= w.acks < s->acks ? w.acks : s->acks;
    s->nacks -= w.nacks < s->nacks ? w.nacks : s->nacks;
    s->queued -= w.messages < s->queued ? w.messages : s->queued;
    s->counters.sent += w.messages;
    finish_handle(s);
    return n == w.len; /* what may be cut is written alone, but for lack of memory */
}

/* What had become of a descriptor that was just changing hands. */
static void conclude(const struct channel_keep *k, const struct channel_desk *d, struct channel_state *s)
{
    const struct channel_deal *deal = &d->deal;
    if (deal->receiver == 0 ? d->out.msg_len == 0 : !deal->done)
        return;
    if (deal->done && deal->receiver == k->id && deal->box < 16)
        s->boxes |= (uint16_t)(1U << deal->box);
    if (deal->settled == 0 || deal->sender != k->id || deal->settled != s->settled + 1 || s->owed == 0)
        return;
    s->owed--;
    s->settled++;
    s->acks++;
}

/* What it sent last was written from where it had been read. */
static void pass_through(const struct channel_keep *k, const struct channel_desk *d, struct channel_state *s)
{
    const struct channel_through *t = &d->through;
    if (d->out.msg_len == 0 || t->sender != k->id || s->batch != CHANNEL_BATCH_DESK || s->batch_at.looked >= t->looked)
        return;
    s->batch_at.looked = t->looked;
    s->counters.received++;
}

/* What had been read into its place. */
static void finish_read(struct channel_state *s, uint32_t in_size, uint32_t n)
{
    uint32_t room = in_size - s->in.start - s->in.len;
    s->in.len += n < room ? n : room;
    s->batch = CHANNEL_BATCH_NONE;
}

bool channel_keep_restore(struct channel_keep *k, const struct channel_desk *d, struct channel_state *now)
{
    struct channel_state s = *channel_keep_state(k);
    bool whole = s.write.len == 0 || finish_write(k, d, &s);
    conclude(k, d, &s);
    pass_through(k, d, &s);
    s.nacks += s.owed; /* those we do not have */
    s.counters.handles_lost += s.owed;
    s.owed = 0;
    if (s.batch == CHANNEL_BATCH_IN)
        finish_read(&s, k->in_size, d->in.msg_len);
    s.counters.received += s.batch_at.received;
    s.batch_at.received = 0;
    s.counters.lost += (s.queued > s.handles ? s.queued - s.handles : 0) + s.parked;
    s.write = (struct channel_write){ 0 };
    s.queued = s.handles = 0;
    s.parked = false;
    *now = s;
    return whole;
}

/* -- rooms ------------------------------------------------------------------------ */

static uint32_t rounded(uint32_t size)
{
    uint32_t r = SMALL;
    while (r < size && r < UINT32_MAX / 2)
        r *= 2;
    return r < size ? size : r;
}

static struct channel_keep *remap(struct channel_keep *k, int memory, size_t size)
{
    if (memory < 0)
        return realloc(k, size);
    size = (size + PAGE - 1) / PAGE * PAGE;
    if (size == mapped(k))
        return k;
    if (size > mapped(k) && posix_fallocate(memory, 0, (off_t)size) != 0)
        return NULL;
    struct channel_keep *moved = mremap(k, mapped(k), size, MREMAP_MAYMOVE);
    return moved == MAP_FAILED ? NULL : moved;
}

/* The second room lies behind the first.  What is in use of it is copied, never onto
 * itself, and is in its new place with the store of one number. */
static int resize(struct channel_keep **k, int memory, const struct channel_state *now, uint32_t in_size,
                  uint32_t rest_size)
{
    struct channel_keep *old = *k;
    bool smaller = in_size <= old->in_size && rest_size <= old->rest_size;
    size_t used = now->rest_len > 0 ? now->rest_start + now->rest_len : 0;
    struct channel_keep *new = remap(old, memory, sizeof(*new) + in_size + rest_size);
    if (new == NULL && !smaller)
        return -ENOMEM;
    if (new == NULL) /* smaller, and it did not work: all that is lost is memory */
        new = old;
    if (used > 0)
        memcpy(new->bytes + in_size, new->bytes + new->in_size, used);
    new->rest_size = rest_size;
    __atomic_store_n(&new->in_size, in_size, __ATOMIC_RELEASE);
    *k = new;
    if (smaller && memory >= 0 && ftruncate(memory, (off_t)mapped(new)) < 0)
        return 0; /* as above */
    return 0;
}

int channel_keep_grow(struct channel_keep **k, int memory, const struct channel_state *now, uint32_t in_size)
{
    uint32_t size = (*k)->in_size;
    if (in_size <= size)
        return 0;
    uint32_t used = now->rest_len > 0 ? now->rest_start + now->rest_len : 0;
    uint32_t least = used > 0 && size + used > in_size ? size + used : in_size;
    return resize(k, memory, now, rounded(least), (*k)->rest_size);
}

char *channel_keep_rest_room(struct channel_keep *k)
{
    return k->bytes + k->in_size;
}

int channel_keep_rest(struct channel_keep **k, int memory, struct channel_state *now, const char *data, size_t len)
{
    now->rest_start = now->rest_len = 0;
    if (len > (*k)->rest_size) {
        int r = resize(k, memory, now, (*k)->in_size, rounded((uint32_t)len));
        if (r < 0)
            return r;
    }
    memcpy(channel_keep_rest_room(*k), data, len);
    now->rest_len = (uint32_t)len;
    return 0;
}

const char *channel_keep_rest_data(const struct channel_keep *k, const struct channel_state *now)
{
    return k->bytes + k->in_size + now->rest_start;
}

bool channel_keep_is_large(const struct channel_keep *k)
{
    return k->in_size + k->rest_size > 2 * SMALL;
}

void channel_keep_trim(struct channel_keep **k, int memory, struct channel_state *now)
{
    if (!channel_keep_is_large(*k) || now->in.len > 0 || now->rest_len > 0)
        return;
    now->in.start = now->in.looked = now->rest_start = 0; /* an empty room has no place in it */
    channel_keep_publish(*k, now);
    resize(k, memory, now, 0, 0);
}

/* -- the desk ---------------------------------------------------------------------- */

#define DESK_SIZE ((sizeof(struct channel_desk) + PAGE - 1) / PAGE * PAGE)
#define DESK_MAGIC (0x6b740000U + (uint32_t)offsetof(struct channel_desk, batch))

struct channel_desk *channel_desk_new(int memory)
{
    struct stat st = { .st_size = 0 };
    struct channel_desk *d = NULL;
    if (memory < 0) {
        d = malloc(sizeof(*d));
    } else if (fstat(memory, &st) == 0 && posix_fallocate(memory, 0, DESK_SIZE) == 0) {
        d = mmap(NULL, DESK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
        d = d == MAP_FAILED ? NULL : d;
    }
    if (d == NULL || (st.st_size == DESK_SIZE && d->magic == DESK_MAGIC && d->in.msg_len <= sizeof(d->batch)))
        return d;
    memset(d, 0, offsetof(struct channel_desk, batch));
    d->magic = DESK_MAGIC;
    return d;
}

void channel_desk_free(struct channel_desk *d, bool is_mapped)
{
    if (d != NULL && is_mapped)
        munmap(d, DESK_SIZE);
    else
        free(d);
}
