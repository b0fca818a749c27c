/* jsonscan_swift.c - whole containers of the commonest shapes, 64 bytes at a time.
 *
 * Pure.  Says yes or nothing: what it passes is well-formed to its last byte, and all
 * else (what is wrong, and what is only unusual) is left to jsonscan.c, which looks at
 * every byte and can say what is the matter.
 *
 * A grammar is checked here without a look at single tokens.  Quotes tell what lies
 * within strings; of all other bytes a table says what each is, another one behind what
 * it may stand, and one comparison of a window with itself, one byte on, does for all
 * of them.  What is not about neighbours is done with bits: an addition carries a mark
 * over a run of bits, from one comma or colon to the next.  Only brackets, words (true,
 * false, null), escapes and characters that are not ASCII are visited one by one, and
 * those without branches that depend on how many there are: a processor that guesses
 * wrong loses more time than a window takes.
 *
 * What one window has to tell the next are the bits that a shift or an addition loses.
 *
 * It needs what AVX-512 can do (the Makefile lets this one file have it, jsonscan.c asks
 * the processor): half as many bytes at once were tried, and were no faster than
 * jsonscan_simple.c. */
#include "wire/jsonscan_internal.h"

#ifdef __AVX512VBMI__
#include <immintrin.h>

/* -- 64 bytes ----------------------------------------------------------------------- */

typedef uint64_t window_bits; /* one for each byte of a window, the lowest for the first */

struct window {
    __m512i bytes;
};

/* A table with a byte for each character of ASCII. */
struct lookup {
    __m512i low, high;
};

INLINE struct window window_at(const char *p)
{
    return (struct window){ _mm512_loadu_si512(p) };
}

INLINE struct lookup lookup_of(const uint8_t table[128])
{
    return (struct lookup){ _mm512_loadu_si512(table), _mm512_loadu_si512(table + WINDOW) };
}

INLINE struct window window_look_up(struct window w, const struct lookup *l)
{
    return (struct window){ _mm512_permutex2var_epi8(l->low, w.bytes, l->high) };
}

/* A compiler that knows where bits come from would do all that follows with masks, for
 * which there is but one unit. */
INLINE window_bits in_register(__mmask64 bits)
{
    window_bits b = bits;
    __asm__("" : "+r"(b));
    return b;
}

/* Made once and kept: they can be remade where they are needed, but that takes longer. */
INLINE __m512i everywhere(char c)
{
    __m512i v = _mm512_set1_epi8(c);
    __asm__("" : "+v"(v));
    return v;
}

INLINE window_bits window_equal(struct window w, char c)
{
    return in_register(_mm512_cmpeq_epi8_mask(w.bytes, everywhere(c)));
}

INLINE window_bits window_below(struct window w, char c) /* as signed numbers */
{
    return in_register(_mm512_cmplt_epi8_mask(w.bytes, everywhere(c)));
}

INLINE window_bits window_has(struct window w, uint8_t bits) /* any of them */
{
    return in_register(_mm512_test_epi8_mask(w.bytes, everywhere((char)bits)));
}

INLINE struct window window_without(struct window w, struct window bits)
{
    return (struct window){ _mm512_andnot_si512(bits.bytes, w.bytes) };
}

/* From each bit on, up to before the next one: ones. */
INLINE window_bits bits_between(window_bits bits)
{
    __m128i ones = _mm_set1_epi8((char)0xFF);
    return (window_bits)_mm_cvtsi128_si64(_mm_clmulepi64_si128(_mm_set_epi64x(0, (long long)bits), ones, 0));
}

/* -- the grammar -------------------------------------------------------------------- */

/* What a byte outside of strings is (a closing quote too), to the one behind it. */
enum {
    SEPARATOR = 1, /* a comma, a colon, or blanks behind one */
    BRACE = 2,
    BRACKET = 4,
    STRING = 8,
    CLOSE = 16,
    DIGIT = 32,
    SIGN = 64, /* a minus or a dot, that is, a digit has to follow */
    LETTER = 128,
};

static const uint8_t kinds[128] = {
    [','] = SEPARATOR, [':'] = SEPARATOR, [' '] = SEPARATOR,     ['{'] = BRACE,
    ['['] = BRACKET,   ['"'] = STRING,    ['}'] = CLOSE,         [']'] = CLOSE,
    ['-'] = SIGN,      ['.'] = SIGN,      ['0' ... '9'] = DIGIT, ['a' ... 'z'] = LETTER,
};

/* Behind which of these it may stand; what is not here may stand nowhere. */
static const uint8_t places[128] = {
    [','] = STRING | CLOSE | DIGIT | LETTER,
    [':'] = STRING,
    [' '] = SEPARATOR,
    ['{'] = SEPARATOR | BRACKET,
    ['['] = SEPARATOR | BRACKET,
    ['"'] = SEPARATOR | BRACE | BRACKET,
    ['}'] = BRACE | STRING | CLOSE | DIGIT | LETTER,
    [']'] = BRACKET | STRING | CLOSE | DIGIT | LETTER,
    ['-'] = SEPARATOR | BRACKET,
    ['.'] = DIGIT,
    ['0' ... '9'] = SEPARATOR | BRACKET | DIGIT | SIGN,
    ['a' ... 'z'] = SEPARATOR | BRACKET | LETTER,
};

