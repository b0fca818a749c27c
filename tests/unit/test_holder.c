/* Both ends of the pair between supervisor and guardian, in one process: what is put arrives, nothing is lost when the
 * other end is slow, and nonsense changes nothing. */
#include "cmocka_all.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guardian/mail.h"
#include "guardian/message.h"

static struct guardian g;
static struct holder h;

static int set_up(void **state)
{
    (void)state;
    int pair[2];
    memset(&g, 0, sizeof(g));
    memset(&h, 0, sizeof(h));
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &(int){ 1 }, sizeof(int));
    g.socket = pair[0];
    g.supervisor = getpid();
    g.let_go = -1;
    g.manager = SDNOTIFY_INIT;
    h.fd = pair[1];
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < g.roll.n_held; i++)
        close(g.roll.fds[i]);
    cleanup_close(&g.socket);
    cleanup_close(&h.fd);
    sdnotify_close(&g.manager);
    holder_done(&h);
    return 0;
}

static void receive_all(void)
{
    while (mail_receive(&g))
        continue;
}

static int count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static bool same_file(int a, int b)
{
    struct stat x, y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int held(const char *name)
{
    return roll_held(&g.roll, roll_name(name));
}

/* -- descriptors ------------------------------------------------------------------ */

static void test_what_is_put_is_held(void **state)
{
    (void)state;
    int a[2], b[2];
    assert_int_equal(pipe(a) | pipe(b), 0);
    assert_int_equal(holder_put(&h, "a", a[0]), 0);
    assert_int_equal(holder_put(&h, "b", b[0]), 0);
    assert_int_equal(holder_put(&h, "too long a name", b[0]), -EINVAL);
    assert_int_equal(holder_flush(&h), 0);
    receive_all();
    assert_true(same_file(held("a"), a[0]) && same_file(held("b"), b[0]));
    assert_true((fcntl(held("a"), F_GETFD) & FD_CLOEXEC) != 0);
    assert_true(held("a") >= 256);

    int descriptors = count_descriptors();
    assert_int_equal(holder_put(&h, "a", b[0]), 0);
    assert_int_equal(holder_drop(&h, "b"), 0);
    assert_int_equal(holder_flush(&h), 0);
    receive_all();
    assert_true(same_file(held("a"), b[0]));
    assert_int_equal(held("b"), -1);
    assert_int_equal(count_descriptors(), descriptors - 1);
    close(a[0]), close(a[1]), close(b[0]), close(b[1]);
}

static void test_the_last_word_about_a_name_counts(void **state)
{
    (void)state;
    assert_int_equal(holder_put(&h, "a", 0), 0);
    assert_int_equal(holder_put(&h, "b", 0), 0);
    assert_int_equal(holder_drop(&h, "a"), 0);
    assert_int_equal(h.n, 2);
    assert_int_equal(holder_flush(&h), 0);
    receive_all();
    assert_int_equal(held("a"), -1);
    assert_int_not_equal(held("b"), -1);
}

static void test_more_than_a_message_holds(void **state)
{
    (void)state;
    char name[16];
    for (int i = 0; i < 600; i++) {
        snprintf(name, sizeof(name), "o%d", i);
        assert_int_equal(holder_put(&h, name, 0), 0);
    }
    assert_int_equal(holder_flush(&h), 0);
    receive_all();
    assert_int_equal(g.roll.n_held, 600);
}

static void test_a_descriptor_that_was_closed_spoils_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(holder_put(&h, "a", 0), 0);
    assert_int_equal(holder_put(&h, "gone", 99999), 0);
    assert_int_equal(holder_put(&h, "c", 0), 0);
    assert_int_equal(holder_flush(&h), 0);
    receive_all();
    assert_int_equal(g.roll.n_held, 2);
    assert_int_equal(held("gone"), -1);
    assert_int_equal(h.n, 0);
}

