/* test_channel_keep.c - what a channel must not lose, in memory that outlives its owner. */
#include "cmocka_all.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "supervisor/channel_keep.h"

static int new_memory(void)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static off_t size_of(int memory)
{
    struct stat st;
    assert_int_equal(fstat(memory, &st), 0);
    return st.st_size;
}

static struct channel_state now;

static void fill_in(struct channel_keep *k, uint32_t len)
{
    now.in.start = 0;
    now.in.len = len;
    for (uint32_t i = 0; i < len; i++)
        k->bytes[i] = (char)('a' + i % 26);
    channel_keep_publish(k, &now);
}

static void check(const struct channel_keep *k, uint32_t in_len, const char *rest)
{
    assert_int_equal(now.in.len, in_len);
    for (uint32_t i = 0; i < in_len; i++)
        assert_int_equal(k->bytes[now.in.start + i], 'a' + i % 26);
    assert_int_equal(now.rest_len, strlen(rest));
    assert_memory_equal(channel_keep_rest_data(k, &now), rest, strlen(rest));
}

/* Rooms that grow and shrink beside each other, in both kinds of memory. */
static void rooms(int memory)
{
    struct channel_keep *k = channel_keep_new(memory);
    char rest[3001];
    memset(rest, 'r', 3000);
    rest[3000] = '\0';
    assert_non_null(k);
    now = (struct channel_state){ .batch = CHANNEL_BATCH_NONE };
    assert_int_equal(channel_keep_rest(&k, memory, &now, "short", 5), 0);
    assert_int_equal(channel_keep_grow(&k, memory, &now, 10), 0);
    fill_in(k, 10);
    check(k, 10, "short");
    assert_int_equal(channel_keep_grow(&k, memory, &now, 100000), 0);
    fill_in(k, 100000);
    check(k, 100000, "short");
    now.rest_start += 2;
    now.rest_len -= 2;
    assert_int_equal(channel_keep_grow(&k, memory, &now, 300000), 0);
    check(k, 100000, "ort");
    now.rest_len = 0;
    assert_int_equal(channel_keep_rest(&k, memory, &now, rest, 3000), 0);
    check(k, 100000, rest);
    now.in.len = 0;
    channel_keep_trim(&k, memory, &now);
    check(k, 0, rest);
    now.in.start = 99; /* where it had come to before the last line was taken */
    now.rest_start += now.rest_len;
    now.rest_len = 0;
    channel_keep_trim(&k, memory, &now);
    assert_int_equal(k->in_size, 0);
    assert_int_equal(k->rest_size, 0);
    if (memory >= 0)
        assert_true(size_of(memory) <= 4096); /* it was given back */
    channel_keep_free(k, memory);
    if (memory >= 0) {
        k = channel_keep_new(memory);
        assert_non_null(k); /* it makes sense to the next one */
        channel_keep_free(k, memory);
    }
}

static void rooms_grow_and_shrink(void **state)
{
    int memory = new_memory();
    (void)state;
    rooms(-1);
    rooms(memory);
    close(memory);
}

/* Who is killed between the copy of a room and the note of where it is now has lost nothing. */
static void killed_while_a_room_grows(void **state)
{
    int memory = new_memory();
    struct channel_keep *k = channel_keep_new(memory);
    char rest[2001];
    (void)state;
    memset(rest, 'r', 2000);
    rest[2000] = '\0';
    now = (struct channel_state){ .batch = CHANNEL_BATCH_NONE };
    assert_int_equal(channel_keep_rest(&k, memory, &now, rest, 2000), 0);
    channel_keep_publish(k, &now);
    assert_int_equal(channel_keep_grow(&k, memory, &now, 100), 0);
    check(k, 0, rest);
    k->in_size = 0; /* as if that had not been written any more */
    check(k, 0, rest);
    channel_keep_free(k, memory);
    close(memory);
}

