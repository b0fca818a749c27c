/* test_requests.c - every request has one end: an answer or a word in its place.
 *
 * The law is proved by operations at random against a plain account of what was
 * asked, for many seeds. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/requests.h"

enum { N = 6, MOST = 50 };

static struct requests *r;
static struct route_member members[N];
static char names[N][8];

static struct request_end last_end;
static struct request_ack last_ack;
static char last_failures[512];
static unsigned n_ends, n_acks;
static void (*on_end)(const struct request_end *e);
static void (*on_ack)(const struct request_ack *a);

static void ended(const struct request_end *e, void *arg)
{
    assert_ptr_equal(arg, &r);
    last_end = *e;
    n_ends++;
    if (on_end != NULL)
        on_end(e);
}

static void acked(const struct request_ack *a, void *arg)
{
    assert_ptr_equal(arg, &r);
    last_ack = *a;
    last_failures[0] = '\0';
    for (size_t i = 0; i < a->n_failures; i++) {
        size_t at = strlen(last_failures);
        snprintf(last_failures + at, sizeof(last_failures) - at, "%s:%d ", a->failures[i].name, -a->failures[i].error);
    }
    n_acks++;
    if (on_ack != NULL)
        on_ack(a);
}

static int setup(void **state)
{
    (void)state;
    const struct requests_owner owner = { .ended = ended, .acked = acked, .arg = &r };
    memset(members, 0, sizeof(members));
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof(names[i]), "m%d", i);
        members[i].name = names[i];
    }
    n_ends = n_acks = 0;
    on_end = NULL;
    on_ack = NULL;
    return requests_new(&owner, &r);
}

static int teardown(void **state)
{
    (void)state;
    requests_free(r);
    return 0;
}

static uint64_t open_one(int from, int to, uint64_t id, usec_t deadline, struct request_cast *cast, bool answer)
{
    uint64_t tag = 0;
    const struct request q = { .sender = &members[from],
                               .receiver = &members[to],
                               .id = id,
                               .deadline = deadline,
                               .cast = cast,
                               .answer = answer };
    assert_int_equal(requests_open(r, &q, 1000, &tag), 0);
    assert_true(tag != 0);
    return tag;
}

static uint64_t ask(int from, int to, uint64_t id)
{
    return open_one(from, to, id, USEC_INFINITY, NULL, true);
}

static void assert_end(int from, int to, uint64_t id, int error)
{
    assert_ptr_equal(last_end.sender, &members[from]);
    assert_ptr_equal(last_end.receiver, &members[to]);
    assert_int_equal(last_end.id, id);
    assert_int_equal(last_end.error, error);
}

static void test_answers(void **state)
{
    (void)state;
    uint64_t tag = ask(0, 1, 7);
    assert_int_equal(members[0].asked, 1);
    assert_int_equal(members[1].open, 1);
    requests_sent(r, tag, 0);
    assert_false(requests_answer(r, &members[2], &members[0], 7)); /* who was not asked */
    assert_false(requests_answer(r, &members[1], &members[2], 7)); /* who did not ask */
    assert_false(requests_answer(r, &members[1], &members[0], 8)); /* what was not asked */
    assert_true(requests_answer(r, &members[1], &members[0], 7));
    assert_false(requests_answer(r, &members[1], &members[0], 7)); /* once */
    assert_int_equal(members[0].asked + members[1].open + requests_count(r) + n_ends + n_acks, 0);
    requests_sent(r, tag, -EPIPE); /* an old tag */
    assert_int_equal(n_ends, 0);
}

static void test_an_answer_that_fails(void **state)
{
    (void)state;
    uint32_t note;
    ask(0, 1, 7);
    assert_true(requests_waits(r, &members[1], &members[0], 7, &note));
    assert_false(requests_waits(r, &members[0], &members[1], 7, &note));
    requests_fail(r, &members[2], &members[0], 7, -ENOBUFS);
    assert_int_equal(n_ends, 0);
    requests_fail(r, &members[1], &members[0], 7, -ENOBUFS);
    assert_int_equal(n_ends, 1);
    assert_end(0, 1, 7, -ENOBUFS);
    assert_true(last_end.sent);
    assert_false(requests_waits(r, &members[1], &members[0], 7, &note));
}

