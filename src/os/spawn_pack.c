/* spawn_pack.c - the memory that a child sees between clone and exec.
 *
 * The kernel copies our page tables at each clone, and afterwards each page that
 * either side writes.  The child needs next to nothing of it, so the heap is kept
 * out of children altogether (MADV_DONTFORK), and what the child does need, the
 * plan and its strings, is packed into one block of memory that is not heap.
 * Touching the heap between clone and exec would be a segmentation fault in the
 * child, never anything in the daemon.
 *
 * Owns that one block, which grows to the largest swarm of starts and is used
 * again for the next. */
#include "os/spawn_pack.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PACK_START (256UL * 1024)

static struct {
    char *block;
    size_t size, used;
    const char *heap_start, *heap_end; /* what is kept out of children so far */
} pack;

/* Libraries of the loop and the parsers, which the child never calls. */
static bool is_useless_library(const char *line)
{
    return strstr(line, "/libevent") != NULL || strstr(line, "/libjansson") != NULL || strstr(line, "/libinih") != NULL;
}

/* Looks once through the kernel's own list of what is mapped: keeps those
 * libraries out of children, and returns where the heap begins. */
static const char *look_at_memory(void)
{
    _cleanup_fclose_ FILE *f = fopen("/proc/self/maps", "re");
    char line[512];
    unsigned long start, end;
    const char *heap = NULL;
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "%lx-%lx", &start, &end) != 2)
            continue;
        if (strstr(line, "[heap]") != NULL)
            heap = (const char *)start;
        else if (is_useless_library(line))
            madvise((void *)start, end - start, MADV_DONTFORK);
    }
    return heap;
}

/* The heap grows; its new part is kept out of children, too.  Without memory
 * management of that kind (sanitizers bring their own) nothing is lost but speed. */
void spawn_keep_heap_out(void)
{
    const char *end = sbrk(0);
    if (pack.heap_end == NULL)
        pack.heap_start = look_at_memory();
    if (end == pack.heap_end)
        return;
    if (pack.heap_start != NULL && pack.heap_start < end)
        madvise((void *)pack.heap_start, (size_t)(end - pack.heap_start), MADV_DONTFORK);
    pack.heap_end = end;
}

static int pack_reserve(size_t need)
{
    if (need <= pack.size)
        return 0;
    size_t size = pack.size == 0 ? PACK_START : pack.size;
    while (size < need)
        size *= 2;
    void *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED)
        return -errno;
    if (pack.block != NULL)
        munmap(pack.block, pack.size);
    pack.block = block;
    pack.size = size;
    return 0;
}

static size_t list_size(char *const *list)
{
    size_t size = sizeof(char *);
    for (; *list != NULL; list++)
        size += sizeof(char *) + strlen(*list) + 1;
    return size;
}

static void *pack_bytes(const void *data, size_t len)
{
    void *at = pack.block + pack.used;
    if (len > 0)
        memcpy(at, data, len);
    pack.used += (len + 15) & ~(size_t)15;
    return at;
}

static const char *pack_string(const char *s)
{
    return s == NULL ? NULL : pack_bytes(s, strlen(s) + 1);
}

static char **pack_list(char *const *list)
{
    size_t n = 0;
    while (list[n] != NULL)
        n++;
    char **out = pack_bytes(list, (n + 1) * sizeof(char *));
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(list[i]) + 1;
        out[i] = memcpy(pack.block + pack.used, list[i], len);
        pack.used += len;
    }
    pack.used = (pack.used + 15) & ~(size_t)15;
    return out;
}

static size_t opens_size(const struct spawn_plan *plan)
{
    size_t size = (plan->n_opens + 1) * sizeof(*plan->opens);
    for (unsigned i = 0; i < plan->n_opens; i++)
        size += plan->opens[i].path != NULL ? strlen(plan->opens[i].path) + 16 : 0;
    return size;
}

static void pack_opens(struct spawn_plan *p)
{
    struct spawn_open *opens = pack_bytes(p->opens, p->n_opens * sizeof(*opens));
    for (unsigned i = 0; i < p->n_opens; i++)
        opens[i].path = pack_string(opens[i].path);
    p->opens = opens;
}

static int by_number(const void *a, const void *b)
{
    gid_t x = *(const gid_t *)a, y = *(const gid_t *)b;
    return (x > y) - (x < y);
}

/* An upper bound of what pack_plan() takes. */
static size_t plan_size(const struct spawn_plan *plan)
{
    size_t groups = plan->identity != NULL ? plan->identity->n_groups * sizeof(gid_t) : 0;
    size_t need = sizeof(*plan) + sizeof(struct spawn_identity) + 2 * groups + sizeof(struct confinement) +
                  list_size(plan->argv) + list_size(plan->envp) + strlen(plan->file) + 256;
    need += plan->directory != NULL ? strlen(plan->directory) : 0;
    return need + opens_size(plan);
}

/* A copy of the plan that holds together without the heap. */
static const struct spawn_plan *pack_plan(const struct spawn_plan *plan)
{
    size_t groups = plan->identity != NULL ? plan->identity->n_groups * sizeof(gid_t) : 0;
    struct spawn_plan *p = pack_bytes(plan, sizeof(*plan));
    p->file = pack_string(plan->file);
    p->directory = pack_string(plan->directory);
    p->argv = pack_list(plan->argv);
    p->envp = pack_list(plan->envp);
    if (plan->identity != NULL) {
        struct spawn_identity *id = pack_bytes(plan->identity, sizeof(*id));
        gid_t *list = pack_bytes(plan->identity->groups, groups);
        if (groups > 0)
            qsort(list, plan->identity->n_groups, sizeof(gid_t), by_number); /* as the kernel gives them back */
        id->groups = list;
        pack_bytes(plan->identity->groups, groups); /* room to compare with, see spawn_child_become() */
        p->identity = id;
    }
    if (plan->n_opens > 0)
        pack_opens(p);
    if (plan->confinement != NULL)
        p->confinement = pack_bytes(plan->confinement, sizeof(*plan->confinement));
    return p;
}

int spawn_pack(struct spawn_start *starts, size_t n)
{
    size_t need = 0;
    for (size_t i = 0; i < n; i++)
        need += plan_size(starts[i].plan);
    int r = pack_reserve(need);
    pack.used = 0;
    for (size_t i = 0; r == 0 && i < n; i++)
        starts[i].packed = pack_plan(starts[i].plan);
    return r;
}
