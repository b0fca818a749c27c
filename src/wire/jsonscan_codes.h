/* jsonscan_codes.h - what the bytes of a block are, as planes: a table gives each byte a code of
 * 8 bits, and each bit of the codes becomes a plane.  For jsonscan_swift.c. */
#pragma once

#include "wire/jsonscan_plane.h"

/* Places of the bits, which together mean more than each by itself: a comma is a curly
 * separator. */
enum { QUOTE, BACKSLASH, OPEN, CLOSE, CURLY, SEPARATOR, DIGIT, LETTER };
#define IS(x) (1U << (x))

/* Of letters, the others have another meaning: see take_words(). */
enum { FIRST = IS(DIGIT), ONE = IS(OPEN), TWO = IS(CLOSE), FOUR = IS(CURLY) };
#define CONTROL (IS(QUOTE) | IS(BACKSLASH)) /* may be nowhere */

static const uint8_t codes[128] = {
    [0 ... ' ' - 1] = CONTROL,
    ['"'] = IS(QUOTE),
    ['\\'] = IS(BACKSLASH),
    ['{'] = IS(OPEN) | IS(CURLY),
    ['['] = IS(OPEN),
    ['}'] = IS(CLOSE) | IS(CURLY),
    [']'] = IS(CLOSE),
    [','] = IS(SEPARATOR) | IS(CURLY),
    [':'] = IS(SEPARATOR),
    [' '] = IS(SEPARATOR) | IS(DIGIT),
    ['-'] = IS(DIGIT) | IS(OPEN),
    ['.'] = IS(DIGIT) | IS(CLOSE),
    ['0'] = IS(DIGIT) | IS(CURLY),
    ['1' ... '9'] = IS(DIGIT),
    ['t'] = IS(LETTER) | FIRST | ONE,
    ['f'] = IS(LETTER) | FIRST | TWO,
    ['n'] = IS(LETTER) | FIRST | ONE | TWO,
    ['r'] = IS(LETTER) | ONE,
    ['a'] = IS(LETTER) | TWO,
    ['u'] = IS(LETTER) | ONE | TWO,
    ['e'] = IS(LETTER) | ONE | FOUR,
    ['s'] = IS(LETTER) | TWO | FOUR,
    ['l'] = IS(LETTER) | ONE | TWO | FOUR,
};

struct block {
    const char *p;
    size_t left; /* of the text; there may be less than a block */
    bool wide;   /* there are bytes that are no ASCII */
    plane quotes, backslashes, open, close, curly, separator, digit, letter;
    plane in; /* strings, with the opening quote and without the closing one */
};

INLINE __m512i window_of(const struct block *b, int k, bool whole)
{
    size_t at = (size_t)k * WINDOW;
    return whole ? _mm512_loadu_si512(b->p + at) : window_load(b->p + at, b->left > at ? b->left - at : 0);
}

INLINE void classify_as(struct block *b, bool whole)
{
    const __m512i low = _mm512_loadu_si512(codes), high = _mm512_loadu_si512(codes + WINDOW);
    __m512i w[LANES], v[LANES];
    EACH_LANE
    for (int k = 0; k < LANES; k++) {
        w[k] = window_of(b, k, whole);
        v[k] = window_turn(_mm512_permutex2var_epi8(low, w[k], high));
    }
    planes_turn(v);
    plane some = plane_of(w[0], w[1], w[2], A | B | C), others = plane_of(w[3], w[4], w[5], A | B | C);
    b->wide = _mm512_movepi8_mask((__m512i)(plane_of(w[6], w[7], some, A | B | C) | others)) != 0;
    b->quotes = (plane)v[QUOTE];
    b->backslashes = (plane)v[BACKSLASH];
    b->open = (plane)v[OPEN];
    b->close = (plane)v[CLOSE];
    b->curly = (plane)v[CURLY];
    b->separator = (plane)v[SEPARATOR];
    b->digit = (plane)v[DIGIT];
    b->letter = (plane)v[LETTER];
}

INLINE void classify(struct block *b)
{
    if (b->left >= PLANE)
        classify_as(b, true);
    else
        classify_as(b, false);
}