static void another_goes_on(void **state)
{
    int memory = new_memory();
    struct channel_keep *k = channel_keep_new(memory);
    struct channel_desk *d = channel_desk_new(-1);
    (void)state;
    now = (struct channel_state){ .acks = 3, .queued = 5, .parked = true, .counters = { .received = 7 } };
    assert_int_equal(channel_keep_grow(&k, memory, &now, 50000), 0);
    fill_in(k, 50000);
    assert_int_equal(channel_keep_rest(&k, memory, &now, "rest", 4), 0);
    channel_keep_publish(k, &now);
    now.acks = 4; /* not published */
    now.counters.received = 8;
    channel_keep_free(k, memory);
    k = channel_keep_new(memory);
    assert_true(channel_keep_restore(k, d, &now));
    check(k, 50000, "rest");
    assert_int_equal(now.acks, 3);
    assert_int_equal(now.queued, 0);
    assert_int_equal(now.counters.received, 7);
    assert_int_equal(now.counters.lost, 6);
    channel_keep_free(k, memory);
    channel_desk_free(d, false);
    close(memory);
}

/* A line is counted in the instant in which it is done with: never without, never twice. */
static void messages_of_a_batch_are_counted_once(void **state)
{
    struct channel_keep *k = channel_keep_new(-1);
    struct channel_desk *d = channel_desk_new(-1);
    (void)state;
    now = (struct channel_state){ .batch = CHANNEL_BATCH_DESK, .counters = { .received = UINT32_MAX } };
    channel_keep_publish(k, &now);
    for (uint32_t i = 1; i <= 3; i++) {
        now.batch_at.looked = 10 * i;
        now.counters.received++;
        channel_keep_looked(k, &now);
    }
    now.counters.received++; /* and its supervisor is killed */
    assert_true(channel_keep_restore(k, d, &now));
    assert_int_equal(now.batch_at.looked, 30);
    assert_int_equal(now.counters.received, (uint64_t)UINT32_MAX + 3);
    channel_keep_publish(k, &now);
    assert_true(channel_keep_restore(k, d, &now));
    assert_int_equal(now.counters.received, (uint64_t)UINT32_MAX + 3);
    channel_keep_free(k, -1);
    channel_desk_free(d, false);
}

/* What was read into its place is there, though nobody has noted it any more. */
static void died_within_a_read(void **state)
{
    struct channel_desk *d = channel_desk_new(-1);
    (void)state;
    for (uint32_t n = 0; n < 100000; n += 33333) {
        struct channel_keep *k = channel_keep_new(-1);
        now = (struct channel_state){ .batch = CHANNEL_BATCH_IN };
        assert_int_equal(channel_keep_grow(&k, -1, &now, 90000), 0);
        fill_in(k, 50000);
        uint32_t room = k->in_size - 50000;
        d->in.msg_len = n;
        assert_true(channel_keep_restore(k, d, &now));
        assert_int_equal(now.batch, CHANNEL_BATCH_NONE);
        assert_int_equal(now.in.len, 50000 + (n < room ? n : room));
        channel_keep_free(k, -1);
    }
    channel_desk_free(d, false);
}

