/* jsonscan_swift.c - whole containers of the commonest shapes, 512 bytes at a time.
 *
 * Pure.  Says yes or nothing: what it passes is well-formed to its last byte, and all
 * else (what is wrong, and what is only unusual) is left to jsonscan.c, which looks at
 * every byte and can say what is the matter.
 *
 * A grammar is checked here without a look at single tokens.  A table gives each byte a
 * code of 8 bits, and those of a block are turned into 8 planes of a bit for each byte.
 * From there on the grammar is a sum of few planes: what may stand behind what is a
 * shift by one and a few ands; what is further away (from one comma or colon to the
 * next) is an addition, that carries a mark over a run of bits.  Each of these is done
 * for 512 bytes at once.  Only brackets, escapes and characters that are not ASCII are
 * visited one by one.
 *
 * What one block has to tell the next are the bits that a shift or an addition loses.
 *
 * What counts is the number of instructions, and that none waits: three planes are put
 * together at once, as few as can be are shifted, the next block is classified while
 * this one is looked at, and in most texts no branch is taken by surprise.
 *
 * It needs what AVX-512 can do since 2019 (the Makefile lets this one file have it, and
 * jsonscan.c asks the processor). */
#include "wire/jsonscan_internal.h"

#ifdef __AVX512VBMI2__
#include "wire/jsonscan_codes.h"

/* -- what goes from block to block ------------------------------------------------------- */

#define OUTSIDE UINT64_C(1) /* .nest: a bit above those of the containers */

/* Of each of these, what is behind it matters. */
enum { B_SEPARATOR, B_MEMBER, B_STRING, B_NUMBER, B_END, B_ZERO, B_ONE, B_TWO, BEHINDS };

/* Without pointers, since the text may move. */
struct swift {
    lanes behind[BEHINDS];
    unsigned in_string;         /* all ones or none */
    unsigned fraction, stretch; /* of the additions */
    bool escaped;               /* the first byte belongs to a backslash */
    uint64_t nest;              /* a bit for each open container, the innermost lowest: 1 an object */
    size_t wide;                /* up to here, characters that are not ASCII have been looked at */
};
_Static_assert(sizeof(struct swift) <= JSONSCAN_AHEAD_SIZE, "JSONSCAN_AHEAD_SIZE is too small");

/* -- within strings ------------------------------------------------------------------------ */

/* Escapes: what a backslash stands before is neither a quote nor a backslash. */
static bool take_escapes(struct look *l, struct swift *s, struct block *b)
{
    lanes backslashes, quotes;
    plane_store(backslashes, b->backslashes);
    plane_store(quotes, b->quotes);
    for (int k = 0; k < LANES; k++) {
        uint64_t taken = s->escaped;
        s->escaped = false;
        for (uint64_t left = backslashes[k] & ~taken; left != 0; left &= ~taken) {
            int i = __builtin_ctzll(left);
            if (jsonscan_escape(l, b->p + k * WINDOW + i) == NULL)
                return false;
            left &= left - 1;
            if (i == WINDOW - 1)
                s->escaped = true;
            else
                taken |= UINT64_C(2) << i;
        }
        quotes[k] &= ~taken;
    }
    b->quotes = plane_load(quotes);
    return true;
}

/* Bytes that are no ASCII have codes of others: takes these from them. */
static plane take_high(struct block *b)
{
    lanes found;
    for (int k = 0; k < LANES; k++)
        found[k] = _mm512_movepi8_mask(window_of(b, k, false));
    plane high = plane_load(found);
    b->quotes &= ~high;
    b->backslashes &= ~high;
    return high;
}

static bool take_wide(struct look *l, struct swift *s, const struct block *b, plane high)
{
    lanes found;
    plane_store(found, high);
    for (int k = 0; k < LANES; k++) {
        size_t at = (size_t)(b->p - l->text) + (size_t)k * WINDOW;
        while (found[k] != 0) {
            if (s->wide >= at + WINDOW)
                break;
            if (s->wide > at)
                found[k] &= UINT64_MAX << (s->wide - at);
            if (found[k] == 0)
                break;
            const char *behind = jsonscan_wide(l, l->text + at + __builtin_ctzll(found[k]));
            if (behind == NULL)
                return false;
            s->wide = (size_t)(behind - l->text);
        }
    }
    return true;
}

/* Where there are bytes besides visible ASCII, or escapes. */
static __attribute__((noinline)) bool take_strange(struct look *l, struct swift *s, struct block *b)
{
    plane high = b->wide ? take_high(b) : (plane){ 0 };
    if (plane_any(b->quotes & b->backslashes) || !take_escapes(l, s, b))
        return false;
    b->in = plane_between(b->quotes, &s->in_string);
    return !plane_any(high & ~b->in) && take_wide(l, s, b, high);
}