/* The guardian is stopped: the queue is kept, and arrives whole and in order. */
static void test_nothing_is_lost_when_the_guardian_is_behind(void **state)
{
    (void)state;
    char name[16];
    int n = 0, r = 0;
    while (r == 0 && n < 100000) {
        snprintf(name, sizeof(name), "o%d", n++);
        assert_int_equal(holder_put(&h, name, 0), 0);
        r = holder_flush(&h);
    }
    assert_int_equal(r, -EAGAIN);
    assert_int_equal(holder_drop(&h, "o0"), 0);
    assert_int_equal(holder_hello(&h), -EAGAIN);
    assert_false(g.hello);
    while (holder_flush(&h) == -EAGAIN)
        assert_true(mail_receive(&g));
    receive_all();
    assert_true(g.hello);
    assert_int_equal(g.roll.n_held, n - 1);
    assert_int_equal(held("o0"), -1);
}

static void test_a_guardian_that_is_gone(void **state)
{
    (void)state;
    cleanup_close(&g.socket);
    assert_int_equal(holder_put(&h, "a", 0), 0);
    assert_int_equal(holder_flush(&h), -EPIPE);
    assert_int_equal(h.n, 0);
    const struct holder_events none = { 0 };
    assert_int_equal(holder_receive(&h, &none), -EPIPE);
}

/* -- what is not as it should be --------------------------------------------------- */

static void send_raw(const void *data, size_t len, size_t n_fds)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(253 * sizeof(int))] = { 0 };
    struct msghdr m = { .msg_iov = &(struct iovec){ (void *)(uintptr_t)data, len }, .msg_iovlen = 1 };
    if (n_fds > 0) {
        m.msg_control = control;
        m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        *c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
                               .cmsg_type = SCM_RIGHTS,
                               .cmsg_len = CMSG_LEN(n_fds * sizeof(int)) };
        memset(CMSG_DATA(c), 0, n_fds * sizeof(int)); /* descriptor 0 */
    }
    assert_true(sendmsg(h.fd, &m, MSG_NOSIGNAL) >= 0);
}

static void test_wrong_numbers_of_descriptors(void **state)
{
    (void)state;
    const struct message_op two[2] = { { .kind = MESSAGE_PUT, .value = 'a' }, { .kind = MESSAGE_PUT, .value = 'b' } };
    int before = count_descriptors();
    for (size_t n = 0; n <= 253; n += n < 5 ? 1 : 124) {
        send_raw(two, sizeof(two), n);
        receive_all();
        assert_int_equal(g.roll.n_held, n == 2 ? 2 : 0);
        assert_int_equal(count_descriptors(), n == 2 ? before + 2 : before);
        for (unsigned i = 0; i < 2 && n == 2; i++)
            close(roll_drop(&g.roll, two[i].value));
    }
    send_raw(two, sizeof(two) - 1, 2);
    send_raw(two, 1, 1);
    send_raw(two, 0, 1);
    receive_all();
    assert_int_equal(g.roll.n_held, 0);
    assert_int_equal(count_descriptors(), before);
    assert_true(g.socket >= 0); /* an empty message is not the end */
}

static void test_garbage_changes_nothing(void **state)
{
    (void)state;
    static _Alignas(8) unsigned char bytes[16384];
    int before = count_descriptors();
    srand(2);
    for (int i = 0; i < 3000; i++) {
        for (size_t k = 0; k < sizeof(bytes); k++)
            bytes[k] = (unsigned char)rand();
        uint32_t strange = MESSAGE_REFUSED + 1 + (uint32_t)rand() % 1000;
        if (i % 2 == 0)
            memcpy(bytes, &strange, sizeof(strange));
        send_raw(bytes, (size_t)rand() % sizeof(bytes), (size_t)rand() % 4);
        receive_all();
    }
    assert_int_equal(g.roll.n_held + g.roll.n_born, 0);
    assert_false(g.bye || g.settled || g.to_background || g.hello);
    assert_int_equal(count_descriptors(), before);
}

static char refused[16];

static void on_refused(const char *name, void *arg)
{
    (void)arg;
    snprintf(refused, sizeof(refused), "%s", name);
}

static void test_a_table_that_is_full(void **state)
{
    (void)state;
    int before;
    for (unsigned i = 0; i < ROLL_HELD_MAX; i++)
        assert_int_equal(roll_hold(&g.roll, i + 1000000, -1, &before), 0);
    int descriptors = count_descriptors();
    assert_int_equal(holder_put(&h, "more", 0), 0);
    assert_int_equal(holder_flush(&h), 0);
    receive_all();
    assert_int_equal(count_descriptors(), descriptors);
    g.roll.n_held = 0; /* nothing to close */
    const struct holder_events e = { .refused = on_refused };
    assert_int_equal(holder_receive(&h, &e), 0);
    assert_string_equal(refused, "more");
}

