/* test_channel_killed.c - a line from one process to another, and a supervisor that could have been killed
 * at each single instruction of it: whoever goes on after it has the line once. */
#include "cmocka_all.h"

#include <fcntl.h>

#include "killed_bench.h"

enum { LONG = 40000, TURNS_MAX = 8 };

struct seen {
    unsigned before, cut, after, lost; /* instants in which the line was not sent; in part; sent; lost, and counted */
};

struct play {
    struct watched w;
    const char *line; /* as it is to arrive */
    size_t len;
    struct seen seen;
    size_t around;       /* bytes put before what was sent */
    unsigned lines;      /* that matter */
    unsigned messages;   /* of the child's, */
    unsigned turns;      /* and how many have ended since the last one */
    struct channel *out; /* the child's, as all that follows */
    struct loop *loop;
    struct loop_work work;
};

/* -- the supervisor that is watched: all in a child ------------------------------------------ */

/* When all has gone, or there is no room for it. */
static void on_turn_end(void *arg)
{
    struct play *p = arg;
    if (channel_queued(p->out) == 0 || ++p->turns > TURNS_MAX)
        raise(SIGSTOP);
    loop_defer(p->loop, &p->work, on_turn_end, p);
}

/* The first message does not matter: behind it the receiver has a room for a long one, and what
 * comes is read by as much as such messages are. */
static void on_line(struct channel *ch, struct channel_message *m, void *arg)
{
    static char before[4000];
    struct play *p = arg;
    (void)ch;
    memset(before, '<', sizeof(before));
    struct iovec parts[] = { { before, p->around },
                             { (char *)(uintptr_t)m->text, m->len },
                             { (char *)(uintptr_t) ">>", 2 } };
    if (++p->messages == 2)
        raise(SIGSTOP);
    channel_send(p->out, parts, 3, 0, 0);
    if (p->messages == 1 + p->lines)
        loop_defer(p->loop, &p->work, on_turn_end, p);
}

static _Noreturn void supervise(struct play *p)
{
    p->loop = watched_begin(&p->w, on_line, p, &p->out);
    loop_run(p->loop);
    _exit(1);
}

/* -- who could go on after it ------------------------------------------------------------------ */

/* Of many lines the socket has whole ones, and each of the others was not looked at yet or is counted. */
static void look_at_lines(struct play *p, const struct left *l, size_t taken)
{
    uint64_t sent = taken / p->len, passed = l->from_state.counters.received - 1, lost = l->to_state.counters.lost;
    assert_int_equal(taken % p->len + l->to_state.rest_len, 0);
    assert_int_equal(l->to_state.counters.sent, 1 + sent);
    assert_in_range(sent + lost, passed, passed + 1); /* the one at hand may be counted too early */
    p->seen.before += passed < p->lines;
    p->seen.cut += sent > 0 && sent < p->lines;
    p->seen.after += sent == p->lines;
    p->seen.lost += lost > 0;
}

/* What the socket has of the line and what is kept of it are all of it, once. */
static void look_at_line(struct play *p, const struct left *l, size_t taken)
{
    const struct channel_state *from = &l->from_state, *to = &l->to_state;
    _cleanup_free_ char *got = malloc(2 * p->len);
    bool passed = from->batch == CHANNEL_BATCH_NONE || from->batch_at.looked > 0;
    assert_int_equal(from->counters.received, 1 + passed);
    if (!passed || to->counters.lost > 0) { /* it is sent again by whoever goes on, or it was counted */
        assert_int_equal(taken + to->rest_len, 0);
        assert_true(to->counters.lost <= 1);
        p->seen.before += !passed;
        p->seen.lost += passed;
        return;
    }
    assert_int_equal(taken + to->rest_len, p->len);
    assert_int_equal(to->counters.sent, 1 + (to->rest_len == 0));
    assert_int_equal(taken > 0 ? recv(p->w.to.peer, got, taken, MSG_PEEK) : 0, taken);
    memcpy(got + taken, channel_keep_rest_data(l->to, to), to->rest_len);
    assert_memory_equal(got, p->line, p->len);
    p->seen.cut += to->rest_len > 0;
    p->seen.after += to->rest_len == 0;
}

static bool look(void *arg)
{
    struct play *p = arg;
    struct left l;
    left_read(&l, &p->w);
    if (p->lines > 1)
        look_at_lines(p, &l, bytes_at(p->w.to.peer));
    else
        look_at_line(p, &l, bytes_at(p->w.to.peer));
    left_done(&l);
    return false;
}

/* With one call, so that all of them can be read at once. */
static void put_many(int fd, unsigned n, const char *line, size_t len)
{
    _cleanup_free_ char *all = malloc(n * len);
    for (unsigned i = 0; i < n; i++)
        memcpy(all + i * len, line, len);
    put_at(fd, all, n * len);
}

