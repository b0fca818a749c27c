/* channel_keep.c - see channel_keep.h.  The block belongs to its channel; its two
 * rooms grow by doubling and are given back when they are empty. */
#include "supervisor/channel_keep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SMALL 1024 /* a room of this size is worth keeping */

struct channel_keep *channel_keep_new(void)
{
    return calloc(1, sizeof(struct channel_keep));
}

static uint32_t rounded(uint32_t size)
{
    uint32_t r = SMALL;
    while (r < size && r < UINT32_MAX / 2)
        r *= 2;
    return r < size ? size : r;
}

/* Only what is in use of the second room is moved. */
static int resize(struct channel_keep **k, uint32_t in_size, uint32_t rest_size)
{
    struct channel_keep *old = *k;
    if (in_size < old->in_size)
        memmove(old->bytes + in_size, old->bytes + old->in_size, old->rest_start + old->rest_len);
    struct channel_keep *new = realloc(old, sizeof(*new) + in_size + rest_size);
    if (new == NULL) {
        if (in_size >= old->in_size)
            return -ENOMEM;
        new = old; /* smaller, and it did not work: nothing is lost but memory */
    }
    if (in_size > new->in_size)
        memmove(new->bytes + in_size, new->bytes + new->in_size, new->rest_start + new->rest_len);
    new->in_size = in_size;
    new->rest_size = rest_size;
    *k = new;
    return 0;
}

int channel_keep_grow(struct channel_keep **k, uint32_t in_size)
{
    return in_size <= (*k)->in_size ? 0 : resize(k, rounded(in_size), (*k)->rest_size);
}

int channel_keep_rest(struct channel_keep **k, const char *data, size_t len)
{
    (*k)->rest_start = (*k)->rest_len = 0;
    if (len > (*k)->rest_size) {
        int r = resize(k, (*k)->in_size, rounded((uint32_t)len));
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

void channel_keep_trim(struct channel_keep **k)
{
    uint32_t in = (*k)->in.len == 0 ? 0 : (*k)->in_size;
    uint32_t rest = (*k)->rest_len == 0 ? 0 : (*k)->rest_size;
    if ((*k)->in_size + (*k)->rest_size <= 2 * SMALL || (in == (*k)->in_size && rest == (*k)->rest_size))
        return;
    if (rest == 0)
        (*k)->rest_start = 0;
    resize(k, in, rest);
}