static void test_same_id_twice(void **state)
{
    (void)state;
    ask(0, 1, 7);
    ask(0, 1, 7);
    assert_true(requests_answer(r, &members[1], &members[0], 7));
    assert_true(requests_answer(r, &members[1], &members[0], 7));
    assert_false(requests_answer(r, &members[1], &members[0], 7));
}

static void test_receiver_gone(void **state)
{
    (void)state;
    uint64_t first = ask(0, 1, 1);
    ask(0, 1, 2);
    ask(0, 2, 3);
    requests_sent(r, first, 0);
    requests_gone(r, &members[1]);
    assert_int_equal(n_ends, 2);
    assert_end(0, 1, 1, -ECONNRESET);
    assert_int_equal(requests_count(r), 1);
    assert_true(requests_answer(r, &members[2], &members[0], 3));
    uint64_t tag = ask(0, 1, 4);
    requests_sent(r, tag, -EHOSTDOWN); /* as the queue of the dead one says */
    assert_int_equal(n_ends, 3);
    assert_end(0, 1, 4, -EHOSTDOWN);
    assert_false(last_end.sent);
}

static void test_sender_gone(void **state)
{
    (void)state;
    ask(0, 1, 1);
    ask(1, 0, 2);
    ask(0, 0, 3); /* itself */
    requests_gone(r, &members[0]);
    assert_int_equal(requests_count(r), 0);
    assert_int_equal(n_ends, 1);
    assert_end(1, 0, 2, -EHOSTDOWN);
    assert_int_equal(members[0].asked + members[0].open + members[1].asked + members[1].open, 0);
}

static void test_deadlines(void **state)
{
    (void)state;
    static const usec_t times[] = { 50, 10, 30, 20, 40, 20, 60, 5 };
    assert_int_equal(requests_next(r), USEC_INFINITY);
    requests_expire(r, 1000);
    for (size_t i = 0; i < ELEMENTS(times); i++)
        open_one(0, 1, times[i], times[i], NULL, true);
    assert_int_equal(requests_next(r), 5);
    requests_expire(r, 4);
    assert_int_equal(n_ends, 0);
    assert_true(requests_answer(r, &members[1], &members[0], 30));
    unsigned before = 0;
    for (usec_t now = 5; now <= 60; now += 5) {
        requests_expire(r, now);
        for (; before < n_ends; before++)
            assert_int_equal(last_end.error, -ETIMEDOUT);
        assert_true(requests_next(r) > now);
        if (now == 20)
            assert_int_equal(n_ends, 4);
    }
    assert_int_equal(n_ends, 7);
    assert_int_equal(requests_next(r), USEC_INFINITY);
}

static void test_most(void **state)
{
    (void)state;
    uint64_t tag = 42;
    struct request q = { .sender = &members[0], .receiver = &members[1], .deadline = USEC_INFINITY, .answer = true };
    for (q.id = 0; q.id < 3; q.id++)
        assert_int_equal(requests_open(r, &q, 3, &tag), 0);
    tag = 42;
    assert_int_equal(requests_open(r, &q, 3, &tag), -ENOBUFS);
    assert_int_equal(tag, 42);
    assert_true(requests_answer(r, &members[1], &members[0], 1));
    assert_int_equal(requests_open(r, &q, 3, &tag), 0);
    requests_undo(r, tag);
    requests_undo(r, tag);
    assert_int_equal(requests_count(r), 2);
    assert_int_equal(n_ends, 0);
}

static struct request_cast *cast(int from, uint64_t id)
{
    struct request_cast *c;
    assert_int_equal(requests_cast(r, &members[from], id, &c), 0);
    return c;
}

static void test_ack(void **state)
{
    (void)state;
    struct request_cast *c = cast(0, 7);
    uint64_t a = open_one(0, 1, 7, USEC_INFINITY, c, false), b = open_one(0, 2, 7, USEC_INFINITY, c, false);
    uint64_t undone = open_one(0, 4, 7, USEC_INFINITY, c, false);
    requests_undo(r, undone);
    requests_failed(r, c, members[3].name, -ENOBUFS);
    requests_cast_all(r, c);
    requests_sent(r, a, 0);
    assert_int_equal(n_acks, 0);
    requests_sent(r, b, -EHOSTDOWN);
    assert_int_equal(n_acks, 1);
    assert_int_equal(n_ends, 0); /* the acknowledgement has said it */
    assert_int_equal(last_ack.ok, 1);
    assert_int_equal(last_ack.receivers, 3);
    assert_int_equal(last_ack.id, 7);
    assert_ptr_equal(last_ack.sender, &members[0]);
    char expected[64];
    snprintf(expected, sizeof(expected), "m3:%d m2:%d ", ENOBUFS, EHOSTDOWN);
    assert_string_equal(last_failures, expected);
    assert_int_equal(requests_count(r), 0);
}