static void get(int fd, char *to, size_t len)
{
    fcntl(fd, F_SETFL, 0);
    assert_int_equal(recv(fd, to, len, MSG_WAITALL), (ssize_t)len);
}

static struct seen killed_at_each_instruction(unsigned lines, size_t size, size_t around, int room)
{
    if (under_valgrind()) /* which has a hundred instructions for each */
        skip();
    struct play p = { .around = around, .lines = lines };
    size_t len = around + size + 2 + 1;
    _cleanup_free_ char *sent = malloc(size + 1), *line = malloc(len), *got = malloc(len);
    for (size_t i = 0; i < size; i++)
        sent[i] = (char)('0' + (i % 9 + i / 1000) % 9 + 1);
    sent[0] = sent[size - 1] = '"';
    sent[size] = '\n';
    memset(line, '<', around);
    memcpy(line + around, sent, size);
    memcpy(line + around + size, ">>\n", 3);
    watched_open(&p.w, room);
    pid_t pid = fork();
    if (pid == 0)
        supervise(&p);
    put_at(p.w.from.peer, sent, size + 1);
    get(p.w.to.peer, got, len);
    assert_memory_equal(got, line, len);
    put_many(p.w.from.peer, lines, sent, size + 1);
    p.line = line;
    p.len = len;
    watched_stopped(pid);
    watched_step(&p.w, pid, look, &p);
    watched_close(&p.w);
    print_message("instants before %u, cut %u, after %u, lost %u\n", p.seen.before, p.seen.cut, p.seen.after,
                  p.seen.lost);
    return p.seen;
}

static void straight_through(void **state)
{
    (void)state;
    struct seen seen = killed_at_each_instruction(1, LONG, 20, 400000);
    assert_true(seen.before > 0 && seen.after > 0);
    assert_int_equal(seen.cut + seen.lost, 0);
}

static void the_socket_takes_a_part(void **state)
{
    (void)state;
    struct seen seen = killed_at_each_instruction(1, LONG, 20, 16000);
    assert_true(seen.before > 0 && seen.cut > 0);
    assert_int_equal(seen.after + seen.lost, 0);
}

/* More is put around it than there is a place for. */
static void by_way_of_its_room(void **state)
{
    (void)state;
    struct seen seen = killed_at_each_instruction(1, LONG, 3000, 400000);
    assert_true(seen.before > 0 && seen.after > 0 && seen.cut > 0 && seen.lost > 0);
}

/* A short one waits for the end of the turn, in memory that dies with us. */
static void by_way_of_its_queue(void **state)
{
    (void)state;
    struct seen seen = killed_at_each_instruction(1, 200, 20, 400000);
    assert_true(seen.before > 0 && seen.after > 0 && seen.lost > 0);
    assert_int_equal(seen.cut, 0);
}

/* As much as several pieces: it goes with one write, since there is room for all of it. */
static void many_at_once(void **state)
{
    (void)state;
    struct seen seen = killed_at_each_instruction(6, 7000, 20, 400000);
    assert_true(seen.before > 0 && seen.after > 0 && seen.lost > 0);
    assert_int_equal(seen.cut, 0);
}

/* There is room for a part of them. */
static void many_by_pieces(void **state)
{
    (void)state;
    struct seen seen = killed_at_each_instruction(15, 7000, 20, 36500);
    assert_true(seen.before > 0 && seen.cut > 0 && seen.lost > 0);
    assert_int_equal(seen.after, 0);
}

/* Once its sender has been gone on with, the note must not hold for what that one sends next. */
static void the_note_ends_with_who_goes_on(void **state)
{
    static const struct channel_owner nobody = { .keys = &keys, .message = on_line, .ended = watched_nothing };
    static const struct ipc_settings settings = { .max_message = 1000, .queue_bytes = 1000, .queue_messages = 10 };
    struct lane l;
    struct loop *loop = NULL;
    int memory = memfd_create("desk", MFD_CLOEXEC);
    (void)state;
    lane_open(&l, 400000);
    assert_int_equal(loop_new(&loop), 0);
    struct channel_desk *d = channel_desk_new(memory);
    for (int i = 0; i < 2; i++) {
        struct channels *hub = NULL;
        struct channel *ch = NULL;
        assert_int_equal(channels_new(loop, dup(memory), &hub), 0);
        assert_int_equal(channel_new(hub, dup(l.ours), dup(l.memory), &settings, &nobody, NULL, &ch), 0);
        assert_int_equal(d->through.sender, 0);
        d->through.sender = channel_id(ch);
        channel_free(ch);
        channels_free(hub);
    }
    channel_desk_free(d, true);
    close(memory);
    lane_close(&l);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(straight_through),
        cmocka_unit_test(the_socket_takes_a_part),
        cmocka_unit_test(by_way_of_its_room),
        cmocka_unit_test(by_way_of_its_queue),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(many_by_pieces),
        cmocka_unit_test(the_note_ends_with_who_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
