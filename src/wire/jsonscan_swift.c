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
 * for 512 bytes at once.  Only brackets, words (true, false, null), escapes and
 * characters that are not ASCII are visited one by one.
 *
 * What one block has to tell the next are the bits that a shift or an addition loses.
 *
 * It needs what AVX-512 can do since 2019 (the Makefile lets this one file have it, and
 * jsonscan.c asks the processor). */
#include "wire/jsonscan_internal.h"

#ifdef __AVX512VBMI2__
#include "wire/jsonscan_plane.h"

/* -- what bytes are -------------------------------------------------------------------- */

/* Places of the bits, which together mean more than each by itself: a comma is a curly
 * separator. */
enum { QUOTE, BACKSLASH, OPEN, CLOSE, CURLY, SEPARATOR, DIGIT, LETTER };
#define IS(x) (1U << (x))

static const uint8_t codes[128] = {
    ['"'] = IS(QUOTE),
    ['\\'] = IS(BACKSLASH),
    ['{'] = IS(OPEN) | IS(CURLY),
    ['['] = IS(OPEN),
    ['}'] = IS(CLOSE) | IS(CURLY),
    [']'] = IS(CLOSE),
    [','] = IS(SEPARATOR) | IS(CURLY),
    [':'] = IS(SEPARATOR),
    [' '] = IS(SEPARATOR) | IS(LETTER),
    ['-'] = IS(DIGIT) | IS(OPEN),
    ['.'] = IS(DIGIT) | IS(CLOSE),
    ['0'] = IS(DIGIT) | IS(CURLY),
    ['1' ... '9'] = IS(DIGIT),
    ['a' ... 'z'] = IS(LETTER),
};

struct block {
    const char *p;
    size_t left;  /* of the text; there may be less than a block */
    bool strange; /* there are bytes that are no visible ASCII */
    plane quotes, backslashes, open, close, curly, separator, digit, letter;
};

INLINE __m512i window_of(const struct block *b, int k, bool whole)
{
    size_t at = (size_t)k * WINDOW;
    return whole ? _mm512_loadu_si512(b->p + at) : window_load(b->p + at, b->left > at ? b->left - at : 0);
}

