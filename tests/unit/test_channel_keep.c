/* test_channel_keep.c - what a channel must not lose, in memory that outlives its owner. */
#include "cmocka_all.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void fill_in(struct channel_keep *k, uint32_t len)
{
    k->in.start = 0;
    k->in.len = len;
    for (uint32_t i = 0; i < len; i++)
        k->bytes[i] = (char)('a' + i % 26);
}

static void check(const struct channel_keep *k, uint32_t in_len, const char *rest)
{
    assert_int_equal(k->in.len, in_len);
    for (uint32_t i = 0; i < in_len; i++)
        assert_int_equal(k->bytes[i], 'a' + i % 26);
    assert_int_equal(k->rest_len, strlen(rest));
    assert_memory_equal(channel_keep_rest_data(k), rest, strlen(rest));
}

/* Rooms that grow and shrink beside each other, in both kinds of memory. */
static void rooms(int memory)
{
    struct channel_keep *k = channel_keep_new(memory);
    char rest[3001];
    memset(rest, 'r', 3000);
    rest[3000] = '\0';
    assert_non_null(k);
    assert_int_equal(channel_keep_rest(&k, memory, "short", 5), 0);
    assert_int_equal(channel_keep_grow(&k, memory, 10), 0);
    fill_in(k, 10);
    check(k, 10, "short");
    assert_int_equal(channel_keep_grow(&k, memory, 100000), 0);
    fill_in(k, 100000);
    check(k, 100000, "short");
    k->rest_start += 2;
    k->rest_len -= 2;
    assert_int_equal(channel_keep_grow(&k, memory, 300000), 0);
    check(k, 100000, "ort");
    k->rest_len = 0;
    assert_int_equal(channel_keep_rest(&k, memory, rest, 3000), 0);
    check(k, 100000, rest);
    k->in.len = 0;
    channel_keep_trim(&k, memory);
    check(k, 0, rest);
    assert_int_equal(k->in_size, 0);
    k->in.start = 99; /* where it had come to before the last line was taken */
    k->rest_start += k->rest_len;
    k->rest_len = 0;
    channel_keep_trim(&k, memory);
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

static void another_goes_on(void **state)
{
    int memory = new_memory();
    struct channel_keep *k = channel_keep_new(memory);
    (void)state;
    assert_int_equal(channel_keep_grow(&k, memory, 50000), 0);
    fill_in(k, 50000);
    assert_int_equal(channel_keep_rest(&k, memory, "rest", 4), 0);
    k->acks = 3;
    k->counters.received = 7;
    channel_keep_free(k, memory);
    k = channel_keep_new(memory);
    check(k, 50000, "rest");
    assert_true(channel_keep_restore(k));
    check(k, 50000, "rest");
    assert_int_equal(k->acks, 3);
    assert_int_equal(k->counters.received, 7);
    channel_keep_free(k, memory);
    close(memory);
}

/* What was being looked at has gone with who looked. */
static void died_within_a_batch(void **state)
{
    int memory = new_memory();
    struct channel_keep *k = channel_keep_new(memory);
    (void)state;
    assert_int_equal(channel_keep_grow(&k, memory, 10), 0);
    fill_in(k, 10);
    k->batch = CHANNEL_BATCH_WHOLE;
    assert_true(channel_keep_restore(k));
    assert_int_equal(k->in.len, 0); /* its end was there */
    assert_false(k->in.skipping);
    fill_in(k, 10);
    k->batch = CHANNEL_BATCH_READING;
    assert_true(channel_keep_restore(k));
    check(k, 10, ""); /* perhaps it goes on */
    k->batch = CHANNEL_BATCH_CUT;
    assert_true(channel_keep_restore(k));
    assert_int_equal(k->in.len, 0);
    assert_true(k->in.skipping); /* what comes next is the end of a line that nobody has */
    assert_int_equal(k->batch, CHANNEL_BATCH_NONE);
    k->writing = true;
    assert_false(channel_keep_restore(k));
    channel_keep_free(k, memory);
    close(memory);
}

static void nonsense_is_not_believed(void **state)
{
    (void)state;
    for (unsigned field = 0; field < 5; field++) {
        int memory = new_memory();
        struct channel_keep *k = channel_keep_new(memory);
        uint32_t *fields[] = { &k->magic, &k->in_size, &k->rest_size, &k->in.len, &k->rest_start };
        *fields[field] = 1u << 31;
        munmap(k, 4096);
        assert_null(channel_keep_new(memory));
        close(memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rooms_grow_and_shrink),
        cmocka_unit_test(another_goes_on),
        cmocka_unit_test(died_within_a_batch),
        cmocka_unit_test(nonsense_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
