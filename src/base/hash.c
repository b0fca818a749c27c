/* hash.c - see hash.h.  Owns nothing.
 *
 * A multiplication carries differences upwards only, so each step turns the word
 * round afterwards; the last lines spread them over all bits. */
#include "base/hash.h"

#include <string.h>

#define K1 0x9e3779b97f4a7c15ULL /* 2^64 by the golden ratio */
#define K2 0xd6e8feb86659fd93ULL

static uint64_t step(uint64_t h, uint64_t word)
{
    h = (h ^ word) * K1;
    return h << 29 | h >> 35;
}

uint64_t hash64(uint64_t seed, const void *data, size_t len)
{
    const unsigned char *p = data;
    uint64_t h = seed ^ (uint64_t)len * K2;
    uint64_t word;
    for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
        memcpy(&word, p, sizeof(word));
        h = step(h, word);
    }
    if (len > 0) {
        word = 0;
        memcpy(&word, p, len);
        h = step(h, word);
    }
    h ^= h >> 32;
    h *= K2;
    return h ^ h >> 29;
}
