/* jsonscan_ahead.c - see jsonscan_ahead.h.  Pure.
 *
 * The part of a text that takes time is in its containers.  One of them at a time is looked
 * at here, the others only at the end; so is what is between them.  That a value begins
 * where this has seen one begin is not believed: whoever looks at all of the text finds it
 * himself, and goes on from where this came to (swiftly() in jsonscan.c). */
#include "wire/jsonscan_ahead.h"

#include "wire/jsonscan_internal.h"

#define NEAR 1024

bool jsonscan_have_ahead(void)
{
    return jsonscan_have_swift();
}

/* p: at a member of the text.  At the next value that is a container; NULL: there is none yet,
 * or not near.  What is passed here is looked at once more in the end, so it must not be much. */
static const char *next_container(const struct look *l, const char *p)
{
    struct look near = *l;
    if (l->end - p > NEAR)
        near.end = p + NEAR;
    look_at(&near, p);
    for (;;) {
        p = jsonscan_name(&near, p);
        if (p == NULL)
            return NULL;
        int c = next(&near, &p);
        if (c == '{' || c == '[')
            return p;
        p = jsonscan_scalar(&near, p);
        if (p == NULL || next(&near, &p) != ',')
            return NULL;
        p++;
    }
}

static const char *first_container(struct look *l)
{
    const char *p = l->text;
    int c = next(l, &p);
    return c == '[' ? p : c == '{' ? next_container(l, p + 1) : NULL;
}

static const char *container_behind(struct look *l, const char *p)
{
    return next(l, &p) == ',' ? next_container(l, p + 1) : NULL;
}

static const char *begin_ahead(struct look *l, const char *p)
{
    l->ahead->at = (uint32_t)(p - l->text);
    l->ahead->stage = JSONSCAN_AHEAD_IN;
    return jsonscan_swift_begin(l, p);
}

/* As far as it goes; what is there of it has been looked at, or something is wrong. */
static void go_ahead(struct look *l, const char *p)
{
    bool ends;
    while (p != NULL && (p = jsonscan_swift_go_on(l, p, &ends)) != NULL) {
        l->ahead->upto = (uint32_t)(p - l->text);
        if (!ends)
            return;
        p = container_behind(l, p);
        if (p == NULL || l->end - p <= JSONSCAN_BLOCK) {
            l->ahead->stage = JSONSCAN_AHEAD_BEHIND;
            return;
        }
        p = begin_ahead(l, p);
    }
    l->ahead->stage = JSONSCAN_AHEAD_OVER;
}

void jsonscan_ahead(struct jsonscan_ahead *a, const char *text, size_t len)
{
    struct look l = { .text = text, .end = text + len, .window = text, .ahead = a };
    if (a->stage > JSONSCAN_AHEAD_IN || len < JSONSCAN_BLOCK || len > UINT32_MAX || !jsonscan_have_swift())
        return;
    look_at(&l, text);
    if (a->stage == JSONSCAN_AHEAD_IN) {
        go_ahead(&l, text + a->upto);
        return;
    }
    const char *p = first_container(&l);
    go_ahead(&l, p != NULL ? begin_ahead(&l, p) : NULL);
}

/* Blocks with control characters are for others, so there is none where this has been. */
size_t jsonscan_ahead_passed(const struct jsonscan_ahead *a, const char *text)
{
    bool known = a->stage == JSONSCAN_AHEAD_IN || a->stage == JSONSCAN_AHEAD_BEHIND;
    return known && memchr(text, '\n', a->at) == NULL ? a->upto : 0;
}
