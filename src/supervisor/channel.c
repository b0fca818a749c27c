/* channel.c - the life of channels, and the end of a turn for all of them.
 *
 * Owns each channel's descriptor and memory.  A channel that is freed from inside a
 * callback of its own is emptied at once and given back at the end of the turn.
 * What waits without an event of its own (a receiver that does not answer a handle,
 * a kernel that has too many descriptors on the way) is looked at by one timer that
 * only exists while there is such a thing. */
#include "supervisor/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "supervisor/channel_internal.h"
#include "supervisor/kept.h"

#define SLOW (20 * USEC_PER_MSEC)
#define ROOM_KEPT (200 * USEC_PER_MSEC)
#define READ_FIRST (16 * 1024)
#define LAST_WORDS_MAX (8U << 20) /* more than a socket holds: whoever still writes does not keep us here */

static void on_turn_end(void *arg);
static void on_slow(void *arg);
static void on_event(int fd, unsigned what, void *arg);

int channels_new(struct loop *loop, int memory, struct channels **ret)
{
    struct channels *s = calloc(1, sizeof(*s));
    struct channel_desk *desk = channel_desk_new(memory);
    if (s == NULL || desk == NULL) {
        free(s);
        channel_desk_free(desk, memory >= 0);
        return -ENOMEM;
    }
    s->loop = loop;
    s->desk = desk;
    s->memory = memory;
    *ret = s;
    return 0;
}

static void bury(struct channel *ch)
{
    channel_keep_free(ch->keep, ch->mapped ? 0 : -1);
    free(ch);
}

static void empty_graveyard(struct channels *s)
{
    while (s->graveyard != NULL) {
        struct channel *ch = s->graveyard;
        s->graveyard = ch->dirty_next;
        bury(ch);
    }
}

void channels_free(struct channels *s)
{
    if (s == NULL)
        return;
    on_turn_end(s);
    loop_undefer(s->loop, &s->work);
    loop_timer_clear(&s->timer);
    for (unsigned i = 0; i < s->n_spares; i++)
        free(s->spares[i].data);
    channel_desk_free(s->desk, s->memory >= 0);
    cleanup_close(&s->memory);
    free(s);
}

/* -- the end of the turn ------------------------------------------------------ */

void channel_touch(struct channel *ch)
{
    struct channels *s = ch->hub;
    if (ch->is_dirty)
        return;
    ch->is_dirty = true;
    ch->dirty_next = s->dirty;
    s->dirty = ch;
    loop_defer(s->loop, &s->work, on_turn_end, s);
}

static void tell_room(struct channel *ch)
{
    bool room = channel_queued_bytes(ch) <= ch->queue_bytes / 2 && ch->now.queued <= ch->queue_messages / 2;
    room = room && (ch->hub->held <= CHANNEL_HELD_MAX / 2 || channel_queued_bytes(ch) <= CHANNEL_HELD_LEAST / 2);
    if (!ch->wants_room || ch->fd < 0 || !room)
        return;
    ch->wants_room = false;
    if (ch->owner->room != NULL)
        ch->owner->room(ch, ch->arg);
}

/* To make a room costs more than to have it: it is given back when nobody has read or
 * written for a while. */
void channel_trim_later(struct channel *ch)
{
    if (!channel_keep_is_large(ch->keep) && ch->ahead == NULL)
        return;
    ch->trim_at = loop_now(ch->hub->loop) + ROOM_KEPT;
    channel_slow(ch);
}

static void look_at_rooms(struct channel *ch)
{
    if (loop_now(ch->hub->loop) < ch->trim_at) {
        channel_slow(ch);
        return;
    }
    ch->trim_at = 0;
    if (ch->now.in.len == 0)
        free(TAKE_PTR(ch->ahead));
    channel_keep_trim(&ch->keep, ch->memory, &ch->now);
    channel_moved(ch);
}

static void attend(struct channel *ch)
{
    if (ch->fd >= 0 && !ch->paused && frame_has_more(&ch->frame))
        channel_look(ch);
    if (ch->fd >= 0 && !ch->blocked)
        channel_flush(ch);
    if (ch->fd >= 0)
        channel_take_out(ch);
    if (!ch->freed)
        channel_settle(ch);
    if (ch->handles.n > 0)
        channel_look_at_handles(ch);
    if (!ch->freed)
        tell_room(ch);
    if (ch->fd < 0)
        return;
    if (ch->last_words || (ch->closing && (ch->broken || channel_out_is_empty(ch))))
        channel_last_words(ch);
    if (ch->fd >= 0 && ch->trim_at != 0)
        look_at_rooms(ch);
    if (ch->fd >= 0)
        channel_watch(ch);
}