#define OUTSIDE UINT64_C(1) /* .nest: a bit above those of the containers */
#define DEEPEST (UINT64_MAX >> 3)
#define WORDS (4 * WINDOW)

struct swift {
    struct look *look;
    struct lookup kinds, places;
    window_bits in_string; /* all ones or none */
    window_bits minus, zero, dot, mark;
    window_bits fraction, stretch; /* of the additions */
    window_bits escaped;           /* the first byte belongs to a backslash */
    const char *wide;              /* up to here, characters that are not ASCII have been looked at */
    uint64_t nest;                 /* a bit for each open container, the innermost lowest: 1 an object */
    unsigned n_words;              /* not looked at yet */
    const char *words[WORDS];
};

INLINE window_bits behind(window_bits bits, window_bits *carry)
{
    window_bits moved = bits << 1 | *carry;
    *carry = bits >> (WINDOW - 1);
    return moved;
}

/* Each mark is the first bit of a run: moves it to behind that. */
INLINE window_bits run_over(window_bits runs, window_bits marks, window_bits *carry)
{
    window_bits sum;
    bool over = __builtin_add_overflow(runs, marks, &sum);
    over |= __builtin_add_overflow(sum, *carry, &sum);
    *carry = over;
    return sum & ~runs;
}

/* -- within strings ----------------------------------------------------------------- */

/* Escapes: what a backslash stands before is neither a quote nor a backslash. */
static bool take_escapes(struct swift *s, const char *p, window_bits backslashes, window_bits *quotes)
{
    window_bits taken = s->escaped;
    s->escaped = 0;
    for (window_bits left = backslashes & ~taken; left != 0; left &= ~taken) {
        int i = __builtin_ctzll(left);
        if (jsonscan_escape(s->look, p + i) == NULL)
            return false;
        left &= left - 1;
        if (i == WINDOW - 1)
            s->escaped = 1;
        else
            taken |= UINT64_C(2) << i;
    }
    *quotes &= ~taken;
    return true;
}

static bool take_wide(struct swift *s, const char *p, window_bits high)
{
    while (high != 0) {
        if (s->wide - p >= WINDOW)
            return true;
        if (s->wide > p)
            high &= UINT64_MAX << (s->wide - p);
        if (high == 0)
            return true;
        s->wide = jsonscan_wide(s->look, p + __builtin_ctzll(high));
        if (s->wide == NULL)
            return false;
    }
    return true;
}

/* -- words ------------------------------------------------------------------------ */

/* true, false or null, and what may follow. */
INLINE bool is_word(const char *p, const char *end)
{
    uint32_t first, tru, nul, alse;
    memcpy(&tru, "true", 4);
    memcpy(&nul, "null", 4);
    memcpy(&alse, "alse", 4);
    bool f = *p == 'f';
    if (end - p < 5 + f)
        return false;
    p += f;
    memcpy(&first, p, 4);
    bool word = f ? first == alse : (first == tru) | (first == nul);
    return word & ((p[4] == ',') | ((p[4] | 0x20) == '}'));
}

INLINE bool are_words(const struct swift *s)
{
    bool all = true;
    for (unsigned i = 0; i < s->n_words; i++)
        all &= is_word(s->words[i], s->look->end);
    return all;
}

/* Notes where they begin; two are noted whether they are there or not. */
INLINE bool note_words(struct swift *s, const char *p, window_bits starts)
{
    const window_bits last = UINT64_C(1) << (WINDOW - 1);
    unsigned n = (unsigned)__builtin_popcountll(starts);
    if (s->n_words > WORDS - WINDOW) {
        if (!are_words(s))
            return false;
        s->n_words = 0;
    }
    const char **at = s->words + s->n_words;
    at[0] = p + __builtin_ctzll(starts | last);
    starts &= starts - 1;
    at[1] = p + __builtin_ctzll(starts | last);
    for (unsigned i = 2; i < n; i++) {
        starts &= starts - 1;
        at[i] = p + __builtin_ctzll(starts);
    }
    s->n_words += n;
    return true;
}

/* -- brackets --------------------------------------------------------------------- */

struct brackets {
    window_bits open, left; /* of those that are left, these open */
    window_bits todo;       /* bytes that no bracket has been found for */
    window_bits objects;    /* bytes that are in an object; a bracket is in what is around it */
};

/* The first bracket that is left, if there is one.  `braces`: it is for objects. */
INLINE bool take_bracket(struct swift *s, struct brackets *b, window_bits braces)
{
    window_bits bit = b->left & -b->left, upto = b->left ^ (b->left - 1);
    unsigned is_open = (b->open & bit) != 0, is_close = (b->left & ~b->open & bit) != 0, brace = (braces & bit) != 0;
    b->objects |= upto & b->todo & -(s->nest & 1);
    b->todo &= ~upto;
    b->left &= b->left - 1;
    unsigned wrong = is_close & (unsigned)(s->nest ^ brace);
    s->nest = (s->nest << is_open | (is_open & brace)) >> is_close;
    return wrong == 0;
}