static void note_refused(const char *name, void *arg)
{
    char *names = arg;
    names[strlen(names)] = name[0]; /* they have one letter each */
}

/* What there are descriptors for is held, and the supervisor hears of the rest; what else was said is done. */
static void test_descriptors_run_out(void **state)
{
    (void)state;
    char names[16] = "";
    struct rlimit before;
    int none, one = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(roll_hold(&g.roll, roll_name("x"), dup(one), &none), 0);
    const char *const put[] = { "a", "b", "c", "d" };
    for (size_t i = 0; i < ELEMENTS(put); i++)
        assert_int_equal(holder_put(&h, put[i], one), 0);
    assert_int_equal(holder_drop(&h, "x"), 0);
    assert_int_equal(holder_flush(&h), 0);
    int lowest = dup(one);
    close(lowest);
    getrlimit(RLIMIT_NOFILE, &before);
    const struct rlimit low = { .rlim_cur = (rlim_t)lowest + 2, .rlim_max = before.rlim_max };
    setrlimit(RLIMIT_NOFILE, &low);
    receive_all();
    setrlimit(RLIMIT_NOFILE, &before);
    assert_true(held("a") >= 0);
    assert_int_equal(held("x"), -1);
    const struct holder_events e = { .refused = note_refused, .arg = names };
    assert_int_equal(holder_receive(&h, &e), 0);
    assert_int_equal(strlen(names) + g.roll.n_held, ELEMENTS(put));
    assert_string_equal(names, &"abcd"[g.roll.n_held]);
    assert_in_range(g.roll.n_held, 1, 2);
    close(one);
}

/* -- children ------------------------------------------------------------------------ */

static int in_child(const struct message_op *op, size_t n_fds)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        send_raw(op, sizeof(*op), n_fds);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    return pid;
}

static void test_a_child_may_say_one_thing(void **state)
{
    (void)state;
    unsigned char bytes[HOLDER_BORN_SIZE];
    struct message_op op;
    holder_born(77, bytes);
    memcpy(&op, bytes, sizeof(op));
    int pid = in_child(&op, 0);
    receive_all();
    assert_int_equal(g.roll.n_born, 1);
    assert_int_equal(g.roll.born[0].pid, pid);
    assert_int_equal(g.roll.born[0].tag, 77);
    for (uint32_t kind = 0; kind < MESSAGE_REFUSED + 3; kind++) {
        op = (struct message_op){ .kind = kind, .number = pid, .value = kind == MESSAGE_BORN ? 0 : 77 };
        in_child(&op, kind == MESSAGE_PUT);
    }
    receive_all();
    assert_int_equal(g.roll.n_born, 1);
    assert_int_equal(g.roll.n_held, 0);
    assert_false(g.bye || g.hello || g.to_background);
    assert_int_equal(holder_forget(&h, pid, 78) | holder_forget(&h, pid + 1, 77) | holder_flush(&h), 0);
    receive_all();
    assert_int_equal(g.roll.n_born, 1);
    assert_int_equal(holder_forget(&h, pid, 77) | holder_flush(&h), 0);
    receive_all();
    assert_int_equal(g.roll.n_born, 0);
}