static void test_ack_at_once(void **state)
{
    (void)state;
    struct request_cast *c = cast(0, 7);
    requests_failed(r, c, members[3].name, -ENOBUFS);
    requests_cast_all(r, c);
    assert_int_equal(n_acks, 1);
    assert_int_equal(last_ack.ok, 0);
}

static void test_ack_and_answer(void **state)
{
    (void)state;
    struct request_cast *c = cast(0, 7);
    uint64_t tag = open_one(0, 1, 7, 100, c, true);
    requests_cast_all(r, c);
    requests_sent(r, tag, 0);
    assert_int_equal(n_acks, 1);
    assert_int_equal(requests_count(r), 1);
    requests_expire(r, 100);
    assert_int_equal(n_ends, 1);
    assert_end(0, 1, 7, -ETIMEDOUT);
    c = cast(0, 8); /* an answer that overtakes the word of the hand-over */
    tag = open_one(0, 1, 8, 200, c, true);
    requests_cast_all(r, c);
    assert_true(requests_answer(r, &members[1], &members[0], 8));
    assert_int_equal(n_acks, 2);
    assert_int_equal(last_ack.ok, 1);
    c = cast(0, 9); /* before the hand-over */
    open_one(0, 1, 9, 300, c, true);
    requests_cast_all(r, c);
    requests_expire(r, 300);
    assert_int_equal(n_ends, 1);
    assert_int_equal(n_acks, 3);
    assert_int_equal(last_ack.ok, 0);
}

static void test_ack_to_nobody(void **state)
{
    (void)state;
    struct request_cast *c = cast(0, 7);
    uint64_t tag = open_one(0, 1, 7, USEC_INFINITY, c, false);
    open_one(0, 2, 7, USEC_INFINITY, c, false);
    requests_cast_all(r, c);
    requests_sent(r, tag, 0);
    requests_gone(r, &members[0]);
    assert_int_equal(n_acks, 0);
    assert_int_equal(requests_count(r), 0);
    cast(0, 8); /* given back by requests_free(), as the leak check sees */
}

static void test_ack_dropped(void **state)
{
    (void)state;
    requests_cast_drop(r, cast(0, 7));
    assert_int_equal(n_acks, 0);
}

static void test_many_failures(void **state)
{
    (void)state;
    struct request_cast *c = cast(0, 7);
    for (int i = 0; i < REQUEST_FAILURES_MAX + 10; i++)
        requests_failed(r, c, members[1].name, -ENOBUFS);
    requests_cast_all(r, c);
    assert_int_equal(last_ack.receivers, REQUEST_FAILURES_MAX + 10);
    assert_int_equal(last_ack.n_failures, REQUEST_FAILURES_MAX);
}

/* -- the law ------------------------------------------------------------------- */

/* What was asked; .ends counts how it ended, .void_ when nobody is left to be told. */
struct account {
    uint64_t tag;
    int from, to;
    bool wants_answer, wants_ack, sent, gone;
    unsigned ends, acks;
};
enum { ASKED_MOST = 4000 };
static struct account accounts[ASKED_MOST];
static unsigned n_accounts;
static bool again; /* callbacks ask anew */

static void note(int from, int to, uint64_t deadline, bool ack, bool answer)
{
    struct account *a = &accounts[n_accounts];
    struct request_cast *c = ack ? cast(from, n_accounts) : NULL;
    *a = (struct account){ .from = from, .to = to, .wants_answer = answer, .wants_ack = ack };
    const struct request q = { .sender = &members[from],
                               .receiver = &members[to],
                               .id = n_accounts,
                               .deadline = deadline,
                               .cast = c,
                               .answer = answer };
    n_accounts++;
    int result = requests_open(r, &q, MOST, &a->tag);
    if (result < 0) {
        assert_int_equal(result, -ENOBUFS);
        assert_int_equal(members[from].asked, MOST);
        if (c != NULL)
            requests_failed(r, c, members[to].name, result);
        else
            a->ends++;
    }
    if (c != NULL)
        requests_cast_all(r, c);
}

