/* test_frame.c - lines and descriptors out of bytes, however they are cut. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "wire/frame.h"

struct reader {
    struct frame frame; /* first: grow() gets it */
    struct frame_state state;
    bool poor; /* there is no memory */
    char log[4096];
};

static int grow(struct frame *f, uint32_t size)
{
    struct reader *r = (struct reader *)f;
    if (r->poor)
        return -ENOMEM;
    f->store = realloc(f->store, size);
    f->size = size;
    return 0;
}

static void begin(struct reader *r, uint32_t max)
{
    memset(r, 0, sizeof(*r));
    r->frame = (struct frame){ .state = &r->state, .grow = grow, .max = max };
}

static void done(struct reader *r)
{
    free(r->frame.store);
}

static void note(struct reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct reader *r, const char *format, ...)
{
    va_list ap;
    size_t n = strlen(r->log);
    va_start(ap, format);
    vsnprintf(r->log + n, sizeof(r->log) - n, format, ap);
    va_end(ap);
}

static void take_strays(struct reader *r)
{
    int fd;
    while ((fd = frame_stray_fd(&r->frame)) >= 0)
        note(r, "x%d ", fd);
}

/* Lines that begin with H claim a descriptor. */
static void take(struct reader *r)
{
    struct frame_line line;
    enum frame_result got;
    while ((got = frame_next(&r->frame, &line)) != FRAME_MORE) {
        if (got == FRAME_TOO_LONG) {
            note(r, "!%d ", (int)line.len);
            take_strays(r);
            continue;
        }
        note(r, "%.*s", (int)line.len, line.text);
        if (line.len > 0 && line.text[0] == 'H')
            note(r, "=%d", frame_take_fd(&r->frame));
        note(r, " ");
    }
    take_strays(r);
}

static void feed(struct reader *r, const char *data, int fd)
{
    char *copy = strdup(data); /* so that a look behind its end is seen */
    if (fd >= 0)
        assert_true(frame_add_fd(&r->frame, fd));
    frame_feed(&r->frame, copy, strlen(copy));
    take(r);
    free(copy);
}

static void expect(struct reader *r, const char *log)
{
    assert_string_equal(r->log, log);
    r->log[0] = '\0';
}

static void whole_lines(void **state)
{
    struct reader r;
    (void)state;
    begin(&r, 100);
    feed(&r, "one\ntwo\n\nthree\n", -1);
    expect(&r, "one two  three ");
    assert_true(frame_is_empty(&r.frame));
    assert_null(r.frame.store); /* nothing was copied */
    done(&r);
}

/* Every way to cut three lines in three pieces gives the same lines. */
static void every_cut(void **state)
{
    static const char text[] = "first\nsecond line\n3\n";
    size_t n = sizeof(text) - 1;
    (void)state;
    for (size_t i = 0; i <= n; i++)
        for (size_t k = i; k <= n; k++) {
            struct reader r;
            char a[32] = "", b[32] = "", c[32] = "";
            begin(&r, 100);
            memcpy(a, text, i);
            memcpy(b, text + i, k - i);
            memcpy(c, text + k, n - k);
            feed(&r, a, -1);
            feed(&r, b, -1);
            feed(&r, c, -1);
            expect(&r, "first second line 3 ");
            assert_true(frame_is_empty(&r.frame));
            done(&r);
        }
}

static void too_long(void **state)
{
    struct reader r;
    (void)state;
    begin(&r, 5);
    feed(&r, "12345\n123456\nok\n", -1);
    expect(&r, "12345 !6 ok ");
    feed(&r, "1234", -1);
    feed(&r, "5678", -1);
    assert_true(r.state.skipping);
    assert_int_equal(r.state.len, 0); /* what nobody will see takes no memory */
    feed(&r, "9\nok\n", -1);
    expect(&r, "!9 ok ");
    feed(&r, "12345", -1);
    feed(&r, "\n", -1);
    expect(&r, "12345 ");
    done(&r);
}

static void without_memory(void **state)
{
    struct reader r;
    (void)state;
    begin(&r, 100);
    r.poor = true;
    feed(&r, "whole\nhal", -1);
    feed(&r, "f\nwhole\n", -1);
    expect(&r, "whole !4 whole ");
    done(&r);
}

/* As the kernel gives them: a read ends behind the first write that carries one. */
static void descriptors(void **state)
{
    struct reader r;
    (void)state;
    begin(&r, 100);
    feed(&r, "a\nH1\n", 5);
    feed(&r, "c\nH2\n", 6);
    feed(&r, "e\n", -1);
    expect(&r, "a H1=5 c H2=6 e ");
    feed(&r, "H3", 7); /* with the first part of its line */
    feed(&r, "..", -1);
    feed(&r, ".\n", -1);
    expect(&r, "H3...=7 ");
    feed(&r, "H4", -1); /* with a later one */
    feed(&r, "\n", 8);
    expect(&r, "H4=8 ");
    feed(&r, "H5\n", -1); /* too late */
    feed(&r, "x\n", 9);
    expect(&r, "H5=-1 x x9 ");
    feed(&r, "plain", 10); /* a stray one is kept while a line is incomplete, */
    expect(&r, "");
    feed(&r, "\nH6\n", -1); /* and belongs to the next that claims one */
    expect(&r, "plain H6=10 ");
    done(&r);
}

