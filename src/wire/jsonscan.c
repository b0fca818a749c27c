/* jsonscan.c - see jsonscan.h.  Pure: owns nothing, allocates nothing, and reads
 * no byte outside of the text it is given.
 *
 * This is what every relayed message costs, so it is written for the machine.
 * Most of a message is the inside of strings, and there only four kinds of byte
 * matter: the closing quote, a backslash, control characters and what is not
 * ASCII; as signed numbers the last two are both below a blank, so three
 * comparisons do.  The text is cut into windows of 64 bytes, and a window's
 * special bytes become 64 bits by vectors of the compiler's, which every machine
 * has or imitates.  The next special byte is then a shift and a count away: with
 * a search of its own for each string (memchr, or the same vectors from where
 * one stands) every string waits for the end of the one before, and texts of
 * short strings take twice the time.
 *
 * Containers are not recursed into: a byte for each open one says how it ends. */
#include "wire/jsonscan.h"

#include <errno.h>
#include <string.h>

#include "base/utf8.h"
#include "wire/jsonscan_internal.h"

#define SWIFT_LEAST (2 * WINDOW) /* bytes that may come: less is not worth the call */

static __attribute__((cold, noinline)) const char *fail(struct look *l, const char *at, const char *why)
{
    l->fault = (struct jsonscan_fault){ (size_t)(at - l->text), at == l->end ? "the text ends too early" : why };
    return NULL;
}

/* In a long string: passes windows without anything special. */
const char *jsonscan_plain_windows(const char *p, const char *end)
{
    for (; end - p >= WINDOW; p += WINDOW) {
        block near = look_for(p) | look_for(p + BLOCK);
        block far = look_for(p + 2 * BLOCK) | look_for(p + 3 * BLOCK);
        if (bits_of(near | far) != 0)
            break;
    }
    return p;
}

/* The first special byte from p on, or the end. */
INLINE const char *skip_plain(struct look *l, const char *p)
{
    for (;;) {
        if (p - l->window < WINDOW) {
            uint64_t special = l->special >> (p - l->window);
            if (special != 0)
                return p + __builtin_ctzll(special);
            p = l->window + WINDOW;
            if (l->special == 0)
                p = jsonscan_plain_windows(p, l->end);
        }
        look_at(l, p);
    }
}

/* -- strings ----------------------------------------------------------------- */

INLINE bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* p: at the backslash */
INLINE const char *skip_escape(struct look *l, const char *p)
{
    static const bool plain[256] = {
        ['"'] = true, ['\\'] = true, ['/'] = true, ['b'] = true, ['f'] = true, ['n'] = true, ['r'] = true, ['t'] = true
    };
    if (++p == l->end || plain[(unsigned char)*p])
        return p == l->end ? fail(l, p, NULL) : p + 1;
    if (*p != 'u')
        return fail(l, p, "no such escape in a string");
    p++;
    for (int i = 0; i < 4; i++, p++)
        if (p == l->end || !is_hex(*p))
            return fail(l, p, "four hexadecimal digits are missing after \\u");
    return p;
}

INLINE bool continues(char c)
{
    return (signed char)c < -64; /* 80 to BF */
}

/* p: at a byte that is not a character by itself.  Two and three bytes are what
 * the world's scripts are made of; the rest is left to those who know. */
INLINE const char *skip_wide(struct look *l, const char *p)
{
    uint32_t c;
    do {
        unsigned char first = (unsigned char)*p;
        size_t n;
        if (first >= 0xC2 && first < 0xE0 && l->end - p > 1 && continues(p[1]))
            n = 2;
        else if (first > 0xE0 && first < 0xED && l->end - p > 2 && continues(p[1]) && continues(p[2]))
            n = 3;
        else
            n = utf8_next(p, (size_t)(l->end - p), &c);
        if (n == 1)
            return fail(l, p, first < ' ' ? "a control character in a string" : "not UTF-8");
        p += n;
    } while (p < l->end && (signed char)*p < 0);
    return p;
}

/* p: behind the opening quote */
INLINE const char *skip_string(struct look *l, const char *p)
{
    for (;;) {
        p = skip_plain(l, p);
        if (p == l->end)
            return fail(l, p, NULL);
        if (*p == '"')
            return p + 1;
        p = *p == '\\' ? skip_escape(l, p) : skip_wide(l, p);
        if (p == NULL)
            return NULL;
    }
}

