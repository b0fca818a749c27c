/* test_channel_killed.c - a line from one process to another, and a supervisor that could have been killed
 * at each single instruction of it: whoever goes on after it has the line once. */
#include "cmocka_all.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <linux/sockios.h>

#include "channel_bench.h"
#include "supervisor/channel_desk.h"
#include "supervisor/channel_keep.h"

enum { LONG = 40000, STEPS_MAX = 5000000, TURNS_MAX = 8 };

struct lane {
    int ours, peer, memory;
};

struct play {
    struct lane from, to;
    int desk;
    size_t around;       /* bytes put before what was sent */
    unsigned lines;      /* that matter */
    unsigned messages;   /* of the child's, */
    unsigned turns;      /* and how many have ended since the last one */
    struct channel *out; /* the child's, as all that follows */
    struct loop *loop;
    struct loop_work work;
};

static const struct ipc_settings settings = { .max_message = 100000, .queue_bytes = 400000, .queue_messages = 1000 };

static void lane_open(struct lane *l, int room)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
    setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
    *l = (struct lane){ .ours = fds[0], .peer = fds[1], .memory = memfd_create("lane", MFD_CLOEXEC) };
}

static void lane_close(struct lane *l)
{
    close(l->ours);
    close(l->peer);
    close(l->memory);
}

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

static void on_nothing(struct channel *ch, void *arg)
{
    (void)ch;
    (void)arg;
}

static _Noreturn void supervise(struct play *p)
{
    static const struct channel_owner sender = { .keys = &keys, .message = on_line, .ended = on_nothing };
    struct channels *hub;
    struct channel *in;
    if (loop_new(&p->loop) < 0 || channels_new(p->loop, p->desk, &hub) < 0 ||
        channel_new(hub, p->to.ours, p->to.memory, &settings, &sender, p, &p->out) < 0 ||
        channel_new(hub, p->from.ours, p->from.memory, &settings, &sender, p, &in) < 0)
        _exit(1);
    loop_run(p->loop);
    _exit(1);
}

/* -- who could go on after it ------------------------------------------------------------------ */

/* A copy of what is in a memfd at this instant. */
static void *copy_of(int memory)
{
    struct stat st;
    assert_int_equal(fstat(memory, &st), 0);
    void *copy = malloc((size_t)st.st_size);
    assert_non_null(copy);
    assert_int_equal(pread(memory, copy, (size_t)st.st_size, 0), st.st_size);
    return copy;
}

struct seen {
    unsigned before, cut, after, lost; /* instants in which the line was not sent; in part; sent; lost, and counted */
};

/* Of many lines the socket has whole ones, and each of the others was not looked at yet or is counted. */
static void look_at_lines(const struct play *p, const struct channel_state *from, const struct channel_state *to,
                          size_t taken, size_t len, struct seen *seen)
{
    uint64_t sent = taken / len, passed = from->counters.received - 1;
    assert_int_equal(taken % len + to->rest_len, 0);
    assert_int_equal(to->counters.sent, 1 + sent);
    assert_in_range(sent + to->counters.lost, passed, passed + 1); /* the one at hand may be counted too early */
    seen->before += passed < p->lines;
    seen->after += sent == p->lines;
    seen->lost += to->counters.lost > 0;
}

/* What the socket has of the line and what is kept of it are all of it, once. */
static void look(const struct play *p, const char *line, size_t len, struct seen *seen)
{
    struct channel_state from, to;
    _cleanup_free_ struct channel_desk *d = copy_of(p->desk);
    _cleanup_free_ struct channel_keep *sender = copy_of(p->from.memory), *receiver = copy_of(p->to.memory);
    _cleanup_free_ char *got = malloc(2 * len);
    int taken = 0;
    assert_int_equal(ioctl(p->to.peer, SIOCINQ, &taken), 0);
    assert_true(channel_keep_restore(sender, d, &from));
    assert_true(channel_keep_restore(receiver, d, &to));
    if (p->lines > 1) {
        look_at_lines(p, &from, &to, (size_t)taken, len, seen);
        return;
    }
    bool passed = from.batch == CHANNEL_BATCH_NONE || from.batch_at.looked > 0;
    assert_int_equal(from.counters.received, 1 + passed);
    if (!passed || to.counters.lost > 0) { /* it is sent again by whoever goes on, or it was counted */
        assert_int_equal(taken + (int)to.rest_len, 0);
        assert_true(to.counters.lost <= 1);
        seen->before += !passed;
        seen->lost += passed;
        return;
    }
    assert_int_equal((size_t)taken + to.rest_len, len);
    assert_int_equal(to.counters.sent, 1 + (to.rest_len == 0));
    assert_int_equal(taken > 0 ? recv(p->to.peer, got, (size_t)taken, MSG_PEEK) : 0, taken);
    memcpy(got + taken, channel_keep_rest_data(receiver, &to), to.rest_len);
    assert_memory_equal(got, line, len);
    seen->cut += to.rest_len > 0;
    seen->after += to.rest_len == 0;
}