/* What callbacks add while this goes on is for the next turn. */
static void on_turn_end(void *arg)
{
    struct channels *s = arg;
    struct channel *list = TAKE_PTR(s->dirty);
    while (list != NULL) {
        struct channel *ch = list;
        list = ch->dirty_next;
        ch->is_dirty = false;
        if (ch->freed)
            bury(ch);
        else
            attend(ch);
    }
    empty_graveyard(s);
}

static void on_slow(void *arg)
{
    struct channels *s = arg;
    struct channel *list = TAKE_PTR(s->slow);
    s->timer_set = false;
    while (list != NULL) {
        struct channel *ch = list;
        list = ch->slow_next;
        ch->is_slow = false;
        ch->blocked = ch->blocked && !ch->retry_later;
        ch->retry_later = false;
        channel_touch(ch);
    }
}

void channel_slow(struct channel *ch)
{
    struct channels *s = ch->hub;
    if (!ch->is_slow) {
        ch->is_slow = true;
        ch->slow_next = s->slow;
        s->slow = ch;
    }
    if (!s->timer_set)
        s->timer_set = loop_timer_set(s->loop, &s->timer, loop_now(s->loop) + SLOW, on_slow, s) == 0;
}

/* -- events ------------------------------------------------------------------- */

void channel_watch(struct channel *ch)
{
    unsigned what =
        (ch->paused == 0 ? LOOP_READ : 0) | (ch->blocked && !ch->retry_later && !ch->broken ? LOOP_WRITE : 0);
    loop_io_set(ch->hub->loop, &ch->io, ch->fd, what, LOOP_DATA, on_event, ch);
}

static void on_event(int fd, unsigned what, void *arg)
{
    struct channel *ch = arg;
    (void)fd;
    if ((what & LOOP_WRITE) != 0) {
        ch->blocked = false;
        channel_touch(ch);
    }
    if ((what & LOOP_READ) != 0 && ch->paused == 0)
        channel_read(ch);
}

void channel_pause(struct channel *ch, enum channel_reason reason)
{
    if (ch->paused == 0 && ch->fd >= 0)
        channel_touch(ch);
    ch->paused |= (uint8_t)reason;
}

void channel_resume(struct channel *ch, enum channel_reason reason)
{
    if ((ch->paused & reason) == 0)
        return;
    ch->paused &= (uint8_t)~reason;
    if (ch->paused == 0 && ch->fd >= 0)
        channel_touch(ch);
}

/* -- birth and end ------------------------------------------------------------ */

static int grow(struct frame *f, uint32_t size)
{
    struct channel *ch = (struct channel *)((char *)f - offsetof(struct channel, frame));
    int r = channel_keep_grow(&ch->keep, ch->memory, &ch->now, size);
    channel_moved(ch);
    return r;
}

void channel_moved(struct channel *ch)
{
    ch->frame.state = &ch->now.in;
    ch->frame.store = ch->keep->bytes;
    ch->frame.size = ch->keep->in_size;
}

void channel_looked(struct channel *ch)
{
    const struct channel_desk *d = ch->hub->desk;
    if (ch->now.batch == CHANNEL_BATCH_DESK)
        ch->now.batch_at.looked = ch->frame.fresh_len > 0 ? (uint32_t)(ch->frame.fresh - d->batch) : d->in.msg_len;
}

void channel_publish(struct channel *ch)
{
    channel_looked(ch);
    channel_keep_publish(ch->keep, &ch->now);
}

/* What a supervisor before us had read and not looked at. */
static void take_batch(struct channel *ch)
{
    const struct channel_desk *d = ch->hub->desk;
    uint32_t n = d->in.msg_len, looked = ch->now.batch_at.looked;
    if (looked < n)
        frame_feed(&ch->frame, d->batch + looked, n - looked);
    if (frame_hold(&ch->frame) < 0) {
        log_warn("channel: no memory for %u bytes that were read already", n - looked);
        ch->headless = true;
        ch->now.in = (struct frame_state){ .skipping = true };
        ch->frame.fresh_len = 0;
    }
    ch->now.batch = CHANNEL_BATCH_NONE;
}

/* Goes on where a supervisor before us was: what it owed goes first. */
static void resume(struct channel *ch)
{
    ch->broken = !channel_keep_restore(ch->keep, ch->hub->desk, &ch->now);
    if (ch->now.batch == CHANNEL_BATCH_DESK)
        take_batch(ch);
    channel_open_boxes(ch);
    channel_publish(ch);
    if (ch->hub->desk->through.sender == ch->keep->id)
        channel_through_end(ch->hub);
    if (ch->now.unacked)
        channel_wait_for_ack(ch);
    if (ch->broken) /* half a line may be there, and nothing may follow it */
        ch->closing = true;
    channel_touch(ch);
}

