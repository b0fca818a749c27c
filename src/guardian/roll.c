/* roll.c - see roll.h.
 *
 * Owns the descriptors that are held, by their numbers only: opening and closing
 * is mail.c's.  Both tables are dense, so that few jobs touch few pages; what
 * is taken out is replaced by the last.  Names are found through an index with
 * open addressing, which is never more than half full. */
#include "guardian/roll.h"

#include <errno.h>
#include <string.h>

_Static_assert((ROLL_INDEX_SIZE & (ROLL_INDEX_SIZE - 1)) == 0, "the index is masked, not divided");
_Static_assert(ROLL_HELD_MAX < UINT16_MAX, "places are kept in 16 bits");

uint64_t roll_name(const char *name)
{
    uint64_t value = 0;
    size_t len = strlen(name);
    if (len <= ROLL_NAME_MAX)
        memcpy(&value, name, len);
    return value;
}

const char *roll_name_text(uint64_t name, char text[ROLL_NAME_MAX + 1])
{
    memcpy(text, &name, sizeof(name));
    text[ROLL_NAME_MAX] = '\0';
    return text;
}

/* Where the search for a name begins: Fibonacci hashing. */
static uint32_t home(uint64_t name)
{
    return (uint32_t)((name * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (ROLL_INDEX_SIZE - 1);
}

static uint32_t after(uint32_t at)
{
    return (at + 1) & (ROLL_INDEX_SIZE - 1);
}

/* Where the name is in the index, or the free place where it would be. */
static uint32_t find(const struct roll *r, uint64_t name)
{
    uint32_t at = home(name);
    while (r->index[at] != 0 && r->names[r->index[at] - 1] != name)
        at = after(at);
    return at;
}

int roll_held(const struct roll *r, uint64_t name)
{
    uint32_t at = find(r, name);
    return r->index[at] != 0 ? r->fds[r->index[at] - 1] : -1;
}

int roll_hold(struct roll *r, uint64_t name, int fd, int *before)
{
    if (name == 0)
        return -EINVAL;
    uint32_t at = find(r, name);
    *before = -1;
    if (r->index[at] == 0) {
        if (r->n_held == ROLL_HELD_MAX)
            return -ENOSPC;
        r->names[r->n_held] = name;
        r->index[at] = (uint16_t)++r->n_held;
    } else {
        *before = r->fds[r->index[at] - 1];
    }
    r->fds[r->index[at] - 1] = fd;
    return 0;
}

/* Closes the hole in the index: what was pushed past it moves back into it. */
static void index_remove(struct roll *r, uint32_t hole)
{
    for (uint32_t at = after(hole); r->index[at] != 0; at = after(at)) {
        uint32_t from = home(r->names[r->index[at] - 1]);
        /* may stand in the hole unless its home lies behind it, up to where it is */
        if (((at - from) & (ROLL_INDEX_SIZE - 1)) < ((at - hole) & (ROLL_INDEX_SIZE - 1)))
            continue;
        r->index[hole] = r->index[at];
        hole = at;
    }
    r->index[hole] = 0;
}

int roll_drop(struct roll *r, uint64_t name)
{
    uint32_t at = find(r, name);
    if (name == 0 || r->index[at] == 0)
        return -1;
    uint32_t place = r->index[at] - 1U, last = r->n_held - 1;
    int fd = r->fds[place];
    index_remove(r, at);
    if (place != last) {
        r->index[find(r, r->names[last])] = (uint16_t)(place + 1);
        r->names[place] = r->names[last];
        r->fds[place] = r->fds[last];
    }
    r->n_held = last;
    return fd;
}

/* -- children ------------------------------------------------------------------- */

int roll_add(struct roll *r, pid_t pid, uint64_t tag)
{
    struct roll_child *before = roll_live(r, pid); /* the number was given away again, so somebody has reaped it */
    if (before != NULL)
        before->state = ROLL_GONE;
    if (r->n_born == ROLL_BORN_MAX)
        return -ENOSPC;
    r->born[r->n_born++] = (struct roll_child){ .tag = tag, .pid = pid, .state = ROLL_LIVE };
    return 0;
}

struct roll_child *roll_live(struct roll *r, pid_t pid)
{
    for (uint32_t i = 0; i < r->n_born; i++)
        if (r->born[i].pid == pid && r->born[i].state == ROLL_LIVE)
            return &r->born[i];
    return NULL;
}

bool roll_forget(struct roll *r, pid_t pid, uint64_t tag)
{
    for (uint32_t i = 0; i < r->n_born; i++) {
        if (r->born[i].pid != pid || r->born[i].tag != tag)
            continue;
        r->born[i] = r->born[--r->n_born];
        return true;
    }
    return false;
}

unsigned roll_count_live(const struct roll *r)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < r->n_born; i++)
        n += r->born[i].state == ROLL_LIVE;
    return n;
}