/* -- other scalars ----------------------------------------------------------- */

INLINE const char *skip_digits(struct look *l, const char *p)
{
    if (!is_digit(p, l->end))
        return fail(l, p, "a digit is missing");
    while (is_digit(++p, l->end))
        ;
    return p;
}

INLINE const char *skip_number(struct look *l, const char *p)
{
    p += *p == '-';
    const char *first = p;
    p = skip_digits(l, p);
    if (p != NULL && *first == '0' && p > first + 1)
        return fail(l, first + 1, "a number with a zero before it");
    if (p != NULL && p < l->end && *p == '.')
        p = skip_digits(l, p + 1);
    if (p != NULL && p < l->end && (*p | 0x20) == 'e') {
        p++;
        if (p < l->end && (*p == '+' || *p == '-'))
            p++;
        p = skip_digits(l, p);
    }
    return p;
}

INLINE const char *skip_word(struct look *l, const char *p, const char *word, size_t len)
{
    if ((size_t)(l->end - p) >= len && memcmp(p, word, len) == 0)
        return p + len;
    while (p < l->end && *p == *word)
        p++, word++;
    return fail(l, p, "no value");
}

/* c is the byte at p, or -1 at the end */
INLINE const char *skip_scalar(struct look *l, const char *p, int c)
{
    switch (c) {
    case '"':
        return skip_string(l, p + 1);
    case '-':
    case '0' ... '9':
        return skip_number(l, p);
    case 't':
        return skip_word(l, p, "true", 4);
    case 'f':
        return skip_word(l, p, "false", 5);
    case 'n':
        return skip_word(l, p, "null", 4);
    default:
        return fail(l, p, "no value");
    }
}

/* -- containers -------------------------------------------------------------- */

const char *jsonscan_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

/* A member's name and its colon. */
INLINE const char *skip_name(struct look *l, const char *p, const char **name, const char **name_end)
{
    if (next(l, &p) != '"')
        return fail(l, p, "no name of a member");
    *name = p + 1;
    p = skip_string(l, p + 1);
    if (p == NULL)
        return NULL;
    *name_end = p - 1;
    return next(l, &p) == ':' ? p + 1 : fail(l, p, "no colon after the name of a member");
}

/* -- for others of the files jsonscan*.c --------------------------------------- */

const char *jsonscan_escape(struct look *l, const char *p)
{
    return skip_escape(l, p);
}

const char *jsonscan_wide(struct look *l, const char *p)
{
    return skip_wide(l, p);
}

const char *jsonscan_name(struct look *l, const char *p)
{
    const char *name, *name_end;
    return skip_name(l, p, &name, &name_end);
}

const char *jsonscan_scalar(struct look *l, const char *p)
{
    int c = next(l, &p);
    return skip_scalar(l, p, c);
}

/* -- containers of all shapes ---------------------------------------------------- */

/* Worth its call only where there is much to come. */
INLINE const char *simple_members(struct look *l, const char *p)
{
    return l->end - p > 4 * WINDOW ? jsonscan_simple_members(l, p) : NULL;
}

struct nest {
    unsigned depth;
    char closer; /* how the innermost ends */
    char closers[JSONSCAN_DEPTH_MAX];
};

/* p: behind a value within a container.  Goes to the next value, or out of all
 * containers that end here; depth says how far. */
INLINE const char *skip_between(struct look *l, const char *p, struct nest *nest)
{
    const char *name, *name_end;
    for (;;) {
        int c = next(l, &p);
        if (c == ',' && nest->closer == ']')
            return p + 1;
        if (c == ',') {
            const char *simple = p + 1 < l->end && p[1] == '"' ? simple_members(l, p + 1) : NULL;
            if (simple == NULL)
                return skip_name(l, p + 1, &name, &name_end);
            p = simple;
            continue;
        }
        if (c != nest->closer)
            return fail(l, p, "neither a comma nor the end of what is open");
        p++;
        nest->closer = nest->closers[--nest->depth];
        if (nest->depth == 0)
            return p;
    }
}

