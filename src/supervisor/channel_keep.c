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
#define MAGIC (0x63680000U + (uint32_t)sizeof(struct channel_keep))

static size_t mapped(const struct channel_keep *k)
{
    return (sizeof(*k) + k->in_size + k->rest_size + PAGE - 1) / PAGE * PAGE;
}

static bool is_sound(const struct channel_keep *k, size_t size)
{
    return k->magic == MAGIC && k->in_size <= size && k->rest_size <= size && mapped(k) <= size &&
           k->in.start <= k->in_size && k->in.len <= k->in_size - k->in.start && k->in.looked <= k->in.len &&
           k->rest_start <= k->rest_size && k->rest_len <= k->rest_size - k->rest_start;
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

void channel_keep_free(struct channel_keep *k, int memory)
{
    if (k != NULL && memory >= 0)
        munmap(k, mapped(k));
    else
        free(k);
}

bool channel_keep_restore(struct channel_keep *k)
{
    bool cut = k->batch == CHANNEL_BATCH_CUT;
    if (cut || k->batch == CHANNEL_BATCH_WHOLE)
        k->in = (struct frame_state){ .skipping = cut, .skipped = cut };
    k->batch = CHANNEL_BATCH_NONE;
    return !k->writing;
}

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

/* Only what is in use of the second room is moved. */
static int resize(struct channel_keep **k, int memory, uint32_t in_size, uint32_t rest_size)
{
    struct channel_keep *old = *k;
    bool smaller = in_size <= old->in_size && rest_size <= old->rest_size;
    size_t used = old->rest_len > 0 ? old->rest_start + old->rest_len : 0;
    if (in_size < old->in_size)
        memmove(old->bytes + in_size, old->bytes + old->in_size, used);
    struct channel_keep *new = remap(old, memory, sizeof(*new) + in_size + rest_size);
    if (new == NULL && !smaller)
        return -ENOMEM;
    if (new == NULL) /* smaller, and it did not work: all that is lost is memory */
        new = old;
    if (in_size > new->in_size)
        memmove(new->bytes + in_size, new->bytes + new->in_size, used);
    new->in_size = in_size;
    new->rest_size = rest_size;
    *k = new;
    if (smaller && memory >= 0 && ftruncate(memory, (off_t)mapped(new)) < 0)
        return 0; /* as above */
    return 0;
}

int channel_keep_grow(struct channel_keep **k, int memory, uint32_t in_size)
{
    return in_size <= (*k)->in_size ? 0 : resize(k, memory, rounded(in_size), (*k)->rest_size);
}

int channel_keep_rest(struct channel_keep **k, int memory, const char *data, size_t len)
{
    (*k)->rest_start = (*k)->rest_len = 0;
    if (len > (*k)->rest_size) {
        int r = resize(k, memory, (*k)->in_size, rounded((uint32_t)len));
        if (r < 0)
            return r;
    }
    memcpy((*k)->bytes + (*k)->in_size, data, len);
    (*k)->rest_len = (uint32_t)len;
    return 0;
}

const char *channel_keep_rest_data(const struct channel_keep *k)
{
    return k->bytes + k->in_size + k->rest_start;
}

void channel_keep_trim(struct channel_keep **k, int memory)
{
    uint32_t in = (*k)->in.len == 0 ? 0 : (*k)->in_size;
    uint32_t rest = (*k)->rest_len == 0 ? 0 : (*k)->rest_size;
    if ((*k)->in_size + (*k)->rest_size <= 2 * SMALL || (in == (*k)->in_size && rest == (*k)->rest_size))
        return;
    if (in == 0) /* an empty room has no place in it */
        (*k)->in.start = (*k)->in.looked = 0;
    if (rest == 0)
        (*k)->rest_start = 0;
    resize(k, memory, in, rest);
}