/* The kernel had taken so much of a write when its writer was killed. */
static void died_within_a_write(void **state)
{
    static const struct {
        uint32_t taken, rest, acks, nacks, queued, sent, lost;
        bool unacked, whole;
    } cases[] = {
        { 0, 4, 3, 1, 5, 0, 5, false, true },  /* it was not made */
        { 3, 1, 3, 1, 5, 0, 5, false, true },  /* cut within the rest */
        { 4, 0, 3, 1, 5, 1, 5, false, true },  /* ... behind it */
        { 90, 0, 1, 0, 2, 4, 2, true, true },  /* all of it */
        { 50, 0, 1, 0, 2, 4, 2, true, false }, /* nobody knows where */
    };
    struct channel_desk *d = channel_desk_new(-1);
    (void)state;
    for (unsigned i = 0; i < ELEMENTS(cases); i++) {
        struct channel_keep *k = channel_keep_new(-1);
        now = (struct channel_state){ .acks = 3,
                                      .nacks = 1,
                                      .queued = 5,
                                      .rest_is_message = true,
                                      .boxes = 0x106,
                                      .write = {
                                          .len = 90, .messages = 3, .acks = 2, .nacks = 1, .handle = true, .box = 3 } };
        assert_int_equal(channel_keep_rest(&k, -1, &now, "rest", 4), 0);
        channel_keep_publish(k, &now);
        d->out.msg_len = cases[i].taken;
        assert_int_equal(channel_keep_restore(k, d, &now), cases[i].whole);
        assert_int_equal(now.rest_len, cases[i].rest);
        assert_int_equal(now.acks, cases[i].acks);
        assert_int_equal(now.nacks, cases[i].nacks);
        assert_int_equal(now.unacked, cases[i].unacked);
        assert_int_equal(now.boxes, cases[i].unacked ? 0x102 : 0x106);
        assert_int_equal(now.counters.sent, cases[i].sent);
        assert_int_equal(now.counters.lost, cases[i].lost);
        channel_keep_free(k, -1);
    }
    channel_desk_free(d, false);
}

/* A long line, which the kernel takes a part of. */
static void died_within_a_long_line(void **state)
{
    static const struct {
        uint32_t taken, rest, queued, sent, handles_sent;
        uint16_t boxes;
        bool unacked;
    } cases[] = {
        { 0, 0, 2, 0, 0, 3, false },
        { 1, 2999, 1, 0, 1, 2, true },
        { 2999, 1, 1, 0, 1, 2, true },
        { 3000, 0, 1, 1, 1, 2, true },
    };
    struct channel_desk *d = channel_desk_new(-1);
    char line[3000];
    (void)state;
    for (unsigned i = 0; i < sizeof(line); i++)
        line[i] = (char)('a' + i % 26);
    for (unsigned i = 0; i < ELEMENTS(cases); i++) {
        struct channel_keep *k = channel_keep_new(-1);
        now = (struct channel_state){ .queued = 2, .handles = 1, .boxes = 3 };
        now.write = (struct channel_write){ .len = 3000, .messages = 1, .whole = true, .handle = true, .box = 1 };
        assert_int_equal(channel_keep_rest(&k, -1, &now, line, sizeof(line)), 0);
        now.rest_len = 0; /* it is there, and none of it has gone */
        channel_keep_publish(k, &now);
        d->out.msg_len = cases[i].taken;
        assert_true(channel_keep_restore(k, d, &now));
        assert_int_equal(now.rest_len, cases[i].rest);
        assert_memory_equal(channel_keep_rest_data(k, &now), line + cases[i].taken, cases[i].rest);
        assert_int_equal(now.counters.lost, cases[i].queued - (cases[i].taken == 0));
        assert_int_equal(now.counters.sent, cases[i].sent);
        assert_int_equal(now.counters.handles_sent, cases[i].handles_sent);
        assert_int_equal(now.boxes, cases[i].boxes);
        assert_int_equal(now.unacked, cases[i].unacked);
        channel_keep_free(k, -1);
    }
    channel_desk_free(d, false);
}