/* p: at an opening bracket c, in `outer` containers. */
static const char *skip_container(struct look *l, const char *p, int c, unsigned outer)
{
    struct nest nest;
    const char *name, *name_end;
    nest.depth = 0;
    nest.closer = '\0';
    for (;; c = next(l, &p)) {
        if (c == '{' || c == '[') {
            if (nest.depth + outer >= JSONSCAN_DEPTH_MAX)
                return fail(l, p, "nested too deeply");
            int closer = c + 2; /* so it is in ASCII */
            p++;
            if (next(l, &p) != closer) {
                nest.closers[nest.depth++] = nest.closer;
                nest.closer = (char)closer;
                const char *simple = closer == '}' && p < l->end && *p == '"' ? simple_members(l, p) : NULL;
                if (simple == NULL) {
                    if (closer == '}' && (p = skip_name(l, p, &name, &name_end)) == NULL)
                        return NULL;
                    continue;
                }
                p = simple;
            } else {
                p++;
            }
        } else {
            p = skip_scalar(l, p, c);
        }
        if (p != NULL && nest.depth > 0)
            p = skip_between(l, p, &nest);
        if (p == NULL || nest.depth == 0)
            return p;
    }
}

/* p: at an opening bracket.  NULL: somebody else has to look. */
INLINE const char *swiftly(struct look *l, const char *p)
{
    const struct jsonscan_ahead *a = l->ahead;
    if (l->closely)
        return NULL;
    if (a != NULL && a->at == (size_t)(p - l->text) && a->stage == JSONSCAN_AHEAD_IN)
        return jsonscan_swift_end(l, l->text + a->upto);
    if (a != NULL && a->at == (size_t)(p - l->text) && a->stage == JSONSCAN_AHEAD_BEHIND)
        return l->text + a->upto;
    return l->end - p > SWIFT_LEAST && jsonscan_have_swift() ? jsonscan_swift(l, p) : NULL;
}

INLINE const char *skip_value(struct look *l, const char *p, unsigned outer)
{
    int c = next(l, &p);
    if (c != '{' && c != '[')
        return skip_scalar(l, p, c);
    const char *behind = swiftly(l, p);
    return behind != NULL ? behind : skip_container(l, p, c, outer);
}

/* -- the top level ------------------------------------------------------------ */

static enum jsonscan_type type_of(char first)
{
    switch (first) {
    case '{':
        return JSONSCAN_OBJECT;
    case '[':
        return JSONSCAN_ARRAY;
    case '"':
        return JSONSCAN_STRING;
    case 't':
        return JSONSCAN_TRUE;
    case 'f':
        return JSONSCAN_FALSE;
    case 'n':
        return JSONSCAN_NULL;
    default:
        return JSONSCAN_NUMBER;
    }
}

INLINE struct jsonscan_value span(const char *text, const char *from, const char *to)
{
    return (struct jsonscan_value){ (uint32_t)(from - text), (uint32_t)(to - from), type_of(*from) };
}

/* Names are short: less than a call takes. */
INLINE bool is_same(const char *a, const char *b, size_t len)
{
    while (len > 0 && a[len - 1] == b[len - 1])
        len--;
    return len == 0;
}

INLINE int find_bytes(const struct jsonscan_keys *keys, const char *name, size_t len)
{
    for (unsigned i = 0; i < keys->n; i++)
        if (keys->keys[i].len == len && is_same(keys->keys[i].name, name, len))
            return (int)i;
    return -1;
}

/* Which of the keys it is, or -1; from..to is the name without its quotes. */
static int find_key(const struct jsonscan_keys *keys, const char *from, const char *to)
{
    size_t len = (size_t)(to - from);
    if (len == 0 || len > 6 * JSONSCAN_KEY_LEN_MAX)
        return -1;
    int i = find_bytes(keys, from, len);
    if (i >= 0 || memchr(from, '\\', len) == NULL)
        return i;
    char meant[JSONSCAN_KEY_LEN_MAX + 1];
    ssize_t n = jsonscan_string(from - 1, (struct jsonscan_value){ 0, (uint32_t)len + 2, JSONSCAN_STRING }, meant,
                                sizeof(meant));
    return n <= 0 ? -1 : find_bytes(keys, meant, (size_t)n);
}

