/* fuzz_frame.c - bytes and descriptors of a channel, cut in every way, for libFuzzer.
 *
 * The first byte of an input is the longest line.  Of the others 0 is a descriptor,
 * 1 the end of a read, 2 a reader that keeps what is left for later, 3 memory that runs
 * out and 4 memory that is there again; the rest are bytes of lines.  A line that begins
 * with H claims a descriptor.
 *
 * Whatever the cuts, the lines are those that a simple splitter finds, while there is
 * memory; each descriptor comes out once, in the order in which they came; none is left
 * when no line is incomplete. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "wire/frame.h"

enum { FD = 0, CUT = 1, HOLD = 2, POOR = 3, RICH = 4, FIRST_BYTE = 5 };

struct reader {
    struct frame frame; /* first: grow() gets it */
    struct frame_state state;
    const uint8_t *model; /* the bytes of all lines, one behind the other */
    size_t model_len, at;
    int next_fd, expected_fd;
    bool poor, was_poor;
    bool in_place; /* what comes next of a line that has begun is put where it is */
};

static int grow(struct frame *f, uint32_t size)
{
    struct reader *r = (struct reader *)f;
    if (r->poor)
        return -ENOMEM;
    char *store = realloc(f->store, size);
    REQUIRE(store != NULL);
    f->store = store;
    f->size = size;
    return 0;
}

static void came_out(struct reader *r, int fd)
{
    if (fd < 0)
        return;
    REQUIRE(fd == r->expected_fd);
    r->expected_fd++;
}

static void strays(struct reader *r)
{
    int fd;
    while ((fd = frame_stray_fd(&r->frame)) >= 0)
        came_out(r, fd);
    if (frame_is_empty(&r->frame))
        REQUIRE(r->frame.n_fds == 0 && r->expected_fd == r->next_fd);
}

static void check_line(struct reader *r, enum frame_result got, const struct frame_line *line)
{
    const uint8_t *newline = memchr(r->model + r->at, '\n', r->model_len - r->at);
    REQUIRE(newline != NULL);
    size_t len = (size_t)(newline - (r->model + r->at));
    REQUIRE(line->len == len);
    REQUIRE((got == FRAME_LINE) == (len <= r->frame.max) || (r->was_poor && got == FRAME_TOO_LONG));
    if (got == FRAME_LINE)
        REQUIRE(memcmp(line->text, r->model + r->at, len) == 0);
    r->at += len + 1;
}

/* Until all is looked at, or after `most` lines. */
static bool take(struct reader *r, unsigned most)
{
    struct frame_line line;
    enum frame_result got;
    while (most-- > 0 && (got = frame_next(&r->frame, &line)) != FRAME_MORE) {
        check_line(r, got, &line);
        if (got == FRAME_TOO_LONG)
            strays(r);
        else if (line.len > 0 && line.text[0] == 'H')
            came_out(r, frame_take_fd(&r->frame));
    }
    if (frame_has_more(&r->frame))
        return false;
    strays(r);
    return true;
}

/* False: there is no place for it there. */
static bool read_in_place(struct reader *r, const uint8_t *bytes, size_t len)
{
    uint32_t size;
    char *at = frame_room(&r->frame, (uint32_t)len, &size);
    if (at == NULL)
        return false;
    REQUIRE(size >= len);
    memset(at, 'z', size);
    memcpy(at, bytes, len);
    frame_filled(&r->frame, (uint32_t)len);
    while (!take(r, 3))
        continue;
    return true;
}

static void read_one(struct reader *r, const uint8_t *bytes, size_t len, bool hold)
{
    if (r->in_place && read_in_place(r, bytes, len))
        return;
    char *copy = malloc(len + 1); /* so that a look behind its end is seen */
    REQUIRE(copy != NULL);
    char *exact = realloc(copy, len > 0 ? len : 1);
    REQUIRE(exact != NULL);
    memcpy(exact, bytes, len);
    frame_feed(&r->frame, exact, len);
    const char *newline = memchr(exact, '\n', len);
    if (len % 3 > 0) /* somebody knows of some bytes, or of all there are */
        frame_pass(&r->frame, (newline != NULL ? (size_t)(newline - exact) : len) / (len % 3));
    if (hold) {
        take(r, 1);
        if (frame_hold(&r->frame) == 0)
            memset(exact, 'z', len);
    }
    while (!take(r, 3))
        continue;
    free(exact);
}

/* One pass; `step` 0: cut where the input says so, else after so many bytes. */
static void pass(const uint8_t *data, size_t size, uint32_t max, const uint8_t *model, size_t model_len, size_t step,
                 bool in_place)
{
    struct reader r = { .model = model, .model_len = model_len, .in_place = in_place };
    uint8_t *bytes = malloc(size + 1);
    size_t len = 0, i = 0;
    bool hold = false;
    REQUIRE(bytes != NULL);
    r.frame = (struct frame){ .state = &r.state, .grow = grow, .max = max };
    for (; i < size; i++) {
        if (data[i] >= FIRST_BYTE)
            bytes[len++] = data[i];
        else if (data[i] == FD && frame_add_fd(&r.frame, r.next_fd))
            r.next_fd++;
        else if (data[i] == HOLD)
            hold = true;
        r.poor = data[i] == POOR || (r.poor && data[i] != RICH);
        r.was_poor |= r.poor;
        if (step > 0 ? len == step : data[i] == CUT) {
            read_one(&r, bytes, len, hold);
            len = 0;
            hold = false;
        }
    }
    read_one(&r, bytes, len, hold);
    REQUIRE(memchr(model + r.at, '\n', model_len - r.at) == NULL); /* none was left out */
    REQUIRE(r.state.len == model_len - r.at || ((r.was_poor || r.state.skipping) && r.state.len <= max));
    while (r.frame.n_fds > 0)
        came_out(&r, frame_take_fd(&r.frame));
    REQUIRE(r.expected_fd == r.next_fd);
    free(r.frame.store);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint32_t max = data[0] % 32;
    uint8_t *model = malloc(size);
    size_t model_len = 0;
    REQUIRE(model != NULL);
    for (size_t i = 1; i < size; i++)
        if (data[i] >= FIRST_BYTE)
            model[model_len++] = data[i];
    static const size_t steps[] = { 0, 1, 2, 3, 7, SIZE_MAX };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
        for (int in_place = 0; in_place < 2; in_place++)
            pass(data + 1, size - 1, max, model, model_len, steps[i], in_place);
    free(model);
    return 0;
}
