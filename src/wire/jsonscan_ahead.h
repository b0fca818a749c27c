/* jsonscan_ahead.h - looks at a long text while it is still coming.
 *
 * What takes time is done by the time its end is there; what it says, and whether it is
 * well-formed, is known only then, and is what jsonscan() would have said of all of it. */
#pragma once

#include "wire/jsonscan.h"

#define JSONSCAN_AHEAD_SIZE 576

/* How far one has been looked at; zeroes for a new one.  Without pointers. */
struct jsonscan_ahead {
    uint32_t at;   /* the container that is being looked at, */
    uint32_t upto; /* and how far it has been */
    enum { JSONSCAN_AHEAD_NEW, JSONSCAN_AHEAD_IN, JSONSCAN_AHEAD_BEHIND, JSONSCAN_AHEAD_OVER } stage;
    uint64_t state[JSONSCAN_AHEAD_SIZE / 8];
};

/* Is it of use on this processor? */
bool jsonscan_have_ahead(void);

/* What is there of it so far, from its beginning on: more each time, and the same bytes
 * as before, wherever they lie now. */
void jsonscan_ahead(struct jsonscan_ahead *a, const char *text, size_t len);

/* How many bytes of it, from its beginning on, hold no newline, as far as is known. */
size_t jsonscan_ahead_passed(const struct jsonscan_ahead *a, const char *text);

/* jsonscan() of all of it. */
int jsonscan_rest(struct jsonscan_ahead *a, const char *text, size_t len, const struct jsonscan_keys *keys,
                  struct jsonscan *ret, struct jsonscan_fault *fault);