INLINE bool take_strings(struct look *l, struct swift *s, struct block *b)
{
    if (__builtin_expect(s->escaped || b->wide || plane_any(b->backslashes), 0)) {
        struct block own = *b; /* nobody else has the address of the other, so that it is in registers */
        bool right = take_strange(l, s, &own);
        b->quotes = own.quotes;
        b->in = own.in;
        return right;
    }
    b->in = plane_between(b->quotes, &s->in_string);
    return true;
}

/* -- the grammar ----------------------------------------------------------------------------- */

/* What is left for those who go from one to the next. */
struct visits {
    plane bad, brackets, open, curly;
    /* What may not be in a container of a kind: colons in an array; singles, commas and brackets
     * that are not behind a colon, in an object; pairs elsewhere than in an object of an array. */
    plane colons, singles, pairs;
};

/* Of true, false and null the first letter says which are expected behind it.  Each letter
 * has a number, and that of u is of those of r and a what that of n is of t and f, and so on:
 * so what is expected is a sum.  Wrong is what is not as expected. */
INLINE plane take_words(struct swift *s, const struct block *b, plane letters, plane first)
{
    plane others = letters & ~b->digit, one = first & b->open, two = first & b->close;
    plane_below one_below = plane_below_of(one, s->behind[B_ONE]), two_below = plane_below_of(two, s->behind[B_TWO]);
    plane one1 = plane_over(one, one_below, 1), two1 = plane_over(two, two_below, 1);
    plane one2 = plane_over(one, one_below, 2), two2 = plane_over(two, two_below, 2);
    plane one3 = plane_over(one, one_below, 3), two3 = plane_over(two, two_below, 3);
    plane last = plane_of(one3, plane_over(two, two_below, 4), plane_over(one, one_below, 4), A | (B & ~C));
    plane third = one2 | two2;
    plane wrong_one = plane_of(others, b->open, plane_of(one1, third, last, A | B | C), (A & B) ^ C);
    plane wrong_two = plane_of(others, b->close, plane_of(two1, third, two3, A | B | C), (A & B) ^ C);
    plane wrong_four = plane_of(others, b->curly, plane_of(two2, two3, last, A | B | C), (A & B) ^ C);
    return plane_of(wrong_one, wrong_two, wrong_four, A | B | C);
}

/* What has no code may stand nowhere: nothing may stand behind it, and a bracket is the last.  Of
 * three planes a term costs as much as one of two, so they are put together by threes. */
INLINE void take_grammar(struct swift *s, const struct block *b, struct visits *v)
{
    plane in = b->in, quotes = b->quotes, curly = b->curly, opening = quotes & in;
    plane sep = plane_of(b->separator, in, quotes, A & ~(B | C));
    plane letters = plane_of(b->letter, in, quotes, A & ~(B | C));
    plane rest = plane_of(b->letter, in, quotes, ~(A | B | C));
    plane begins = b->open & rest, open = begins & ~b->digit, close = plane_of(b->close, rest, b->digit, A & B & ~C);
    plane number = plane_of(b->digit, rest, sep, A & B & ~C), dot = b->close & number;
    plane digit = plane_of(number, b->open, b->close, A & ~(B | C));
    plane comma = sep & curly, blank = sep & b->digit, colon = plane_of(sep, curly, blank, A & ~(B | C));
    plane member = comma | open, first = letters & b->digit, points = plane_of(member, colon, close, A | B | C);

    plane behind_sep = plane_behind(sep, s->behind[B_SEPARATOR]);
    plane behind_member = plane_behind(member, s->behind[B_MEMBER]); /* behind where one may begin */
    plane behind_string = plane_behind(plane_of(quotes, in, dot, (A & ~B) | C), s->behind[B_STRING]);
    plane behind_number = plane_behind(number, s->behind[B_NUMBER]);
    plane behind_end = plane_behind(plane_of(close, letters, digit, A | B | C), s->behind[B_END]);
    /* It is an open bracket that is a member and no separator; a dot that is a string and a
     * number; a digit that is an end and a number. */
    plane may_begin = behind_sep | behind_member; /* a value */
    plane may_end = plane_of(behind_string, behind_number, behind_end, (A & ~B) | C);

    plane bad = plane_of(comma, close, may_end, (A | B) & ~C);
    bad = plane_of(bad, close, plane_of(behind_member, behind_sep, may_end, A & ~B), A & ~(B & C));
    bad |= plane_of(colon, behind_string, behind_number, A & ~(B & ~C));
    bad |= plane_of(plane_of(begins, opening, blank, A | B | C), first, may_begin, (A | B) & ~C);
    bad |= take_words(s, b, letters, first);
    bad |= plane_of(digit, may_begin, behind_number, A & ~(B | C));
    bad |= plane_of(dot, behind_end, behind_number, A & ~(B & C));

    /* What neighbours cannot know of numbers: a zero that leads, a second dot. */
    plane in_number = plane_of(behind_number, behind_string, behind_end, A & (B | C));
    plane leads = plane_behind(plane_of(digit, curly, in_number, A & B & ~C), s->behind[B_ZERO]);
    plane fraction = plane_add(digit, plane_of(digit, behind_number, behind_string, A & B & C), &s->fraction);
    bad |= plane_of(digit, leads, plane_of(dot, fraction, fraction, A & B), (A & B) | C);

    /* In an object commas and colons alternate, in an array there is no colon. */
    plane name = plane_add(~points, behind_member, &s->stretch);              /* which of the points end one */
    plane unnamed = plane_of(name, behind_member, behind_sep, A & ~(B & ~C)); /* but of {} */
    plane closes = close & curly;
    bad |= plane_of(colon, name, closes & unnamed, (A & ~B) | C);

    /* },{ changes nothing, and in what is long there is little else. */
    plane pairs = plane_of(open, behind_member, behind_sep, A & B & C);
    pairs = plane_of(pairs, curly, plane_up(closes, 2), A & B & C);
    v->bad = bad;
    v->brackets = plane_of(open, close, pairs | plane_down(pairs, 2), (A | B) & ~C);
    v->open = open;
    v->curly = curly;
    v->colons = colon;
    v->singles = plane_of(member, name, pairs, A & B & ~C);
    v->pairs = pairs;
}

