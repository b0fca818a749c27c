/* jsonscan.h - looks at one JSON text without building anything of it.
 *
 * Answers three questions about the bytes of a message: is it well-formed to its
 * last byte, of which type is it, and where in it are the members of the
 * top-level object that somebody asks for.  No tree, no copy, no allocation.
 *
 * Well-formed means RFC 8259 and nothing besides, in UTF-8: overlong forms,
 * encoded surrogates and bytes that are no UTF-8 are refused, since a receiver
 * that reads lines as text dies of them (Python) or changes them (Node).  What is
 * allowed though some readers choke on it: escaped lone surrogates (Node writes
 * them), \u0000, numbers of any length and size.  Values nest up to
 * JSONSCAN_DEPTH_MAX, which Python's reader still takes.
 *
 * A name may be written with escapes; it is compared as what it means.  When a
 * name comes twice the last one counts, as for every reader that matters
 * (JSON.parse, Python, jansson), and `twice` says so to those who will not have
 * it.
 *
 * A long text may be looked at while it comes: jsonscan_ahead.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define JSONSCAN_DEPTH_MAX 512
#define JSONSCAN_KEYS_MAX 16
#define JSONSCAN_KEY_LEN_MAX 31

enum jsonscan_type {
    JSONSCAN_NONE, /* not there */
    JSONSCAN_NULL,
    JSONSCAN_FALSE,
    JSONSCAN_TRUE,
    JSONSCAN_NUMBER,
    JSONSCAN_STRING,
    JSONSCAN_ARRAY,
    JSONSCAN_OBJECT,
};

/* A value's own bytes, without the blanks around it; a string's with its quotes. */
struct jsonscan_value {
    uint32_t at, len;
    enum jsonscan_type type;
};

/* Names that are looked for; their order is that of the answers. */
struct jsonscan_keys {
    unsigned n;
    struct {
        const char *name;
        size_t len;
    } keys[JSONSCAN_KEYS_MAX];
};
#define JSONSCAN_KEY(s)                                                                                                \
    {                                                                                                                  \
        (s), sizeof(s) - 1                                                                                             \
    }

struct jsonscan {
    struct jsonscan_value value;                      /* the text as a whole */
    struct jsonscan_value members[JSONSCAN_KEYS_MAX]; /* .type is JSONSCAN_NONE: not there */
    uint32_t twice;                                   /* bit N: the name N came more than once */
};

struct jsonscan_fault {
    size_t at;       /* offset of the first byte that cannot be; the length: the text ends too early */
    const char *why; /* static words */
};

/* 0 and *ret filled in (members of as many keys as there are), or -EINVAL with
 * *fault set.  `keys` and `fault` may be NULL. */
int jsonscan(const char *text, size_t len, const struct jsonscan_keys *keys, struct jsonscan *ret,
             struct jsonscan_fault *fault);

/* -- values of a text that was found well-formed --------------------------- */

/* A string's meaning as UTF-8 (a lone surrogate as U+FFFD) in buf, with a NUL
 * behind it: its length, or -ENOBUFS when it is longer than size - 1. */
ssize_t jsonscan_string(const char *text, struct jsonscan_value v, char *buf, size_t size);

/* A number that is an integer from 0 to 2^53 - 1, written as such: the only ones
 * that every reader gives back as it got them.  0, or -EINVAL. */
int jsonscan_integer(const char *text, struct jsonscan_value v, uint64_t *ret);

/* The elements of an array, one a call: *cursor is 0 at first.  False at the end. */
bool jsonscan_element(const char *text, struct jsonscan_value array, uint32_t *cursor, struct jsonscan_value *ret);
