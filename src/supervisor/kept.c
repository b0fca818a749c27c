/* kept.c - see kept.h.
 *
 * Owns a table of names by descriptor number, for those that are kept.  A name is
 * "j" ("k" for the memory of a channel, "h" for a box of one and its own number), the number in the process as one of
 * 64 characters, four digits for the slot and two for the run, to the base of 36: a run is told from the 1,295 before
 * it, and of those only the few are there whose pipes somebody still holds. */
#include "supervisor/kept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guardian/holder.h"
#include "os/spawn.h"

#define RUNS 1296 /* 36 squared */

static const char numbers[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";

static struct {
    struct holder *holder;
    uint64_t *names; /* by descriptor; 0: not kept */
    int n;
} kept;

void kept_begin(struct holder *h)
{
    kept.holder = h;
}

void kept_end(void)
{
    free(kept.names);
    memset(&kept, 0, sizeof(kept));
}

static void put_digits(char *at, unsigned n, uint32_t value)
{
    while (n-- > 0) {
        at[n] = numbers[value % 36];
        value /= 36;
    }
}

static bool get_digits(const char *at, unsigned n, uint32_t *ret)
{
    uint32_t value = 0;
    for (; n > 0; n--, at++) {
        const char *digit = *at != '\0' ? memchr(numbers, *at, 36) : NULL;
        if (digit == NULL)
            return false;
        value = value * 36 + (uint32_t)(digit - numbers);
    }
    *ret = value;
    return true;
}

static void name_of(const struct kept_key *k, char name[ROLL_NAME_MAX + 1])
{
    name[0] = k->memory ? 'k' : 'j';
    name[1] = numbers[k->number % 64];
    put_digits(name + 2, 4, k->slot);
    put_digits(name + 6, 2, k->instance % RUNS);
    name[8] = '\0';
}

static bool key_of(const char *name, struct kept_key *k)
{
    const char *number = name[0] == 'j' && name[1] != '\0' ? strchr(numbers, name[1]) : NULL;
    if (number == NULL || !get_digits(name + 2, 4, &k->slot) || !get_digits(name + 6, 2, &k->instance))
        return false;
    k->number = (unsigned)(number - numbers);
    k->memory = false;
    return true;
}

static int note(int fd, uint64_t name)
{
    if (fd >= kept.n) {
        int n = fd + 256; /* not doubled: what is not needed would be as much again */
        uint64_t *names = realloc(kept.names, (size_t)n * sizeof(*names));
        if (names == NULL)
            return -ENOMEM;
        memset(names + kept.n, 0, (size_t)(n - kept.n) * sizeof(*names));
        kept.names = names;
        kept.n = n;
    }
    kept.names[fd] = name;
    return 0;
}

int kept_put(const struct kept_key *k, int fd)
{
    char name[ROLL_NAME_MAX + 1];
    if (kept.holder == NULL)
        return 0;
    name_of(k, name);
    int r = note(fd, roll_name(name));
    return r < 0 ? r : holder_put(kept.holder, name, fd);
}

int kept_take(const struct kept_key *k)
{
    char name[ROLL_NAME_MAX + 1];
    if (kept.holder == NULL)
        return -1;
    name_of(k, name);
    int fd = holder_take(kept.holder, name);
    if (fd >= 0)
        note(fd, roll_name(name)); /* without memory it stays with the guardian when we close it */
    return fd;
}

/* The memory's name is that of the box but for its beginning. */
static bool box_name(int memory, unsigned n, char name[ROLL_NAME_MAX + 1])
{
    if (kept.holder == NULL || memory < 0 || memory >= kept.n || kept.names[memory] == 0)
        return false;
    roll_name_text(kept.names[memory], name);
    name[0] = 'h';
    name[1] = numbers[n % 64];
    return true;
}

int kept_put_box(int memory, unsigned n, int fd)
{
    char name[ROLL_NAME_MAX + 1];
    if (!box_name(memory, n, name))
        return 0;
    int r = note(fd, roll_name(name));
    return r < 0 ? r : holder_put(kept.holder, name, fd);
}

int kept_take_box(int memory, unsigned n)
{
    char name[ROLL_NAME_MAX + 1];
    int fd = box_name(memory, n, name) ? holder_take(kept.holder, name) : -1;
    if (fd >= 0)
        note(fd, roll_name(name));
    return fd;
}

int kept_find(const char *name)
{
    uint64_t wanted = roll_name(name);
    int fd = 0;
    while (fd < kept.n && (kept.names[fd] != wanted || wanted == 0))
        fd++;
    return fd < kept.n ? fd : -1;
}

bool kept_next(uint32_t *at, struct kept_key *k)
{
    const struct roll *roll = kept.holder != NULL ? kept.holder->roll : NULL;
    char name[ROLL_NAME_MAX + 1];
    while (roll != NULL && *at < roll->n_held)
        if (key_of(roll_name_text(roll->names[(*at)++], name), k))
            return true;
    return false;
}

unsigned kept_runs_since(const struct kept_key *k, uint32_t instance)
{
    return (instance % RUNS + RUNS - k->instance % RUNS) % RUNS;
}

int kept_look(const struct roll *r, uint32_t *at)
{
    char name[ROLL_NAME_MAX + 1];
    while (*at < r->n_held) {
        uint32_t i = (*at)++;
        if (*roll_name_text(r->names[i], name) == 'k')
            return r->fds[i];
    }
    return -1;
}

int kept_memory(const char *name)
{
    int fd = kept.holder != NULL ? holder_take(kept.holder, name) : -1;
    if (fd >= 0 || kept.holder == NULL)
        return fd;
    fd = spawn_raise_fd(memfd_create(name, MFD_CLOEXEC));
    if (fd >= 0 && holder_put(kept.holder, name, fd) < 0)
        cleanup_close(&fd);
    return fd;
}

bool kept_has_room(void)
{
    return kept.holder == NULL || holder_has_room(kept.holder);
}

int kept_flush(void)
{
    return kept.holder != NULL ? holder_flush(kept.holder) : 0;
}

void kept_close(int *fd)
{
    if (*fd >= 0 && *fd < kept.n && kept.names[*fd] != 0) {
        char name[ROLL_NAME_MAX + 1];
        holder_drop(kept.holder, roll_name_text(kept.names[*fd], name));
        kept.names[*fd] = 0;
    }
    cleanup_close(fd);
}