/* A descriptor that changes hands: its sender is owed nothing more, or is told that it is gone. */
static void died_while_a_descriptor_went(void **state)
{
    static const struct {
        const char *what;
        struct channel_deal deal;
        uint32_t taken, owed, acks, nacks, settled;
        uint16_t boxes;
    } cases[] = {
        { "nothing was under way", { 0 }, 0, 2, 0, 2, 7, 2 },
        { "not written", { .sender = 5, .settled = 8 }, 0, 2, 0, 2, 7, 2 },
        { "written", { .sender = 5, .settled = 8 }, 1, 2, 1, 1, 8, 2 },
        { "written, and published", { .sender = 5, .settled = 7 }, 1, 2, 0, 2, 7, 2 },
        { "of somebody else", { .sender = 6, .settled = 8 }, 1, 2, 0, 2, 7, 2 },
        { "that is owed to others as well", { .sender = 5 }, 1, 2, 0, 2, 7, 2 },
        { "not in its box yet", { .sender = 5, .settled = 8, .receiver = 9 }, 1, 2, 0, 2, 7, 2 },
        { "in its box", { .sender = 5, .settled = 8, .receiver = 9, .done = true }, 0, 2, 1, 1, 8, 2 },
        { "in a box of its own",
          { .sender = 6, .settled = 8, .receiver = 5, .box = 3, .done = true },
          0,
          0,
          0,
          0,
          7,
          10 },
        { "in a box that is none", { .receiver = 5, .box = 99, .done = true }, 0, 0, 0, 0, 7, 2 },
    };
    struct channel_desk *d = channel_desk_new(-1);
    (void)state;
    for (unsigned i = 0; i < ELEMENTS(cases); i++) {
        struct channel_keep *k = channel_keep_new(-1);
        print_message("%s\n", cases[i].what);
        now = (struct channel_state){ .owed = cases[i].owed, .settled = 7, .boxes = 2, .queued = 4, .handles = 3 };
        k->id = 5;
        channel_keep_publish(k, &now);
        d->deal = cases[i].deal;
        d->out.msg_len = cases[i].taken;
        assert_true(channel_keep_restore(k, d, &now));
        assert_int_equal(now.acks, cases[i].acks);
        assert_int_equal(now.nacks, cases[i].nacks);
        assert_int_equal(now.counters.handles_lost, cases[i].nacks);
        assert_int_equal(now.settled, cases[i].settled);
        assert_int_equal(now.boxes, cases[i].boxes);
        assert_int_equal(now.owed, 0);
        assert_int_equal(now.counters.lost, 1); /* of those with a descriptor none is */
        channel_keep_free(k, -1);
    }
    channel_desk_free(d, false);
}

static void the_desk_is_found_again(void **state)
{
    int memory = new_memory();
    struct channel_desk *d = channel_desk_new(memory);
    (void)state;
    assert_int_equal(d->in.msg_len, 0);
    d->in.msg_len = 5;
    memcpy(d->batch, "batch", 5);
    channel_desk_free(d, true);
    d = channel_desk_new(memory);
    assert_int_equal(d->in.msg_len, 5);
    assert_memory_equal(d->batch, "batch", 5);
    d->in.msg_len = sizeof(d->batch) + 1; /* nonsense */
    channel_desk_free(d, true);
    d = channel_desk_new(memory);
    assert_int_equal(d->in.msg_len, 0);
    channel_desk_free(d, true);
    close(memory);
}

static void nonsense_is_not_believed(void **state)
{
    (void)state;
    for (unsigned field = 0; field < 6; field++) {
        int memory = new_memory();
        struct channel_keep *k = channel_keep_new(memory);
        struct channel_state *s = &k->states[k->current];
        uint32_t *fields[] = { &k->magic, &k->in_size, &k->rest_size, &s->in.len, &s->rest_start, &k->current };
        *fields[field] = 1u << 31;
        munmap(k, 4096);
        assert_null(channel_keep_new(memory));
        close(memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rooms_grow_and_shrink),   cmocka_unit_test(killed_while_a_room_grows),
        cmocka_unit_test(another_goes_on),         cmocka_unit_test(messages_of_a_batch_are_counted_once),
        cmocka_unit_test(died_within_a_read),      cmocka_unit_test(died_within_a_write),
        cmocka_unit_test(died_within_a_long_line), cmocka_unit_test(died_while_a_descriptor_went),
        cmocka_unit_test(the_desk_is_found_again), cmocka_unit_test(nonsense_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