static void law_end(const struct request_end *e)
{
    struct account *a = &accounts[e->id];
    assert_false(a->gone);
    assert_ptr_equal(e->sender, &members[a->from]);
    assert_ptr_equal(e->receiver, &members[a->to]);
    assert_int_equal(e->tag, a->tag);
    assert_true(a->wants_answer || !a->sent);
    assert_int_equal(e->sent, a->sent);
    a->ends++;
    if (again && n_accounts < ASKED_MOST - 8)
        note(a->from, (a->to + 1) % N, USEC_INFINITY, false, true);
}

static void law_ack(const struct request_ack *k)
{
    struct account *a = &accounts[k->id];
    assert_false(a->gone);
    assert_true(a->wants_ack);
    assert_int_equal(k->receivers, 1);
    a->acks++;
    if (k->ok == 0 || !a->wants_answer) /* that is its end */
        a->ends++;
}

static void step(usec_t *now)
{
    int from = (int)(random() % N), to = (int)(random() % N);
    struct account *a = n_accounts > 0 ? &accounts[random() % n_accounts] : NULL;
    switch (random() % 8) {
    case 0:
    case 1:
    case 2: {
        bool ack = random() % 3 == 0;
        note(from, to, random() % 2 ? *now + (usec_t)(random() % 100) : USEC_INFINITY, ack, !ack || random() % 2);
        break;
    }
    case 3:
        if (a != NULL && !a->sent) {
            a->sent = a->ends == 0 && !a->gone;
            requests_sent(r, a->tag, 0);
        }
        break;
    case 4:
        if (a != NULL && !a->sent)
            requests_sent(r, a->tag, -EHOSTDOWN);
        break;
    case 5:
        if (a != NULL) {
            bool sent = a->sent;
            a->sent = true;
            if (requests_answer(r, &members[a->to], &members[a->from], (uint64_t)(a - accounts)))
                a->ends++;
            else
                a->sent = sent;
        }
        break;
    case 6:
        *now += (usec_t)(random() % 20);
        requests_expire(r, *now);
        break;
    default:
        if (random() % 20 != 0)
            break;
        for (unsigned i = 0; i < n_accounts; i++)
            accounts[i].gone |= accounts[i].from == from;
        again = false; /* nobody asks the dead */
        requests_gone(r, &members[from]);
        again = true;
        assert_int_equal(members[from].asked + members[from].open, 0);
    }
}

/* What was handed over is answered now, the rest is not delivered. */
static void answer_all(void)
{
    for (unsigned i = 0; i < n_accounts; i++) {
        struct account *a = &accounts[i];
        if (!a->sent)
            requests_sent(r, a->tag, -EHOSTDOWN);
        else if (requests_answer(r, &members[a->to], &members[a->from], i))
            a->ends++;
    }
}

static void test_law(void **state)
{
    (void)state;
    on_end = law_end;
    on_ack = law_ack;
    for (unsigned seed = 1; seed <= 60; seed++) {
        usec_t now = 1;
        srandom(seed);
        n_accounts = 0;
        again = true;
        while (n_accounts < ASKED_MOST - 8)
            step(&now);
        again = false;
        answer_all();
        assert_int_equal(requests_count(r), 0);
        assert_int_equal(requests_next(r), USEC_INFINITY);
        for (unsigned i = 0; i < n_accounts; i++) {
            const struct account *a = &accounts[i];
            if (a->gone ? a->ends > 1 || a->acks > 1 : a->ends != 1 || a->acks > 1)
                fail_msg("seed %u: request %u has %u ends and %u acknowledgements", seed, i, a->ends, a->acks);
        }
        for (int i = 0; i < N; i++)
            assert_int_equal(members[i].asked + members[i].open, 0);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_answers),       TEST(test_an_answer_that_fails),
        TEST(test_same_id_twice), TEST(test_receiver_gone),
        TEST(test_sender_gone),   TEST(test_deadlines),
        TEST(test_most),          TEST(test_ack),
        TEST(test_ack_at_once),   TEST(test_ack_and_answer),
        TEST(test_ack_to_nobody), TEST(test_ack_dropped),
        TEST(test_many_failures), TEST(test_law),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
