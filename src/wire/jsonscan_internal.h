/* jsonscan_internal.h - what the files jsonscan*.c share: a text in windows of 64 bytes. */
#pragma once

#include <string.h>

#include "wire/jsonscan_ahead.h"

typedef signed char block __attribute__((vector_size(16)));
typedef char bytes __attribute__((vector_size(16)));

#define BLOCK 16
#define WINDOW 64
#define INLINE static inline __attribute__((always_inline))

/* A text being looked at.  Functions take where they are and return where they
 * came to, or NULL after fail(). */
struct look {
    const char *text, *end;
    const char *window; /* a multiple of WINDOW behind the text's beginning */
    uint64_t special;   /* bit N: window[N] is special, or the end of the text */
    struct jsonscan_fault fault;
    uint32_t found;               /* bit N: the text has the name N */
    bool closely;                 /* each byte, though there is a swifter way */
    struct jsonscan_ahead *ahead; /* what was looked at before, or NULL */
};

INLINE block look_for(const char *p)
{
    block b;
    memcpy(&b, p, sizeof(b));
    return (block)((b < ' ') | (b == '"') | (b == '\\'));
}

/* A bit for each byte of what look_for() has found. */
INLINE uint64_t bits_of(block b)
{
#ifdef __SSE2__
    return (uint64_t)__builtin_ia32_pmovmskb128((bytes)b);
#else
    uint64_t bits = 0;
    for (int i = 0; i < BLOCK; i++)
        bits |= (uint64_t)(b[i] & 1) << i;
    return bits;
#endif
}

INLINE uint64_t special_of_window(const char *p)
{
    return bits_of(look_for(p)) | bits_of(look_for(p + BLOCK)) << BLOCK |
           bits_of(look_for(p + 2 * BLOCK)) << (2 * BLOCK) | bits_of(look_for(p + 3 * BLOCK)) << (3 * BLOCK);
}

/* The last window, of which `left` bytes (less than a window) are there: whole
 * blocks, then one that ends with the text, or single bytes where the text is
 * shorter than a block. */
INLINE uint64_t special_of_rest(const char *text, const char *p, size_t left)
{
    uint64_t special = UINT64_C(1) << left;
    size_t at = 0;
    for (; left - at >= BLOCK; at += BLOCK)
        special |= bits_of(look_for(p + at)) << at;
    if (at < left && p + left - text >= BLOCK)
        return special | bits_of(look_for(p + left - BLOCK)) >> (at + BLOCK - left) << at;
    for (; at < left; at++)
        special |= (uint64_t)((signed char)p[at] < ' ' || p[at] == '"' || p[at] == '\\') << at;
    return special;
}

/* Moves the window to where p is. */
INLINE void look_at(struct look *l, const char *p)
{
    l->window += (p - l->window) & -WINDOW;
    size_t left = (size_t)(l->end - l->window);
    l->special = left >= WINDOW ? special_of_window(l->window) : special_of_rest(l->text, l->window, left);
}

INLINE bool is_digit(const char *p, const char *end)
{
    return p < end && (unsigned char)(*p - '0') < 10;
}

/* p: at a blank.  Behind it and others. */
const char *jsonscan_blanks(const char *p, const char *end);

/* Skips blanks; the byte that comes then, or -1 at the end. */
INLINE int next(const struct look *l, const char **p)
{
    if (*p == l->end || (unsigned char)**p <= ' ')
        *p = jsonscan_blanks(*p, l->end);
    return *p == l->end ? -1 : (unsigned char)**p;
}

/* In a long string: passes windows without anything special. */
const char *jsonscan_plain_windows(const char *p, const char *end);
/* jsonscan_simple.c */
const char *jsonscan_simple_members(struct look *l, const char *p);

/* Each returns where it came to, or NULL: it is wrong.  p: at a backslash in a string; at a
 * byte of it that is not ASCII, and all such bytes are passed; at a member's name, which is
 * passed with its colon; at a value that is no container. */
const char *jsonscan_escape(struct look *l, const char *p);
const char *jsonscan_wide(struct look *l, const char *p);
const char *jsonscan_name(struct look *l, const char *p);
const char *jsonscan_scalar(struct look *l, const char *p);

/* jsonscan_swift.c, for processors that have AVX-512 (this one, as it is now).  p: at an
 * opening bracket.  Behind the bracket that closes it, or NULL: somebody else has to look. */
#define JSONSCAN_BLOCK 512
bool jsonscan_have_swift(void);
const char *jsonscan_swift(struct look *l, const char *p);
/* The same bit by bit, with what it has to remember in l->ahead: p is as far as it came.
 * As far as it comes; NULL: as above.  *ends: that is behind the bracket. */
const char *jsonscan_swift_begin(struct look *l, const char *p);
const char *jsonscan_swift_go_on(struct look *l, const char *p, bool *ends);
const char *jsonscan_swift_end(struct look *l, const char *p); /* all that is left */

/* jsonscan(), closely or not; for tests. */
int jsonscan_as(bool closely, const char *text, size_t len, const struct jsonscan_keys *keys, struct jsonscan *ret,
                struct jsonscan_fault *fault);
