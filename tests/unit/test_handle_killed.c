/* test_handle_killed.c - a descriptor from one process to another, and a supervisor that could have been killed
 * at each single instruction of it: whoever sent it is told once, and only that it has arrived if it has. */
#include "cmocka_all.h"

#include <fcntl.h>

#include "killed_bench.h"

static const char handle[] = "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":{\"a\":1}}\n";

struct seen {
    unsigned before, owed, boxed, passed; /* instants in which it was not yet read; ours alone; kept for us; there */
};

struct play {
    struct watched w;
    size_t full; /* bytes that wait for the receiver already */
    struct seen seen;
    struct channel *out; /* the child's */
};

static void on_handle(struct channel *ch, struct channel_message *m, void *arg)
{
    struct play *p = arg;
    struct iovec part = { (char *)(uintptr_t)handle, sizeof(handle) - 2 };
    (void)ch;
    if (m->fd < 0)
        raise(SIGSTOP);
    else if (channel_send_handle(p->out, &part, 1, m->fd, m->debt, 0) == 0)
        m->fd = -1;
}

static _Noreturn void supervise(struct play *p)
{
    loop_run(watched_begin(&p->w, on_handle, p, &p->out));
    _exit(1);
}

/* How often a word of the protocol is in what the sender has not read yet. */
static unsigned answers(int fd, const char *word)
{
    char text[4096];
    ssize_t size = recv(fd, text, sizeof(text) - 1, MSG_PEEK | MSG_DONTWAIT);
    unsigned n = 0;
    text[size > 0 ? size : 0] = '\0';
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        n++;
    return n;
}

/* Enough is seen when the sender has been told. */
static bool look(void *arg)
{
    struct play *p = arg;
    struct left l;
    left_read(&l, &p->w);
    const struct channel_state *from = &l.from_state;
    unsigned told = answers(p->w.from.peer, NODE_ACK_LINE), told_not = answers(p->w.from.peer, NODE_NACK_LINE);
    bool unread = bytes_at(p->w.from.ours) > 0;
    bool read = from->in.len > 0 || (from->batch == CHANNEL_BATCH_DESK && from->batch_at.looked < l.desk->in.msg_len);
    bool passed = bytes_at(p->w.to.peer) > p->full, boxed = l.to_state.boxes != 0;
    /* who goes on reads the line that is here without its descriptor, and says so */
    assert_int_equal(told + told_not + from->acks + from->nacks + unread + read, 1);
    assert_int_equal(told + from->acks, passed || boxed);
    p->seen.before += unread;
    p->seen.owed += !unread && !passed && !boxed;
    p->seen.boxed += boxed;
    p->seen.passed += passed;
    left_done(&l);
    return told + told_not > 0;
}

static void give(struct play *p, int fd)
{
    struct iovec part = { (char *)(uintptr_t)handle, sizeof(handle) - 1 };
    assert_int_equal(fdio_send(p->w.from.peer, &part, 1, fd, NULL), sizeof(handle) - 1);
}

static void get(int fd, const char *line)
{
    char text[200];
    fcntl(fd, F_SETFL, 0);
    assert_int_equal(recv(fd, text, strlen(line), MSG_WAITALL), strlen(line));
    assert_memory_equal(text, line, strlen(line));
}

/* One that does not matter: what was noted of it must not count for the next.  Then the supervisor stops. */
static void begin(struct play *p, int fd)
{
    static const char last[] = NODE_ACK_LINE "{\"stop\":1}\n";
    give(p, fd);
    get(p->w.to.peer, handle);
    get(p->w.from.peer, NODE_ACK_LINE);
    put_at(p->w.to.peer, last, sizeof(last) - 1);
}

/* Until it takes no more. */
static size_t fill_up(int fd)
{
    static const char junk[1000];
    size_t n = 0;
    while (send(fd, junk, sizeof(junk), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        n += sizeof(junk);
    return n;
}

static struct seen killed_at_each_instruction(bool full)
{
    if (under_valgrind()) /* which has a hundred instructions for each */
        skip();
    struct play p = { .full = 0 };
    int pipe_ends[2];
    watched_open(&p.w, 16000);
    assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0)
        supervise(&p);
    begin(&p, pipe_ends[0]);
    p.full = full ? fill_up(p.w.to.ours) : 0;
    watched_stopped(pid);
    give(&p, pipe_ends[0]);
    watched_step(&p.w, pid, look, &p);
    watched_close(&p.w);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    print_message("instants before %u, owed %u, boxed %u, passed %u\n", p.seen.before, p.seen.owed, p.seen.boxed,
                  p.seen.passed);
    return p.seen;
}

static void straight_on(void **state)
{
    (void)state;
    struct seen seen = killed_at_each_instruction(false);
    assert_true(seen.before > 0 && seen.owed > 0 && seen.passed > 0);
    assert_int_equal(seen.boxed, 0);
}

/* Its receiver takes nothing, so after a moment it is put where it outlives us. */
static void into_a_box(void **state)
{
    (void)state;
    struct seen seen = killed_at_each_instruction(true);
    assert_true(seen.before > 0 && seen.owed > 0 && seen.boxed > 0);
    assert_int_equal(seen.passed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(straight_on),
        cmocka_unit_test(into_a_box),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