/* -- brackets --------------------------------------------------------------------------------- */

/* The innermost container is an array; an object in an array; an object in an object, or all. */
enum { ARRAY, OBJECT, SAME_ARRAY, OBJECT_OF_OBJECT };

INLINE plane wrong_in(const struct visits *v, uint64_t nest)
{
    return (nest & 3) == OBJECT ? v->singles : v->pairs | ((nest & 1) == ARRAY ? v->colons : v->singles);
}

/* The same of one window. */
INLINE uint64_t wrong_in_window(const struct visits *v, uint64_t nest, int k)
{
    return (nest & 3) == OBJECT ? v->singles[k] : v->pairs[k] | ((nest & 1) == ARRAY ? v->colons[k] : v->singles[k]);
}

/* Of a window that has some.  *last: up to the bracket that closes all, or all ones.  False: one
 * does not fit, or there are too many. */
INLINE bool take_brackets(struct swift *s, const struct visits *v, int k, uint64_t *last)
{
    uint64_t left = v->brackets[k], wrong = 0, nest = s->nest, before = 0;
    *last = UINT64_MAX;
    if (__builtin_clzll(nest) <= __builtin_popcountll(left))
        return false;
    while (left != 0) {
        uint64_t bit = left & -left, upto = left ^ (left - 1);
        uint64_t is_open = (v->open[k] & bit) != 0, curly = (v->curly[k] & bit) != 0;
        wrong |= wrong_in_window(v, nest, k) & (upto ^ before);
        wrong |= ~is_open & 1 & (nest ^ curly);
        nest = is_open ? nest << 1 | curly : nest >> 1;
        before = upto;
        left &= left - 1;
        if (nest == OUTSIDE) {
            *last = upto;
            left = 0;
        }
    }
    wrong |= wrong_in_window(v, nest, k) & *last & ~before;
    s->nest = nest;
    return (wrong | (v->bad[k] & *last)) == 0;
}

/* -- blocks --------------------------------------------------------------------------------------- */

/* Behind the last bracket, or the block; NULL: it is wrong.  Few windows have brackets, and those
 * between them need no more than one look at all of them: a bit for each window says what there
 * would be wrong with it in a container of each kind. */
static __attribute__((noinline)) const char *visit(struct swift *s, const char *p, const struct visits *v)
{
    unsigned left = plane_lanes(v->brackets), passed = 0;
    uint8_t wrong[4];
    EACH_LANE
    for (unsigned i = 0; i < 4; i++)
        wrong[i] = (uint8_t)plane_lanes(v->bad | wrong_in(v, i));
    for (; left != 0; left &= left - 1) {
        int k = __builtin_ctz(left);
        unsigned before = (1U << k) - 1;
        uint64_t last;
        if ((wrong[s->nest & 3] & before & ~passed) != 0 || !take_brackets(s, v, k, &last))
            return NULL;
        if (s->nest == OUTSIDE)
            return p + k * WINDOW + __builtin_popcountll(last);
        passed = before << 1 | 1;
    }
    return (wrong[s->nest & 3] & ~passed) == 0 ? p + PLANE : NULL;
}

