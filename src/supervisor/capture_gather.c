/* capture_gather.c - see capture_gather.h.
 *
 * Owns what all streams share: the mover, the list of the streams that are being
 * gathered, which has memory only while there are any, and one timer for them.  A
 * pipe that is found half full after a pause is made larger, so that its job need
 * not wait for us; where the user may have no more of that
 * (fs.pipe-user-pages-soft), it is looked at more often instead. */
#include "supervisor/capture_gather.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "os/logmove.h"
#include "supervisor/capture_put.h"

#define LIST_MAX 64           /* with more at once, each gathers while the others have their turn */
#define BUSY 100              /* microseconds between two wake-ups */
#define PAUSE 400             /* microseconds; nobody waits longer than this for a line */
#define PAUSE_SMALL 100       /* while a pipe could not be made larger */
#define ENOUGH (16 * 1024)    /* bytes that are worth moving at once */
#define LEAST (4 * 1024)      /* less than this in a pause is not that busy */
#define PIPE_HALF (32 * 1024) /* of one as it is born */
#define PIPE_LARGE (256 * 1024)
#define ENLARGED_MAX 64 /* a quarter of what one user may have by default */

struct capture {
    struct loop *loop;
    struct mover *mover;
    struct loop_timer timer;
    usec_t pause;
    struct stream **list;
    size_t n;
    unsigned n_enlarged, n_stalled;
};

static void on_pause(void *arg);

/* -- the list --------------------------------------------------------------- */

static bool list_add(struct capture *c, struct stream *s)
{
    if (c->list == NULL)
        c->list = calloc(LIST_MAX, sizeof(struct stream *));
    if (c->list == NULL || c->n == LIST_MAX)
        return false;
    c->list[c->n++] = s;
    return true;
}

static void list_remove(struct capture *c, const struct stream *s)
{
    size_t i = 0;
    while (i < c->n && c->list[i] != s)
        i++;
    if (i < c->n)
        c->list[i] = c->list[--c->n];
}

static void arm(struct capture *c)
{
    loop_timer_set(c->loop, &c->timer, loop_now(c->loop) + c->pause, on_pause, c);
}

/* -- pauses ----------------------------------------------------------------- */

/* One that has made its pipe large, or may not, is not asked again. */
static void enlarge(struct capture *c, struct stream *s)
{
    if (s->enlarged || c->n_enlarged == ENLARGED_MAX)
        return;
    s->enlarged = true;
    c->n_enlarged++;
    if (fcntl(s->fd, F_GETPIPE_SZ) < PIPE_LARGE && fcntl(s->fd, F_SETPIPE_SZ, PIPE_LARGE) < 0)
        c->pause = PAUSE_SMALL;
}

void gather_note(struct stream *s, size_t moved)
{
    if (s->capture != NULL && moved >= PIPE_HALF)
        enlarge(s->capture, s);
}

static void gather_stop(struct stream *s)
{
    if (s->gathered)
        list_remove(s->capture, s);
    s->gathered = false;
}

static void look(struct capture *c, struct stream *s)
{
    ssize_t n = stream_move(s);
    s->last = (uint32_t)loop_now(c->loop);
    if (n >= LEAST && s->stash == NULL) {
        gather_note(s, (size_t)n);
        return;
    }
    gather_stop(s);
    if (n < 0)
        s->owner->closed(s, s->arg);
    else if (s->stash == NULL)
        stream_listen(s, true);
}

static void on_pause(void *arg)
{
    struct capture *c = arg;
    for (size_t i = c->n; i > 0; i--)
        if (i <= c->n) /* one that ends may have taken others with it */
            look(c, c->list[i - 1]);
    if (c->n > 0) {
        arm(c);
        return;
    }
    c->pause = PAUSE;
    free(TAKE_PTR(c->list));
}

bool gather_begin(struct stream *s)
{
    struct capture *c = s->capture;
    uint32_t now = c != NULL ? (uint32_t)loop_now(c->loop) : 0, before = s->last;
    int waiting = 0;
    s->last = now;
    if (c == NULL || now - before > BUSY || ioctl(s->fd, FIONREAD, &waiting) < 0 || waiting == 0 || waiting >= ENOUGH)
        return false;
    if (!list_add(c, s))
        return false;
    stream_listen(s, false);
    s->gathered = true;
    if (c->n == 1)
        arm(c);
    return true;
}

void gather_end(struct stream *s)
{
    gather_stop(s);
    if (s->enlarged)
        s->capture->n_enlarged--;
    s->enlarged = false;
}

/* -- birth and end ------------------------------------------------------------ */

int capture_new(struct loop *loop, struct mover *mover, struct capture **ret)
{
    struct capture *c = calloc(1, sizeof(*c));
    if (c == NULL)
        return -ENOMEM;
    c->loop = loop;
    c->mover = mover;
    c->pause = PAUSE;
    *ret = c;
    return 0;
}

void capture_free(struct capture *c)
{
    if (c == NULL)
        return;
    loop_timer_clear(&c->timer);
    free(c->list);
    mover_free(c->mover);
    free(c);
}

struct mover *capture_mover(const struct capture *c)
{
    return c != NULL ? c->mover : NULL;
}

void capture_stall(struct capture *c, int by)
{
    c->n_stalled += (unsigned)by;
}

unsigned capture_stalled(const struct capture *c)
{
    return c->n_stalled;
}