/* All that says what is so; the lines themselves are looked at now and then. */
struct heads {
    char desk[offsetof(struct channel_desk, batch)], from[sizeof(struct channel_keep)], to[sizeof(struct channel_keep)];
};

static void read_heads(const struct play *p, struct heads *h)
{
    assert_int_equal(pread(p->desk, h->desk, sizeof(h->desk), 0), sizeof(h->desk));
    assert_int_equal(pread(p->from.memory, h->from, sizeof(h->from), 0), sizeof(h->from));
    assert_int_equal(pread(p->to.memory, h->to, sizeof(h->to), 0), sizeof(h->to));
}

static void step_through(const struct play *p, pid_t pid, const char *line, size_t len, struct seen *seen)
{
    int status;
    struct heads heads[2];
    memset(&heads[1], 0, sizeof(heads[1]));
    for (unsigned steps = 0; steps < STEPS_MAX; steps++) {
        read_heads(p, &heads[steps % 2]);
        if (steps % 64 == 0 || memcmp(&heads[0], &heads[1], sizeof(heads[0])) != 0)
            look(p, line, len, seen);
        assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, 0), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSTOPPED(status));
        if (WSTOPSIG(status) != SIGTRAP)
            return;
    }
    fail_msg("it has not come to its end");
}

static void put(int fd, const char *line, size_t len)
{
    assert_int_equal(send(fd, line, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* With one call, so that all of them can be read at once. */
static void put_many(int fd, unsigned n, const char *line, size_t len)
{
    _cleanup_free_ char *all = malloc(n * len);
    for (unsigned i = 0; i < n; i++)
        memcpy(all + i * len, line, len);
    put(fd, all, n * len);
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
    struct play p = { .around = around, .lines = lines, .desk = memfd_create("desk", MFD_CLOEXEC) };
    struct seen seen = { 0 };
    size_t len = around + size + 2 + 1;
    _cleanup_free_ char *sent = malloc(size + 1), *line = malloc(len), *got = malloc(len);
    int status;
    for (size_t i = 0; i < size; i++)
        sent[i] = (char)('0' + (i % 9 + i / 1000) % 9 + 1);
    sent[0] = sent[size - 1] = '"';
    sent[size] = '\n';
    memset(line, '<', around);
    memcpy(line + around, sent, size);
    memcpy(line + around + size, ">>\n", 3);
    lane_open(&p.from, 400000);
    lane_open(&p.to, room);
    pid_t pid = fork();
    if (pid == 0) {
        ptrace(PTRACE_TRACEME, 0, NULL, NULL);
        supervise(&p);
    }
    put(p.from.peer, sent, size + 1);
    get(p.to.peer, got, len);
    assert_memory_equal(got, line, len);
    put_many(p.from.peer, lines, sent, size + 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    step_through(&p, pid, line, len, &seen);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    lane_close(&p.from);
    lane_close(&p.to);
    close(p.desk);
    print_message("instants before %u, cut %u, after %u, lost %u\n", seen.before, seen.cut, seen.after, seen.lost);
    return seen;
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
}

/* There is room for a part of them. */
static void many_by_pieces(void **state)
{
    (void)state;
    struct seen seen = killed_at_each_instruction(15, 7000, 20, 36500);
    assert_true(seen.before > 0 && seen.lost > 0);
    assert_int_equal(seen.after, 0);
}

/* Once its sender has been gone on with, the note must not hold for what that one sends next. */
static void the_note_ends_with_who_goes_on(void **state)
{
    static const struct channel_owner nobody = { .keys = &keys, .message = on_line, .ended = on_nothing };
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
