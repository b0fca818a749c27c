/* channel_box.c - descriptors that wait for a receiver, where they outlive us.
 *
 * A receiver that does not take what it is sent must hold up nobody, and its sender is
 * told that a descriptor has arrived only when it cannot be lost any more.  So one that
 * has waited for a moment is put into a box with its message: a socket of which only the
 * end to read from is left, and which the guardian holds.  It stays in the queue, too; the
 * box is opened by who goes on after us.  While a receiver takes none at all, those that
 * come later do not wait for that moment.
 *
 * Which boxes count is part of what the channel keeps, so nothing is delivered out of a
 * box whose message has gone.  Owns the boxes. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/fdio.h"
#include "os/spawn.h"
#include "supervisor/channel_internal.h"
#include "supervisor/kept.h"

#define MOMENT (20 * USEC_PER_MSEC)
#define LINE_MAX_BOXED (128U * 1024) /* longer ones wait with their sender */

/* -- into one ------------------------------------------------------------------------- */

/* What lies before the line. */
struct label {
    uint32_t number; /* in the order of the queue */
};

/* An end to read `line` and the descriptor from, or -1. */
static int pack(struct label label, const char *line, size_t len, int fd)
{
    int ends[2], size = 2 * (int)(sizeof(label) + len);
    struct iovec parts[] = { { &label, sizeof(label) }, { (void *)(uintptr_t)line, len } };
    if (len > LINE_MAX_BOXED || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -1;
    setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    if (fdio_send(ends[0], parts, ELEMENTS(parts), fd, NULL) < 0)
        cleanup_close(&ends[1]);
    close(ends[0]);
    return ends[1] >= 0 ? spawn_raise_fd(ends[1]) : -1;
}

static bool put(struct channel *ch, struct channel_mark *m)
{
    const char *line = ch->out.data + ch->out.head + (m->start - (ch->out_end - ch->out.len));
    unsigned number = (unsigned)__builtin_ctz(~(unsigned)ch->boxes);
    int box = pack((struct label){ ch->now.boxed++ }, line, (size_t)(m->end - m->start), m->fd);
    if (box < 0)
        return false;
    if (kept_put_box(ch->memory, number, box) < 0) {
        close(box);
        return false;
    }
    m->box = box;
    m->box_number = (uint8_t)number;
    ch->boxes |= (uint16_t)(1U << number);
    return true;
}

/* The guardian has it.  That it counts and that its sender is owed one answer less is
 * one thing to whoever goes on after us. */
static void commit(struct channel *ch, struct channel_mark *m)
{
    struct channel_deal *deal = &ch->hub->desk->deal;
    channel_deal_begin(ch, m);
    deal->receiver = ch->keep->id;
    deal->box = m->box_number;
    __atomic_store_n(&deal->done, true, __ATOMIC_RELEASE);
    ch->now.boxes |= (uint16_t)(1U << m->box_number);
    channel_publish(ch);
    channel_debt_release(TAKE_PTR(m->debt));
    __atomic_store_n(&deal->done, false, __ATOMIC_RELEASE);
}

static struct channel_mark *next_owed(struct channel *ch, uint32_t *at)
{
    while (*at < ch->handles.n) {
        struct channel_mark *m = &ch->handles.list[ch->handles.head + (*at)++];
        if (m->debt != NULL)
            return m;
    }
    return NULL;
}

static void box_all(struct channel *ch)
{
    struct channel_mark *m;
    uint32_t at = 0;
    while ((m = next_owed(ch, &at)) != NULL)
        if (m->box < 0 && !put(ch, m))
            break; /* it is tried again */
    bool held = kept_flush() == 0;
    for (at = 0; held && (m = next_owed(ch, &at)) != NULL;)
        if (m->box >= 0)
            commit(ch, m);
}

void channel_look_at_handles(struct channel *ch)
{
    uint32_t at = 0;
    if (ch->fd < 0 || next_owed(ch, &at) == NULL)
        return;
    usec_t now = loop_now(ch->hub->loop);
    if (ch->box_at == 0)
        ch->box_at = now + MOMENT;
    ch->boxes_all = ch->boxes_all || now >= ch->box_at;
    if (ch->boxes_all)
        box_all(ch);
    at = 0;
    if (next_owed(ch, &at) != NULL)
        channel_slow(ch);
}

void channel_box_done(struct channel *ch, struct channel_mark *m)
{
    if (m->box < 0)
        return;
    ch->boxes &= (uint16_t) ~(1U << m->box_number);
    ch->now.boxes &= (uint16_t) ~(1U << m->box_number);
    kept_close(&m->box);
}

/* -- out of one ------------------------------------------------------------------------ */

struct unpacked {
    struct label label;
    char *line; /* malloc'd */
    size_t len;
    int fd, box;
    unsigned number;
};

/* It stays in its box, for whoever goes on after us. */
static bool unpack(struct unpacked *u)
{
    struct fdio_received got = { .n_fds = 0 };
    ssize_t size = recv(u->box, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
    size_t n = size > (ssize_t)sizeof(u->label) ? (size_t)size : 0;
    char *all = n > 0 ? malloc(n) : NULL;
    bool whole = all != NULL && fdio_look(u->box, all, n, &got) == (ssize_t)n && got.n_fds == 1;
    if (whole) {
        memcpy(&u->label, all, sizeof(u->label));
        u->len = n - sizeof(u->label);
        memmove(all, all + sizeof(u->label), u->len);
        u->line = all;
        u->fd = got.fds[0];
        return true;
    }
    while (got.n_fds > 0)
        close(got.fds[--got.n_fds]);
    free(all);
    return false;
}

/* In the order of the queue that they were in; how many there are. */
static unsigned unpack_all(struct channel *ch, struct unpacked list[CHANNEL_HANDLES_MAX])
{
    unsigned n = 0;
    for (unsigned number = 0; number < CHANNEL_HANDLES_MAX; number++) {
        struct unpacked u = { .box = -1, .number = number };
        if ((ch->now.boxes & 1U << number) == 0)
            continue;
        u.box = kept_take_box(ch->memory, number);
        if (u.box < 0 || !unpack(&u)) {
            ch->now.boxes &= (uint16_t) ~(1U << number);
            ch->now.counters.handles_lost++;
            kept_close(&u.box);
            continue;
        }
        unsigned at = n++;
        for (; at > 0 && list[at - 1].label.number > u.label.number; at--)
            list[at] = list[at - 1];
        list[at] = u;
    }
    return n;
}

static void drop(struct channel *ch, struct channel_mark *m)
{
    close(m->fd);
    channel_box_done(ch, m);
    ch->now.counters.handles_lost++;
}

void channel_open_boxes(struct channel *ch)
{
    struct unpacked list[CHANNEL_HANDLES_MAX];
    unsigned n = ch->now.boxes != 0 ? unpack_all(ch, list) : 0;
    ch->boxes = ch->now.boxes;
    for (unsigned i = 0; i < n; i++) {
        struct unpacked *u = &list[i];
        struct channel_mark m = { .start = ch->out_end,
                                  .end = ch->out_end + u->len,
                                  .fd = u->fd,
                                  .box = u->box,
                                  .box_number = (uint8_t)u->number };
        if (channel_bytes_reserve(ch->hub, &ch->out, u->len) == 0 && channel_marks_add(&ch->handles, m) == 0)
            channel_append_handle(ch, &(struct iovec){ u->line, u->len - 1 }, 1); /* it adds the newline */
        else
            drop(ch, &m);
        free(u->line);
    }
}
