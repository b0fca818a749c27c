/* arena.c - see arena.h.
 *
 * Blocks are private anonymous mappings: pages that nobody wrote cost nothing,
 * and arena_done() gives everything back to the kernel at once, whatever the
 * heap looks like.  Owns the blocks; never frees a part that was handed out. */
#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCK_SIZE (256 * 1024)
#define ALIGNMENT 8

struct arena_block {
    struct arena_block *next;
    size_t size, used; /* the latter once it is full */
};

void arena_done(struct arena *a)
{
    for (struct arena_block *b = a->blocks, *next; b != NULL; b = next) {
        next = b->next;
        munmap(b, b->size);
    }
    *a = ARENA_INIT(a->max);
}

void arena_keep_from_children(struct arena *a)
{
    for (struct arena_block *b = a->blocks; b != NULL; b = b->next)
        madvise(b, b->size, MADV_DONTFORK);
}

static void leave_block(struct arena *a)
{
    if (a->current != NULL)
        a->current->used = (size_t)(a->next - (char *)a->current);
    a->current = NULL;
    a->next = NULL;
    a->left = 0;
}

void arena_trim(struct arena *a)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    leave_block(a);
    for (struct arena_block *b = a->blocks; b != NULL; b = b->next) {
        size_t keep = (b->used + page - 1) & ~(page - 1);
        if (keep < b->size && munmap((char *)b + keep, b->size - keep) == 0)
            b->size = keep;
    }
}

size_t arena_spans(const struct arena *a, struct arena_span *spans, size_t max)
{
    size_t n = 0;
    for (struct arena_block *b = a->blocks; b != NULL; b = b->next, n++)
        if (n < max)
            spans[n] = (struct arena_span){ b, b->size };
    return n;
}

static bool grow(struct arena *a, size_t need)
{
    size_t size = need + sizeof(struct arena_block) > BLOCK_SIZE ? need + sizeof(struct arena_block) : BLOCK_SIZE;
    struct arena_block *b = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (b == MAP_FAILED)
        return false;
    b->size = b->used = size;
    b->next = a->blocks;
    a->blocks = b;
    size_t room = size - sizeof(struct arena_block);
    /* A block made for one big thing does not end the block in use. */
    if (room - need < a->left)
        return true;
    leave_block(a);
    a->current = b;
    a->next = (char *)(b + 1);
    a->left = room;
    return true;
}

static void *take(struct arena *a, size_t size, size_t alignment)
{
    size_t skew = (size_t)(-(uintptr_t)a->next & (alignment - 1));
    if (size > a->max || a->used > a->max - size) {
        a->failed = true;
        return NULL;
    }
    a->used += size;
    if (a->next != NULL && skew <= a->left && size <= a->left - skew) {
        char *p = a->next + skew;
        a->next = p + size;
        a->left -= skew + size;
        return p;
    }
    if (!grow(a, size)) {
        a->failed = true;
        return NULL;
    }
    char *p = (char *)(a->blocks + 1);
    if (a->next == p) {
        a->next += size;
        a->left -= size;
    }
    return p;
}

void *arena_alloc(struct arena *a, size_t size)
{
    return take(a, size, ALIGNMENT);
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    if (size != 0 && n > SIZE_MAX / size) {
        a->failed = true;
        return NULL;
    }
    return arena_alloc(a, n * size);
}

char *arena_copy(struct arena *a, const char *s, size_t len)
{
    static char nothing[1];
    char *p = take(a, len + 1, 1);
    if (p == NULL)
        return nothing;
    if (len > 0)
        memcpy(p, s, len);
    p[len] = '\0';
    return p;
}

char *arena_string(struct arena *a, const char *s)
{
    return arena_copy(a, s, strlen(s));
}

char *arena_vprintf(struct arena *a, const char *format, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, ap);
    char *p = n < 0 ? NULL : take(a, (size_t)n + 1, 1);
    if (p != NULL)
        vsnprintf(p, (size_t)n + 1, format, again);
    va_end(again);
    return p != NULL ? p : arena_copy(a, "", 0);
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char *s = arena_vprintf(a, format, ap);
    va_end(ap);
    return s;
}