/* What the guardian does when the supervisor has died: whoever was before it is on the roll, nobody is after it. */
static void test_nobody_is_born_behind_the_end(void **state)
{
    (void)state;
    unsigned char bytes[HOLDER_BORN_SIZE];
    holder_born(5, bytes);
    assert_int_equal(send(h.fd, bytes, sizeof(bytes), MSG_NOSIGNAL), sizeof(bytes));
    g.supervisor = 1; /* so that this process counts as a child */
    assert_int_equal(shutdown(g.socket, SHUT_RD), 0);
    assert_int_equal(send(h.fd, bytes, sizeof(bytes), MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    receive_all();
    assert_int_equal(g.roll.n_born, 1);
}

static unsigned ended, strangers;

static void on_ended(const struct roll_child *child, void *arg)
{
    (void)arg;
    assert_int_equal(child->status, child->pid);
    ended++;
}

static void on_stranger(const struct roll_child *child, void *arg)
{
    (void)arg;
    assert_int_equal(child->tag, ROLL_STRANGER);
    strangers++;
}

static void test_every_end_is_told_once_however_slow_the_supervisor_is(void **state)
{
    (void)state;
    const struct holder_events e = { .ended = on_ended, .stranger = on_stranger };
    ended = strangers = 0;
    for (int i = 0; i < 4000; i++) {
        assert_int_equal(roll_add(&g.roll, 100 + i, i % 2 == 0 ? ROLL_STRANGER : 9), 0);
        struct roll_child *c = roll_live(&g.roll, 100 + i);
        c->status = c->pid;
        c->state = ROLL_DEAD;
    }
    mail_tell_ends(&g);
    assert_true(g.untold);
    for (int i = 0; g.untold && i < 4000; i++) {
        assert_int_equal(holder_receive(&h, &e), 0);
        mail_tell_ends(&g);
    }
    while (ended + strangers < 4000)
        assert_int_equal(holder_receive(&h, &e), 0);
    mail_tell_ends(&g);
    assert_int_equal(holder_receive(&h, &e), 0);
    assert_int_equal(ended, 2000);
    assert_int_equal(strangers, 2000);
    assert_int_equal(g.roll.n_born, 2000); /* until they are forgotten; of a stranger nobody asks */
}

/* -- the service manager ---------------------------------------------------------------- */

static void test_only_known_lines_are_passed_on(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool passes;
    } cases[] = {
        { "READY=1\nSTATUS=3 processes\n", true },
        { "STOPPING=1", true },
        { "RELOADING=1\nMONOTONIC_USEC=5\n", true },
        { "MAINPID=1\n", false },
        { "STATUS=x\nMAINPID=1\n", false },
        { "FDSTOREREMOVE=1\n", false },
        { "\n", false },
        { "READY=1\n\n", false },
    };
    char address[64], got[256];
    snprintf(address, sizeof(address), "@drover-holder-%d", getpid());
    _cleanup_close_ int manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    memcpy(a.sun_path + 1, address + 1, strlen(address) - 1);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(address));
    assert_int_equal(bind(manager, (struct sockaddr *)&a, len), 0);
    setenv("NOTIFY_SOCKET", address, 1);
    assert_int_equal(sdnotify_open(&g.manager), 0);
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        assert_int_equal(holder_notify(&h, cases[i].text, strlen(cases[i].text)), 0);
        receive_all();
        ssize_t n = recv(manager, got, sizeof(got), 0);
        assert_int_equal(n, cases[i].passes ? (ssize_t)strlen(cases[i].text) : -1);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* The supervisor is killed before it has read what we told it; a child of its says that it is born and closes the pair
 * by its exec: the kernel tells of the end before the child's word. */
static void test_a_birth_behind_an_end_is_heard(void **state)
{
    (void)state;
    unsigned char born[HOLDER_BORN_SIZE];
    holder_born(77, born);
    assert_true(mail_tell(&g, (struct message_op){ .kind = MESSAGE_ANSWER }, NULL, 0));
    pid_t child = fork();
    if (child == 0)
        _exit(send(h.fd, born, sizeof(born), MSG_NOSIGNAL) == (ssize_t)sizeof(born) ? 0 : 1);
    cleanup_close(&h.fd);
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    receive_all();
    assert_non_null(roll_live(&g.roll, child));
    assert_int_equal(g.roll.n_born, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_put_is_held),
        TEST(test_the_last_word_about_a_name_counts),
        TEST(test_more_than_a_message_holds),
        TEST(test_a_descriptor_that_was_closed_spoils_nothing_else),
        TEST(test_nothing_is_lost_when_the_guardian_is_behind),
        TEST(test_a_guardian_that_is_gone),
        TEST(test_wrong_numbers_of_descriptors),
        TEST(test_garbage_changes_nothing),
        TEST(test_a_table_that_is_full),
        TEST(test_descriptors_run_out),
        TEST(test_a_child_may_say_one_thing),
        TEST(test_nobody_is_born_behind_the_end),
        TEST(test_a_birth_behind_an_end_is_heard),
        TEST(test_every_end_is_told_once_however_slow_the_supervisor_is),
        TEST(test_only_known_lines_are_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