/* Of a block whose strings are known. */
INLINE const char *take_rest(struct swift *s, const struct block *b)
{
    struct visits v;
    take_grammar(s, b, &v);
    if (plane_any(v.brackets)) {
        struct visits own = v; /* as in take_strings() */
        return visit(s, b->p, &own);
    }
    return plane_any(v.bad | wrong_in(&v, s->nest)) ? NULL : b->p + PLANE;
}

static __attribute__((noinline)) const char *take_block(struct look *l, struct swift *s, const char *p)
{
    struct block b = { .p = p, .left = (size_t)(l->end - p) };
    classify(&b);
    return take_strings(l, s, &b) ? take_rest(s, &b) : NULL;
}

INLINE void classify_next(struct block *b, const struct block *before)
{
    b->p = before->p + PLANE;
    b->left = before->left - PLANE;
    if (b->left >= PLANE)
        classify_as(b, true);
}

/* A block that is classified; then the next one is, if it is whole: while the grammar waits for
 * what it needs the processor has something to do. */
INLINE const char *take_pair(struct look *l, struct swift *s, struct block *b, struct block *next)
{
    if (!take_strings(l, s, b))
        return NULL;
    classify_next(next, b);
    return take_rest(s, b);
}

/* All that are whole; `left` is a block or more. */
static __attribute__((noinline)) const char *take_blocks(struct look *l, struct swift *s, const char *p, size_t left)
{
    struct block a = { .p = p, .left = left }, b;
    classify_as(&a, true);
    for (;;) {
        p = take_pair(l, s, &a, &b);
        if (p == NULL || s->nest == OUTSIDE || b.left < PLANE)
            return p;
        p = take_pair(l, s, &b, &a);
        if (p == NULL || s->nest == OUTSIDE || a.left < PLANE)
            return p;
    }
}

/* -- containers ------------------------------------------------------------------------------------ */

static void begin(const struct look *l, struct swift *s, const char *p)
{
    static const lanes last = { [LANES - 1] = UINT64_C(1) << (WINDOW - 1) };
    const plane none = { 0 };
    EACH_LANE
    for (int i = 0; i < BEHINDS; i++)
        plane_store(s->behind[i], i == B_MEMBER ? plane_load(last) : none);
    s->in_string = s->fraction = s->stretch = 0;
    s->escaped = false;
    s->nest = OUTSIDE << 1 | (*p == '{');
    s->wide = (size_t)(p - l->text);
}

static const char *go_on(struct look *l, struct swift *s, const char *p)
{
    if (l->end - p >= 2 * PLANE)
        p = take_blocks(l, s, p, (size_t)(l->end - p));
    while (p != NULL && s->nest != OUTSIDE)
        p = p < l->end ? take_block(l, s, p) : NULL;
    return p;
}

bool jsonscan_have_swift(void)
{
    return __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512vbmi") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("gfni") &&
           __builtin_cpu_supports("vpclmulqdq");
}

const char *jsonscan_swift(struct look *l, const char *p)
{
    struct swift s;
    begin(l, &s, p);
    return go_on(l, &s, p + 1);
}

const char *jsonscan_swift_begin(struct look *l, const char *p)
{
    begin(l, (struct swift *)l->ahead->state, p);
    return p + 1;
}

/* Of an escape more may have to be seen than the block has. */
#define BEHIND_BLOCK 8

/* Without the last character, if that is not ASCII: maybe there is only half of it. */
static const char *whole_end(const struct look *l, const char *p)
{
    const char *end = l->end;
    for (int i = 0; i < 3 && end > p && (*(end - 1) & 0xC0) == 0x80; i++)
        end--;
    return end > p && (unsigned char)*(end - 1) >= 0xC0 ? end - 1 : end;
}

const char *jsonscan_swift_go_on(struct look *l, const char *p, bool *ends)
{
    struct swift *s = (struct swift *)l->ahead->state;
    struct look part = *l;
    part.end = whole_end(l, p);
    if (s->nest != OUTSIDE && part.end - p >= PLANE + BEHIND_BLOCK)
        p = take_blocks(&part, s, p, (size_t)(part.end - p) - BEHIND_BLOCK);
    *ends = s->nest == OUTSIDE;
    return p;
}

const char *jsonscan_swift_end(struct look *l, const char *p)
{
    return go_on(l, (struct swift *)l->ahead->state, p);
}
#else

bool jsonscan_have_swift(void)
{
    return false;
}

const char *jsonscan_swift(struct look *l, const char *p)
{
    (void)l;
    (void)p;
    return NULL;
}

const char *jsonscan_swift_begin(struct look *l, const char *p)
{
    return jsonscan_swift(l, p);
}

const char *jsonscan_swift_go_on(struct look *l, const char *p, bool *ends)
{
    *ends = false;
    return jsonscan_swift(l, p);
}

const char *jsonscan_swift_end(struct look *l, const char *p)
{
    return jsonscan_swift(l, p);
}
#endif