/* False: one does not fit.  They end before the one that closes all. */
INLINE bool take_brackets(struct swift *s, struct brackets *b, window_bits braces)
{
    do { /* they often come in pairs */
        bool right = take_bracket(s, b, braces);
        if (s->nest != OUTSIDE)
            right &= take_bracket(s, b, braces);
        if (!right || s->nest > DEEPEST)
            return false;
        if (s->nest == OUTSIDE)
            return true;
    } while (b->left != 0);
    b->objects |= b->todo & -(s->nest & 1);
    b->todo = 0;
    return true;
}

/* -- a window ----------------------------------------------------------------------- */

/* What neighbours cannot know of numbers: a zero that leads, a second dot. */
INLINE window_bits bad_numbers(struct swift *s, struct window w, window_bits digits, window_bits starts,
                               window_bits out)
{
    window_bits minus = window_equal(w, '-') & out, dots = window_equal(w, '.') & out;
    window_bits zeros = window_equal(w, '0') & (starts | behind(minus, &s->minus)) & digits;
    window_bits fractions = run_over(digits, behind(dots, &s->dot) & digits, &s->fraction);
    return (behind(zeros, &s->zero) & digits) | (fractions & dots);
}

/* p: a window of the text, with its bytes, and the one that is one byte before.  True:
 * it is right, and *last are the bits of what belongs to the container. */
INLINE bool take_window(struct swift *s, const char *p, struct window w, struct window before, window_bits *last)
{
    window_bits quotes = window_equal(w, '"'), backslashes = window_equal(w, '\\'), low = window_below(w, ' ');
    if ((backslashes | s->escaped) != 0 && !take_escapes(s, p, backslashes, &quotes))
        return false;
    window_bits in = bits_between(quotes) ^ s->in_string, out = ~(in | quotes);
    s->in_string = (window_bits)((int64_t)in >> (WINDOW - 1));
    if (low != 0) {
        window_bits high = window_below(w, 0);
        if ((low & ~(high & in)) != 0 || !take_wide(s, p, high))
            return false;
    }

    struct window is = window_look_up(w, &s->kinds), is_behind = window_look_up(before, &s->kinds);
    struct window misplaced = window_without(is_behind, window_look_up(w, &s->places));
    window_bits bad = window_has(misplaced, 0xFF) & (out | (quotes & in));

    window_bits starts = window_has(is_behind, SEPARATOR | BRACKET) & out, letters = window_has(is, LETTER);
    bad |= bad_numbers(s, w, window_has(is, DIGIT) & out, starts, out);

    /* In an object commas and colons alternate, in an array there is no colon. */
    window_bits comma = window_equal(w, ',') & out, colon = window_equal(w, ':') & out;
    window_bits brace = window_equal(w, '{') & out, close = window_has(is, CLOSE) & out;
    struct brackets b = { .open = window_has(is, BRACE | BRACKET) & out, .todo = UINT64_MAX };
    window_bits braces = window_equal(w, '}') | brace, points = comma | colon | b.open | close;
    window_bits behind_either = behind(comma | brace, &s->mark);
    window_bits behind_stretch = run_over(~points, behind_either, &s->stretch); /* a comma or a brace is before them */
    b.left = b.open | close;
    if (!take_brackets(s, &b, braces) || !note_words(s, p, starts & letters & ~b.todo))
        return false;
    bad |= colon & ~(behind_stretch & b.objects);
    bad |= (comma | b.open) & behind_stretch & b.objects;
    bad |= close & braces & behind_stretch & ~(brace << 1 | (p[-1] == '{'));
    *last = ~b.todo;
    return (bad & *last) == 0;
}

const char *jsonscan_swift(struct look *l, const char *p)
{
    struct swift s;
    window_bits last;
    bool right = true;
    memset(&s, 0, offsetof(struct swift, words));
    s.look = l;
    s.kinds = lookup_of(kinds);
    s.places = lookup_of(places);
    s.nest = OUTSIDE << 1 | (*p == '{');
    s.mark = *p == '{';
    s.wide = ++p;
    for (; right && l->end - p >= WINDOW; p += WINDOW) {
        right = take_window(&s, p, window_at(p), window_at(p - 1), &last);
        if (s.nest == OUTSIDE)
            return right && are_words(&s) ? p + __builtin_popcountll(last) : NULL;
    }
    if (!right)
        return NULL;
    char rest[WINDOW + 1];
    memset(rest, ' ', sizeof(rest));
    memcpy(rest, p - 1, (size_t)(l->end - p) + 1);
    right = take_window(&s, p, window_at(rest + 1), window_at(rest), &last);
    return right && s.nest == OUTSIDE && are_words(&s) ? p + __builtin_popcountll(last) : NULL;
}
#else

const char *jsonscan_swift(struct look *l, const char *p)
{
    (void)l;
    (void)p;
    return NULL;
}
#endif