INLINE void classify_as(struct block *b, bool whole)
{
    const __m512i low = _mm512_loadu_si512(codes), high = _mm512_loadu_si512(codes + WINDOW);
    __m512i v[LANES], least = _mm512_set1_epi8(' ');
    EACH_LANE
    for (int k = 0; k < LANES; k++) {
        __m512i w = window_of(b, k, whole);
        least = _mm512_min_epi8(least, w);
        v[k] = window_turn(_mm512_permutex2var_epi8(low, w, high));
    }
    planes_turn(v);
    b->strange = _mm512_cmplt_epi8_mask(least, _mm512_set1_epi8(' ')) != 0;
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

/* -- what goes from block to block ------------------------------------------------------- */

#define OUTSIDE UINT64_C(1) /* .nest: a bit above those of the containers */

/* Of each of these, what is behind it matters. */
enum { B_SEPARATOR, B_COMMA, B_SQUARE, B_CURLY, B_STRING, B_CLOSE, B_DIGIT, B_MINUS, B_DOT, B_LETTER, B_ZERO, BEHINDS };

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

/* Bytes that are no visible ASCII have codes of others: takes these from them. */
static bool take_strange(struct block *b, plane *high)
{
    lanes found;
    const __m512i blank = _mm512_set1_epi8(' ');
    for (int k = 0; k < LANES; k++) {
        __m512i w = window_of(b, k, false);
        found[k] = _mm512_movepi8_mask(w);
        if ((_mm512_cmplt_epi8_mask(w, blank) & ~found[k]) != 0)
            return false;
    }
    *high = plane_load(found);
    b->quotes &= ~*high;
    b->backslashes &= ~*high;
    return true;
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

/* Finds what is in strings, with the opening quote and without the closing one. */
INLINE bool take_strings(struct look *l, struct swift *s, struct block *b, plane *in)
{
    plane high = { 0 };
    if (__builtin_expect(b->strange, 0) && !take_strange(b, &high))
        return false;
    if (__builtin_expect(s->escaped || plane_any(b->backslashes), 0) && !take_escapes(l, s, b))
        return false;
    *in = plane_between(b->quotes, &s->in_string);
    return !b->strange || (!plane_any(high & ~*in) && take_wide(l, s, b, high));
}

/* -- the grammar ----------------------------------------------------------------------------- */

/* What is left for those who go from one to the next. */
struct visits {
    plane bad, brackets, open, curly, words;
    /* What may not be in a container of a kind: colons in an array; singles, commas and brackets
     * that are not behind a colon, in an object; pairs elsewhere than in an object of an array. */
    plane colons, singles, pairs;
};

/* What has no code may stand nowhere: nothing may stand behind it, and a bracket is the last. */
INLINE void take_grammar(struct swift *s, const struct block *b, plane in, struct visits *v)
{
    plane out = ~(in | b->quotes), opening = b->quotes & in, string = b->quotes & ~in;
    plane curly = b->curly, o = b->open & out, c = b->close & out, sep = b->separator & out;
    plane d = b->digit & out, t = b->letter & out;

    plane minus = o & d, dot = c & d, digit = d & ~o & ~c, open = o & ~d, close = c & ~d;
    plane blank = sep & t, letter = t & ~sep, comma = sep & curly, colon = sep & ~curly & ~t;

    plane behind_separator = plane_behind(sep, s->behind[B_SEPARATOR]);
    plane behind_square = plane_behind(open & ~curly, s->behind[B_SQUARE]);
    plane behind_curly = plane_behind(open & curly, s->behind[B_CURLY]);
    plane behind_string = plane_behind(string, s->behind[B_STRING]);
    plane behind_digit = plane_behind(digit, s->behind[B_DIGIT]);
    plane behind_letter = plane_behind(letter, s->behind[B_LETTER]);
    plane behind_minus = plane_behind(minus, s->behind[B_MINUS]);
    plane behind_dot = plane_behind(dot, s->behind[B_DOT]);
    plane may_begin = behind_separator | behind_square; /* a value */
    plane may_end = behind_string | plane_behind(close, s->behind[B_CLOSE]) | behind_digit | behind_letter;

    plane bad = (comma & ~may_end) | (colon & ~behind_string) | (blank & ~behind_separator);
    bad |= (open | minus) & ~may_begin;
    bad |= opening & ~(may_begin | behind_curly);
    bad |= close & ~(may_end | (curly & behind_curly) | (~curly & behind_square));
    bad |= letter & ~(may_begin | behind_letter);
    bad |= digit & ~(may_begin | behind_digit | behind_minus | behind_dot);
    bad |= dot & ~behind_digit;

    /* What neighbours cannot know of numbers: a zero that leads, a second dot. */
    plane leads = digit & curly & (may_begin | behind_minus);
    bad |= digit & plane_behind(leads, s->behind[B_ZERO]);
    bad |= dot & plane_run_over(digit, behind_dot & digit, &s->fraction);

    /* In an object commas and colons alternate, in an array there is no colon. */
    plane points = comma | colon | open | close;
    plane name = plane_run_over(~points, plane_behind(comma, s->behind[B_COMMA]) | behind_curly, &s->stretch);
    bad |= colon & ~name;
    bad |= close & curly & name & ~behind_curly;

    /* },{ changes nothing, and in what is long there is little else. */
    plane pairs = open & curly & plane_up(comma & plane_up(close & curly, 1), 1);
    v->bad = bad;
    v->brackets = (open | close) & ~(pairs | plane_down(pairs, 2));
    v->open = open;
    v->curly = curly;
    v->words = letter & may_begin;
    v->colons = colon;
    v->singles = (comma | open) & name & ~pairs;
    v->pairs = pairs;
}

/* -- brackets --------------------------------------------------------------------------------- */

/* The innermost container is an array; an object in an array; an object in an object, or all. */
enum { ARRAY, OBJECT, SAME_ARRAY, OBJECT_OF_OBJECT };

INLINE plane wrong_in(const struct visits *v, uint64_t nest)
{
    return (nest & 3) == OBJECT ? v->singles : v->pairs | ((nest & 1) == ARRAY ? v->colons : v->singles);
}

struct brackets {
    lanes all, open, curly, wrong[4];
};

static void brackets_of(struct brackets *b, const struct visits *v)
{
    plane_store(b->all, v->brackets);
    plane_store(b->open, v->open);
    plane_store(b->curly, v->curly);
    for (unsigned i = 0; i < 4; i++)
        plane_store(b->wrong[i], wrong_in(v, i));
}

/* Of a window.  *last: up to the bracket that closes all, or all ones.  False: one does not fit,
 * or there are too many. */
INLINE bool take_brackets(struct swift *s, const struct brackets *b, int k, uint64_t *last)
{
    uint64_t left = b->all[k], wrong = 0, nest = s->nest, before = 0;
    *last = UINT64_MAX;
    if (__builtin_clzll(nest) <= __builtin_popcountll(left))
        return false;
    while (left != 0) {
        uint64_t bit = left & -left, upto = left ^ (left - 1);
        uint64_t is_open = (b->open[k] & bit) != 0, curly = (b->curly[k] & bit) != 0;
        wrong |= b->wrong[nest & 3][k] & (upto ^ before);
        wrong |= ~is_open & 1 & (nest ^ curly);
        nest = is_open ? nest << 1 | curly : nest >> 1;
        before = upto;
        left &= left - 1;
        if (nest == OUTSIDE) {
            *last = upto;
            left = 0;
        }
    }
    wrong |= b->wrong[nest & 3][k] & *last & ~before;
    s->nest = nest;
    return wrong == 0;
}

/* -- words ---------------------------------------------------------------------------------------- */

/* true, false or null, and no other letter.  What may follow has been looked at.  There are 8
 * bytes. */
INLINE bool is_word(const char *p)
{
    static const char words[4][8] = { "false", "null", "true", "-" };
    static const uint8_t len[4] = { 5, 4, 4, 1 };
    uint64_t text, word;
    unsigned which = (unsigned char)*p >> 3 & 3;
    memcpy(&word, words[which], 8);
    memcpy(&text, p, 8);
    return ((text ^ word) << (64 - 8 * len[which])) == 0 && (unsigned char)(p[len[which]] - 'a') > 'z' - 'a';
}

static bool is_last_word(const char *p, const char *end)
{
    char own[8] = { 0 };
    memcpy(own, p, end - p < 8 ? (size_t)(end - p) : 8);
    return is_word(own);
}

/* Of a window. */
INLINE bool are_words(const char *p, const char *end, uint64_t starts)
{
    bool all = true;
    if (end - p < WINDOW + 8) {
        for (; starts != 0; starts &= starts - 1)
            all &= is_last_word(p + __builtin_ctzll(starts), end);
        return all;
    }
    for (; starts != 0; starts &= starts - 1)
        all &= is_word(p + __builtin_ctzll(starts));
    return all;
}

/* -- blocks --------------------------------------------------------------------------------------- */

/* Behind the last bracket, or the block; NULL: it is wrong. */
static const char *visit(struct look *l, struct swift *s, const char *p, const struct visits *v)
{
    struct brackets b;
    lanes bad, words;
    brackets_of(&b, v);
    plane_store(bad, v->bad);
    plane_store(words, v->words);
    for (int k = 0; k < LANES; k++, p += WINDOW) {
        uint64_t last;
        if (!take_brackets(s, &b, k, &last) || (bad[k] & last) != 0 || !are_words(p, l->end, words[k] & last))
            return NULL;
        if (s->nest == OUTSIDE)
            return p + __builtin_popcountll(last);
    }
    return p;
}

/* The same where no bracket is left. */
INLINE const char *visit_words(struct look *l, const struct swift *s, const char *p, const struct visits *v)
{
    bool right = !plane_any(v->bad | wrong_in(v, s->nest));
    lanes words;
    plane_store(words, v->words);
    for (int k = 0; k < LANES; k++, p += WINDOW)
        right &= are_words(p, l->end, words[k]);
    return right ? p : NULL;
}

static __attribute__((noinline)) const char *take_block(struct look *l, struct swift *s, const char *p)
{
    struct block b = { .p = p, .left = (size_t)(l->end - p) };
    struct visits v;
    plane in;
    classify(&b);
    if (!take_strings(l, s, &b, &in))
        return NULL;
    take_grammar(s, &b, in, &v);
    return plane_any(v.brackets) ? visit(l, s, p, &v) : visit_words(l, s, p, &v);
}

/* -- containers ------------------------------------------------------------------------------------ */

static void begin(const struct look *l, struct swift *s, const char *p)
{
    memset(s, 0, sizeof(*s));
    s->nest = OUTSIDE << 1 | (*p == '{');
    s->behind[*p == '{' ? B_CURLY : B_SQUARE][LANES - 1] = UINT64_C(1) << (WINDOW - 1);
    s->wide = (size_t)(p - l->text);
}

static const char *go_on(struct look *l, struct swift *s, const char *p)
{
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
    while (p != NULL && s->nest != OUTSIDE && part.end - p >= PLANE + BEHIND_BLOCK)
        p = take_block(&part, s, p);
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