/* One that belonged to a line that nobody saw is not given to the next. */
static void descriptor_of_a_long_line(void **state)
{
    struct reader r;
    (void)state;
    begin(&r, 8);
    feed(&r, "H too lo", 5);
    feed(&r, "ng", -1);
    feed(&r, "\nH2\n", 6);
    expect(&r, "!10 x5 H2=6 ");
    feed(&r, "H much too long\n", 7);
    expect(&r, "!15 x7 ");
    done(&r);
}

static void too_many_descriptors(void **state)
{
    struct reader r;
    (void)state;
    begin(&r, 100);
    for (int i = 0; i < FRAME_FDS_MAX; i++)
        assert_true(frame_add_fd(&r.frame, i));
    assert_false(frame_add_fd(&r.frame, 99));
    feed(&r, "H\n", -1);
    assert_memory_equal(r.log, "H=0 x1 x2 x3 ", 13);
    assert_int_equal(frame_stray_fd(&r.frame), -1);
    done(&r);
}

static void holding(void **state)
{
    struct reader r;
    struct frame_line line;
    char text[] = "one\ntwo\nthree\nfo";
    (void)state;
    begin(&r, 100);
    frame_feed(&r.frame, text, sizeof(text) - 1);
    assert_int_equal(frame_next(&r.frame, &line), FRAME_LINE);
    assert_int_equal(frame_hold(&r.frame), 0);
    memset(text, 'z', sizeof(text)); /* it is no longer needed */
    assert_true(frame_has_more(&r.frame));
    take(&r);
    expect(&r, "two three ");
    assert_false(frame_has_more(&r.frame));
    feed(&r, "ur\n", -1);
    expect(&r, "four ");
    feed(&r, "hello", -1); /* what was known of one line does not hold for the next */
    frame_feed(&r.frame, "!\na\nb\n", 6);
    assert_int_equal(frame_next(&r.frame, &line), FRAME_LINE);
    assert_int_equal(line.len, 6);
    assert_int_equal(frame_hold(&r.frame), 0);
    take(&r);
    expect(&r, "a b ");
    r.poor = true;
    free(r.frame.store);
    r.frame.store = NULL;
    r.frame.size = 0;
    frame_feed(&r.frame, "a\nb\n", 4);
    assert_int_equal(frame_hold(&r.frame), -ENOMEM); /* and goes on as it was */
    take(&r);
    expect(&r, "a b ");
    done(&r);
}

/* What others know of the first line is believed, and of that alone. */
static void passing(void **state)
{
    struct reader r;
    (void)state;
    begin(&r, 100);
    frame_feed(&r.frame, "a\nb\nc\nd", 7);
    frame_pass(&r.frame, 3);
    take(&r);
    expect(&r, "a\nb c ");
    frame_feed(&r.frame, "e\nf\n", 4);
    take(&r);
    expect(&r, "de f ");
    frame_feed(&r.frame, "abc", 3);
    frame_pass(&r.frame, 3);
    take(&r);
    feed(&r, "d\ne\n", -1);
    expect(&r, "abcd e ");
    done(&r);
}

/* The rest of a line that has begun is put where it has to be. */
static void put(struct reader *r, const char *data)
{
    uint32_t size;
    char *at = frame_room(&r->frame, (uint32_t)strlen(data), &size);
    assert_non_null(at);
    assert_true(size >= strlen(data));
    memcpy(at, data, strlen(data));
    frame_filled(&r->frame, (uint32_t)strlen(data));
    take(r);
}

static void in_its_place(void **state)
{
    struct reader r;
    uint32_t size;
    (void)state;
    begin(&r, 12);
    assert_null(frame_room(&r.frame, 1, &size)); /* none has begun */
    feed(&r, "one\ntw", -1);
    put(&r, "o\nthree\nfo");
    expect(&r, "one two three ");
    for (int i = 0; i < 10; i++) /* the place is used again */
        put(&r, "ur\nfo");
    expect(&r, "four four four four four four four four four four ");
    assert_true(r.frame.size < 30);
    put(&r, "ur has grown too long");
    assert_true(r.state.skipping);
    assert_null(frame_room(&r.frame, 1, &size));
    feed(&r, "er\nan", -1);
    put(&r, "d that is too long at once\nfine\nH");
    assert_true(frame_add_fd(&r.frame, 5));
    put(&r, "1\n");
    expect(&r, "!25 !28 fine H1=5 ");
    assert_null(frame_room(&r.frame, 1, &size)); /* that was all */
    feed(&r, "one", -1);
    r.poor = true;
    assert_null(frame_room(&r.frame, 1000, &size));
    feed(&r, "\n", -1);
    done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_lines),
        cmocka_unit_test(every_cut),
        cmocka_unit_test(too_long),
        cmocka_unit_test(without_memory),
        cmocka_unit_test(descriptors),
        cmocka_unit_test(descriptor_of_a_long_line),
        cmocka_unit_test(too_many_descriptors),
        cmocka_unit_test(holding),
        cmocka_unit_test(passing),
        cmocka_unit_test(in_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
