/* arena.h - memory that goes all at once, and strings that are stored once.
 *
 * Blocks come straight from the kernel, so that what was loaded and thrown away
 * leaves nothing behind in the heap.  A failed allocation returns NULL and
 * sticks in .failed; string functions return "" then, so that a long series
 * can be checked once at its end. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks, *current;
    char *next; /* within the current one */
    size_t left;
    size_t used; /* bytes handed out */
    size_t max;  /* bytes to hand out at most */
    bool failed;
};

#define ARENA_INIT(max_) ((struct arena){ .max = (max_) })

void arena_done(struct arena *a);
/* Processes forked from now on do not get this memory, which makes forking cheaper. */
void arena_keep_from_children(struct arena *a);
/* Nothing more is wanted: what is left of its blocks goes back to the kernel. */
void arena_trim(struct arena *a);
/* Where its blocks are, in any order; returns how many there are, of which at most max are written. */
struct arena_span {
    void *start;
    size_t size;
};
size_t arena_spans(const struct arena *a, struct arena_span *spans, size_t max);
void *arena_alloc(struct arena *a, size_t size); /* zeroed, aligned for everything */
void *arena_array(struct arena *a, size_t n, size_t size);
char *arena_copy(struct arena *a, const char *s, size_t len); /* NUL-terminated */
char *arena_string(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *a, const char *format, va_list ap) __attribute__((format(printf, 2, 0)));

#define arena_new(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define arena_new_array(a, n, type) ((type *)arena_array((a), (n), sizeof(type)))