static void found(struct look *l, struct jsonscan *r, int key, struct jsonscan_value v)
{
    r->twice |= l->found & 1U << key;
    l->found |= 1U << key;
    r->members[key] = v;
}

/* p: behind the opening brace of the text */
static const char *look_at_members(struct look *l, const char *p, const struct jsonscan_keys *keys, struct jsonscan *r)
{
    if (next(l, &p) == '}')
        return p + 1;
    for (;;) {
        const char *name = p, *name_end = p;
        p = skip_name(l, p, &name, &name_end);
        if (p == NULL)
            return NULL;
        next(l, &p);
        const char *value = p;
        p = skip_value(l, p, 1);
        if (p == NULL)
            return NULL;
        int key = find_key(keys, name, name_end);
        if (key >= 0)
            found(l, r, key, span(l->text, value, p));
        int c = next(l, &p);
        if (c != ',')
            return c == '}' ? p + 1 : fail(l, p, "neither a comma nor the end of what is open");
        p++;
    }
}

static bool look_at_all(struct look *l, const struct jsonscan_keys *keys, struct jsonscan *r)
{
    const char *p = l->text;
    int c = next(l, &p);
    const char *from = p;
    p = keys != NULL && c == '{' ? look_at_members(l, p + 1, keys, r) : skip_value(l, p, 0);
    if (p == NULL)
        return false;
    r->value = span(l->text, from, p);
    return next(l, &p) == -1 || fail(l, p, "something after the value") != NULL;
}

/* Only what was found is copied: a copy of all of it would wait for what has just been written. */
static void answer(const struct jsonscan_keys *keys, const struct jsonscan *r, uint32_t found, struct jsonscan *ret)
{
    ret->value = r->value;
    ret->twice = r->twice;
    for (unsigned i = 0; keys != NULL && i < keys->n; i++)
        ret->members[i].type = JSONSCAN_NONE;
    for (; found != 0; found &= found - 1)
        ret->members[__builtin_ctz(found)] = r->members[__builtin_ctz(found)];
}

static int look_as(struct look *l, const struct jsonscan_keys *keys, struct jsonscan *ret, struct jsonscan_fault *fault)
{
    size_t len = (size_t)(l->end - l->text);
    struct jsonscan r;
    r.twice = 0;
    look_at(l, l->text);
    if (len <= UINT32_MAX && look_at_all(l, keys, &r)) {
        answer(keys, &r, l->found, ret);
        return 0;
    }
    if (len > UINT32_MAX)
        fail(l, l->text, "more than four gigabytes");
    if (fault != NULL)
        *fault = l->fault;
    return -EINVAL;
}

int jsonscan_as(bool closely, const char *text, size_t len, const struct jsonscan_keys *keys, struct jsonscan *ret,
                struct jsonscan_fault *fault)
{
    struct look l = { .text = text, .end = text + len, .window = text, .closely = closely };
    return look_as(&l, keys, ret, fault);
}

int jsonscan(const char *text, size_t len, const struct jsonscan_keys *keys, struct jsonscan *ret,
             struct jsonscan_fault *fault)
{
    return jsonscan_as(false, text, len, keys, ret, fault);
}

int jsonscan_rest(struct jsonscan_ahead *a, const char *text, size_t len, const struct jsonscan_keys *keys,
                  struct jsonscan *ret, struct jsonscan_fault *fault)
{
    struct look l = { .text = text, .end = text + len, .window = text, .ahead = a };
    return look_as(&l, keys, ret, fault);
}

bool jsonscan_element(const char *text, struct jsonscan_value array, uint32_t *cursor, struct jsonscan_value *ret)
{
    struct look l = { .text = text, .end = text + array.at + array.len - 1, .window = text };
    look_at(&l, text + (*cursor == 0 ? array.at + 1 : *cursor));
    const char *p = text + (*cursor == 0 ? array.at + 1 : *cursor);
    if (next(&l, &p) == ',')
        p++;
    if (next(&l, &p) == -1)
        return false;
    const char *from = p;
    p = skip_value(&l, p, 1);
    if (p == NULL) /* of a text that nobody has looked at */
        return false;
    *ret = span(text, from, p);
    *cursor = (uint32_t)(p - text);
    return true;
}