int channel_new(struct channels *s, int fd, int memory, const struct ipc_settings *settings,
                const struct channel_owner *owner, void *arg, struct channel **ret)
{
    struct channel *ch = calloc(1, sizeof(*ch));
    struct channel_keep *keep = channel_keep_new(memory);
    if (ch == NULL || keep == NULL) {
        free(ch);
        channel_keep_free(keep, memory);
        return -ENOMEM;
    }
    ch->hub = s;
    ch->owner = owner;
    ch->arg = arg;
    ch->keep = keep;
    ch->fd = fd;
    ch->memory = memory;
    ch->mapped = memory >= 0;
    if (keep->id == 0)
        keep->id = ++s->desk->last_id;
    ch->queue_bytes = settings->queue_bytes;
    ch->queue_messages = settings->queue_messages;
    ch->no_acks = settings->handles == IPC_HANDLES_ANY;
    ch->read_size = READ_FIRST;
    ch->frame = (struct frame){ .grow = grow, .max = (uint32_t)settings->max_message };
    channel_moved(ch);
    socklen_t size = sizeof(ch->socket_size);
    getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &ch->socket_size, &size);
    int r = loop_io_set(s->loop, &ch->io, fd, LOOP_READ, LOOP_DATA, on_event, ch);
    if (r < 0) {
        bury(ch);
        return r;
    }
    if (memory >= 0)
        resume(ch);
    *ret = ch;
    return 0;
}

/* A line without an end is no message. */
static void drop_input(struct channel *ch)
{
    int fd;
    if (ch->now.in.len > 0 || ch->now.in.skipping)
        ch->now.counters.cut++;
    ch->now.in = (struct frame_state){ 0 };
    ch->frame.fresh_len = 0;
    free(TAKE_PTR(ch->ahead));
    while ((fd = frame_stray_fd(&ch->frame)) >= 0)
        close(fd);
}

static void let_go(struct channel *ch, int error)
{
    loop_io_clear(&ch->io);
    kept_close(&ch->fd);
    kept_close(&ch->memory);
    drop_input(ch);
    channel_debts_forget(ch);
    ch->broken = true;
    channel_out_forget(ch, error);
}

void channel_end(struct channel *ch)
{
    if (ch->fd < 0)
        return;
    let_go(ch, -EPIPE);
    if (!ch->freed)
        ch->owner->ended(ch, ch->arg);
}

void channel_free(struct channel *ch)
{
    static const struct channel_owner nobody;
    if (ch == NULL || ch->freed)
        return;
    ch->freed = true;
    ch->owner = &nobody;
    if (ch->fd >= 0)
        let_go(ch, -EPIPE);
    for (struct channel **at = &ch->hub->slow; ch->is_slow && *at != NULL; at = &(*at)->slow_next)
        if (*at == ch) {
            *at = ch->slow_next;
            break;
        }
    if (ch->is_dirty)
        return; /* the end of the turn finds it in its list */
    ch->dirty_next = ch->hub->graveyard;
    ch->hub->graveyard = ch;
    loop_defer(ch->hub->loop, &ch->hub->work, on_turn_end, ch->hub);
}

void channel_disconnect(struct channel *ch)
{
    if (ch->fd < 0 || ch->closing)
        return;
    ch->closing = true;
    channel_touch(ch);
}

void channel_last_words(struct channel *ch)
{
    if (ch->fd < 0)
        return;
    if (!ch->last_words)
        ch->last_left = LAST_WORDS_MAX;
    ch->last_words = true;
    ch->broken = true;
    while (ch->fd >= 0 && ch->paused == 0 && !frame_has_more(&ch->frame)) /* what is left then, when it may be */
        channel_read(ch);
}

bool channel_is_open(const struct channel *ch)
{
    return ch->fd >= 0 && !ch->broken && !ch->closing;
}

uint64_t channel_id(const struct channel *ch)
{
    return ch->keep->id;
}

uint64_t channel_taken_number(const struct channel *ch)
{
    return ch->now.counters.sent + (ch->now.rest_len > 0 && ch->now.rest_is_message);
}

uint64_t channel_next_number(const struct channel *ch)
{
    return channel_taken_number(ch) + ch->now.queued + 1;
}

const struct channel_counters *channel_counters(const struct channel *ch)
{
    return &ch->now.counters;
}

void channel_count_bounce(struct channel *ch)
{
    ch->now.counters.bounced++;
}

void channel_pass(struct channel *ch)
{
    channel_passed(ch->hub);
}

void channel_park(struct channel *ch, bool waits)
{
    ch->now.parked = waits;
    channel_publish(ch);
}
