/* jsonscan_simple.c - members of the commonest shape, fast; see jsonscan.c.
 *
 * Pure.  Decides nothing: what is not of that shape is left to those who know all of
 * the grammar, from the member on that has it. */
#include "wire/jsonscan_internal.h"

/* A number, true, false or null that ends before `end`; NULL: it is looked at closely. */
INLINE const char *skip_simple_scalar(const char *p, const char *end)
{
    if (*p >= 'a') {
        if (end - p > 5 && (memcmp(p, "true", 4) == 0 || memcmp(p, "null", 4) == 0))
            return p + 4;
        return end - p > 5 && memcmp(p, "false", 5) == 0 ? p + 5 : NULL;
    }
    const char *first = p;
    while (is_digit(p, end))
        p++;
    if (p == first || (*first == '0' && p > first + 1))
        return NULL;
    if (p < end && *p == '.') {
        first = ++p;
        while (is_digit(p, end))
            p++;
    }
    return p > first ? p : NULL;
}

/* The special bytes of a text in their order, without regard to where one stands: each
 * is taken off the bits of its window, so that finding one does not wait for what was
 * found before it, and the processor is ahead by several strings. */
struct tape {
    const char *window, *end;
    uint64_t all, left; /* of the window */
};

/* Goes to the next window that has some; false: that is the last one of the text, which
 * is for others. */
INLINE bool tape_fill(struct tape *t)
{
    while (t->left == 0) {
        t->window += WINDOW;
        if (t->end - t->window < WINDOW)
            return false;
        t->left = t->all = special_of_window(t->window);
        if (t->left == 0) /* a long string */
            t->window = jsonscan_plain_windows(t->window + WINDOW, t->end) - WINDOW;
    }
    return true;
}

/* Takes an opening quote and what comes then, which has to be its closing one: behind
 * that, or NULL. */
INLINE const char *tape_string(struct tape *t)
{
    if (!tape_fill(t))
        return NULL;
    t->left &= t->left - 1;
    if (!tape_fill(t))
        return NULL;
    const char *close = t->window + __builtin_ctzll(t->left);
    t->left &= t->left - 1;
    return *close == '"' ? close + 1 : NULL;
}

/* p: at a member's name.  Passes members that are "name":string or "name":scalar without
 * blanks, as many as there are: most of a large message is these.  Behind the value of
 * the last of them, or NULL when the first is of another shape. */
const char *jsonscan_simple_members(struct look *l, const char *p)
{
    const char *end = l->end - WINDOW, *done = NULL;
    if (p - l->window >= WINDOW)
        look_at(l, p);
    struct tape t = { l->window, l->end, l->special, l->special & UINT64_MAX << (p - l->window) };
    while (p < end) {
        p = tape_string(&t);
        if (p == NULL || p >= end || *p != ':')
            break;
        p++;
        p = *p == '"' ? tape_string(&t) : skip_simple_scalar(p, l->end);
        if (p == NULL || p >= end || (*p != ',' && *p != '}'))
            break;
        done = p;
        if (*p == '}' || *++p != '"')
            break;
    }
    if (done != NULL && done >= t.window && t.window <= end) {
        l->window = t.window;
        l->special = t.all;
    } else if (done != NULL) {
        look_at(l, done);
    }
    return done;
}
