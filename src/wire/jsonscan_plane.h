/* jsonscan_plane.h - a block of text as planes of bits, for processors that have AVX-512.
 *
 * A plane has a bit for each of the 512 bytes of a block, the lowest for the first: 64 in
 * each of eight lanes.  What a C compiler can do with vectors (& | ^ ~) is left to it;
 * here is what goes over the borders of lanes and blocks, and how bytes become planes. */
#pragma once

#include <immintrin.h>

#include "wire/jsonscan_internal.h"

#define PLANE JSONSCAN_BLOCK
#define LANES (PLANE / WINDOW)

typedef uint64_t plane __attribute__((vector_size(LANES * 8)));
typedef uint64_t lanes[LANES]; /* a plane in memory; without its alignment */
#define EACH_LANE _Pragma("GCC unroll 8")

#define PLANE_ALL (~(plane){ 0 })

/* What three planes say together, by one instruction: plane_of(x, y, z, A & ~(B | C)). */
enum { A = 0xF0, B = 0xCC, C = 0xAA };
#define plane_of(a, b, c, term)                                                                                        \
    ((plane)_mm512_ternarylogic_epi64((__m512i)(a), (__m512i)(b), (__m512i)(c), (term)&0xFF))

INLINE plane plane_load(const lanes from)
{
    return (plane)_mm512_loadu_si512(from);
}

INLINE void plane_store(lanes to, plane p)
{
    _mm512_storeu_si512(to, (__m512i)p);
}

/* A bit for each lane that has some. */
INLINE unsigned plane_lanes(plane p)
{
    return _mm512_test_epi64_mask((__m512i)p, (__m512i)p);
}

INLINE bool plane_any(plane p)
{
    return plane_lanes(p) != 0;
}

/* Bits are moved to the byte behind; what falls out is the next block's.  In two steps: the lane
 * below each lane, and from there n bytes behind (a constant), for as many n as one likes. */
typedef __m512i plane_below;

INLINE plane_below plane_below_of(plane p, lanes last)
{
    plane_below below = _mm512_alignr_epi64((__m512i)p, _mm512_loadu_si512(last), LANES - 1);
    plane_store(last, p);
    return below;
}

#define plane_over(p, below, n) ((plane)_mm512_shldi_epi64((__m512i)(p), (below), (n)))

INLINE plane plane_behind(plane p, lanes last)
{
    plane_below below = plane_below_of(p, last);
    return plane_over(p, below, 1);
}

/* The same within a block, and the other way; n is a constant. */
#define plane_up(p, n) plane_over((p), _mm512_alignr_epi64((__m512i)(p), _mm512_setzero_si512(), LANES - 1), (n))
#define plane_down(p, n)                                                                                               \
    ((plane)_mm512_shrdi_epi64((__m512i)(p), _mm512_alignr_epi64(_mm512_setzero_si512(), (__m512i)(p), 1), (n)))

/* The sum of two very large numbers: marks in runs, or where one could begin, come out behind the
 * runs (what it has within them is of no use). */
INLINE plane plane_add(plane a, plane b, unsigned *carry)
{
    plane sum = a + b;
    unsigned over = _mm512_cmplt_epu64_mask((__m512i)sum, (__m512i)a);
    unsigned full = _mm512_cmpeq_epi64_mask((__m512i)sum, (__m512i)PLANE_ALL);
    unsigned carries = (over << 1 | *carry) + full;
    *carry = carries >> LANES;
    return (plane)_mm512_mask_sub_epi64((__m512i)sum, (__mmask8)(carries ^ full), (__m512i)sum, (__m512i)PLANE_ALL);
}

/* From each bit on, up to before the next one: ones.  *inside: all ones if the block
 * begins so, else 0. */
INLINE plane plane_between(plane bits, unsigned *inside)
{
    __m512i even = _mm512_clmulepi64_epi128((__m512i)bits, (__m512i)PLANE_ALL, 0x00);
    __m512i odd = _mm512_clmulepi64_epi128((__m512i)bits, (__m512i)PLANE_ALL, 0x01);
    __m512i in = _mm512_unpacklo_epi64(even, odd);
    unsigned ends = _mm512_movepi64_mask(in); /* each lane by itself; those before it turn it round */
    ends ^= ends << 1;
    ends ^= ends << 2;
    ends ^= ends << 4;
    __mmask8 turned = (__mmask8)(ends << 1 ^ *inside);
    *inside = (ends >> (LANES - 1) & 1) != 0 ? ~*inside : *inside;
    return (plane)_mm512_mask_xor_epi64(in, turned, in, (__m512i)PLANE_ALL);
}

/* -- bytes --------------------------------------------------------------------------- */

INLINE __m512i window_load(const char *p, size_t left)
{
    if (left >= WINDOW)
        return _mm512_loadu_si512(p);
    return _mm512_mask_loadu_epi8(_mm512_set1_epi8(' '), ~(UINT64_MAX << left), p);
}

/* Bytes of 8 bits each, of which those of one place shall lie together: the first lane gets
 * the lowest bits. */
INLINE __m512i window_turn(__m512i codes)
{
    const __m512i pick = _mm512_set1_epi64((long long)0x8040201008040201), /* of a matrix, its transposed one... */
        mirror = _mm512_set1_epi64((long long)0x8040201008040201);         /* ...with its columns from the right */
    const __m512i gather =
        _mm512_set_epi8(63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 60,
                        52, 44, 36, 28, 20, 12, 4, 59, 51, 43, 35, 27, 19, 11, 3, 58, 50, 42, 34, 26, 18, 10, 2, 57, 49,
                        41, 33, 25, 17, 9, 1, 56, 48, 40, 32, 24, 16, 8, 0);
    __m512i turned = _mm512_gf2p8affine_epi64_epi8(pick, codes, 0);
    return _mm512_permutexvar_epi8(gather, _mm512_gf2p8affine_epi64_epi8(turned, mirror, 0));
}

/* Eight vectors of eight lanes: the first gets the first lane of each. */
INLINE void planes_turn(__m512i v[LANES])
{
    __m512i a[LANES], b[LANES];
    EACH_LANE
    for (int i = 0; i < LANES; i += 2) {
        a[i] = _mm512_unpacklo_epi64(v[i], v[i + 1]);
        a[i + 1] = _mm512_unpackhi_epi64(v[i], v[i + 1]);
    }
    EACH_LANE
    for (int i = 0; i < LANES; i += 4)
        EACH_LANE
    for (int k = 0; k < 2; k++) {
        b[i + k] = _mm512_shuffle_i64x2(a[i + k], a[i + k + 2], 0x88);
        b[i + k + 2] = _mm512_shuffle_i64x2(a[i + k], a[i + k + 2], 0xDD);
    }
    EACH_LANE
    for (int k = 0; k < LANES / 2; k++) {
        v[k] = _mm512_shuffle_i64x2(b[k], b[k + 4], 0x88);
        v[k + 4] = _mm512_shuffle_i64x2(b[k], b[k + 4], 0xDD);
    }
}
