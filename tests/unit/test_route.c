/* test_route.c - addresses to receivers: who is meant, who may, whose turn it is. */
#include "cmocka_all.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/route.h"

enum { WEB_0, WEB_1, API_0, API_1, API_2, DB, IN_A, IN_B, MEMBERS };

static struct route *route;
static struct route_member members[MEMBERS];
static uint32_t loads[MEMBERS];
static struct route_set set;

static uint32_t load(const struct route_member *m)
{
    return loads[m - members];
}

static const struct route_profile profiles[MEMBERS] = {
    [WEB_0] = { .name = "web:web_0", .group = "web", .process = "web_0", .program = "web" },
    [WEB_1] = { .name = "web:web_1", .group = "web", .process = "web_1", .program = "web" },
    [API_0] = { .name = "api:api_0", .group = "api", .process = "api_0", .program = "api" },
    [API_1] = { .name = "api:api_1", .group = "api", .process = "api_1", .program = "api" },
    [API_2] = { .name = "api:api_2", .group = "api", .process = "api_2", .program = "api" },
    [DB] = { .name = "db", .group = "db", .process = "db", .program = "db" },
    [IN_A] = { .name = "both:one", .group = "both", .process = "one", .program = "one" },
    [IN_B] = { .name = "both:two_7", .group = "both", .process = "two_7", .program = "two" },
};

static int setup(void **state)
{
    (void)state;
    memset(loads, 0, sizeof(loads));
    assert_int_equal(route_new(load, &route), 0);
    for (int i = MEMBERS - 1; i >= 0; i--) {
        assert_int_equal(route_join(route, &members[i], &profiles[i]), 0);
        members[i].up = true;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (int i = 0; i < MEMBERS; i++)
        if (members[i].name != NULL)
            route_leave(route, &members[i]);
    assert_int_equal(route_size(route), 0);
    route_free(route);
    return 0;
}

static int add(int sender, const char *address)
{
    return route_add(route, &members[sender], address, strlen(address), &set);
}

static int ask(int sender, const char *address)
{
    route_begin(route, &set);
    return add(sender, address);
}

/* The set as bits. */
static unsigned who(void)
{
    unsigned bits = 0;
    for (size_t i = 0; i < set.n; i++) {
        unsigned bit = 1U << (set.list[i] - members);
        assert_false(bits & bit);
        bits |= bit;
    }
    return bits;
}

#define BIT(x) (1U << (x))
#define APIS (BIT(API_0) | BIT(API_1) | BIT(API_2))

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        int result;
        unsigned who;
        bool many;
    } rows[] = {
        { "api:api_1", 0, BIT(API_1), false },
        { "db", 0, BIT(DB), false },
        { "db:db", 0, BIT(DB), false },
        { "api:*", 0, APIS, true },
        { "db:*", 0, BIT(DB), true },
        { "@api", 0, APIS, true },
        { "@both", 0, BIT(IN_A) | BIT(IN_B), true },
        { "both:*", 0, BIT(IN_A) | BIT(IN_B), true },
        { "one:*", 0, BIT(IN_A), true },
        { "two", 0, BIT(IN_B), false },
        { "both:two_7", 0, BIT(IN_B), false },
        { "web:*", 0, BIT(WEB_0) | BIT(WEB_1), true },
        { "*", 0, (BIT(MEMBERS) - 1) & ~BIT(WEB_0), true },
        { "web:web_0", 0, BIT(WEB_0), false },
        { "web", 0, BIT(WEB_1), false },
        { "both", -ENOENT, 0, false },
        { "@one", -ENOENT, 0, false },
        { "@", -ENOENT, 0, false },
        { "ap", -ENOENT, 0, false },
        { "apix", -ENOENT, 0, false },
        { "api:", -ENOENT, 0, false },
        { "api:api", -ENOENT, 0, false },
        { "api:api_12", -ENOENT, 0, false },
        { ":", -ENOENT, 0, false },
        { ":*", -ENOENT, 0, false },
        { "", -EINVAL, 0, false },
    };
    for (int twice = 0; twice < 2; twice++)
        for (size_t i = 0; i < ELEMENTS(rows); i++)
            for (int again = 0; again < 2; again++) { /* as it is remembered */
                if (ask(WEB_0, rows[i].address) != rows[i].result || who() != rows[i].who || set.many != rows[i].many)
                    fail_msg("%s: %x", rows[i].address, who());
                assert_false(set.supervisor);
            }
    assert_int_equal(route_add(route, &members[0], "db\0", 3, &set), -EINVAL);
}

static void test_lists(void **state)
{
    (void)state;
    assert_int_equal(ask(WEB_0, "api:api_1"), 0);
    assert_int_equal(add(WEB_0, "@api"), 0);
    assert_int_equal(add(WEB_0, "db"), 0);
    assert_int_equal(add(WEB_0, "nobody"), -ENOENT);
    assert_int_equal(add(WEB_0, "$"), 0);
    assert_true(set.supervisor);
    assert_int_equal(who(), APIS | BIT(DB));
}

static void test_pool_takes_turns(void **state)
{
    (void)state;
    int count[MEMBERS] = { 0 };
    for (int i = 0; i < 30; i++) {
        assert_int_equal(ask(i % 2 ? WEB_0 : DB, "api"), 0);
        assert_int_equal(set.n, 1);
        count[set.list[0] - members]++;
    }
    assert_true(count[API_0] == 10 && count[API_1] == 10 && count[API_2] == 10);
}

static void test_pool_takes_who_has_least(void **state)
{
    (void)state;
    loads[API_0] = 3;
    members[API_1].open = 2;
    loads[API_1] = 2; /* the same ones */
    loads[API_2] = 3;
    members[API_2].open = 1;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask(WEB_0, "api"), 0);
        assert_int_equal(who(), BIT(API_1));
    }
    members[API_1].open = 3;
    members[API_2].open = 3;
    unsigned seen = 0;
    for (int i = 0; i < 3; i++) { /* all alike */
        assert_int_equal(ask(WEB_0, "api"), 0);
        seen |= who();
    }
    assert_int_equal(seen, APIS);
    loads[API_0] = loads[API_1] = ROUTE_FULL;
    assert_int_equal(ask(WEB_0, "api"), 0);
    assert_int_equal(who(), BIT(API_2));
    loads[API_2] = ROUTE_FULL; /* then any of them */
    assert_int_equal(ask(WEB_0, "api"), 0);
    assert_int_equal(set.n, 1);
    members[API_1].open = members[API_2].open = 0;
}

/* In a list the second `api` is another one. */
static void test_pool_twice_in_a_list(void **state)
{
    (void)state;
    assert_int_equal(ask(WEB_0, "api"), 0);
    assert_int_equal(add(WEB_0, "api"), 0);
    assert_int_equal(add(WEB_0, "api"), 0);
    assert_int_equal(who(), APIS);
}

static void test_down(void **state)
{
    (void)state;
    members[API_0].up = members[API_2].up = members[DB].up = false;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(ask(WEB_0, "api"), 0);
        assert_int_equal(who(), BIT(API_1));
    }
    assert_int_equal(ask(WEB_0, "api:api_0"), -EHOSTDOWN);
    assert_int_equal(ask(WEB_0, "db"), -EHOSTDOWN);
    assert_int_equal(ask(WEB_0, "@api"), 0);
    assert_int_equal(who(), BIT(API_1));
    members[API_1].up = false;
    assert_int_equal(ask(WEB_0, "api"), -EHOSTDOWN);
    assert_int_equal(ask(WEB_0, "api:*"), -EHOSTDOWN);
    members[DB].up = true;
    assert_int_equal(ask(WEB_0, "db"), 0);
}

static void rejoin(int i, const char *const *send_to, const char *const *accept_from)
{
    struct route_profile p = profiles[i];
    p.send_to = send_to;
    p.accept_from = accept_from;
    route_leave(route, &members[i]);
    assert_int_equal(route_join(route, &members[i], &p), 0);
    members[i].up = true;
}

static void test_permissions(void **state)
{
    (void)state;
    static const char *const only_api[] = { "api", NULL }, *const both[] = { "both", "db", NULL },
                             *const all[] = { "*", NULL }, *const nobody[] = { NULL };
    rejoin(WEB_0, only_api, NULL);
    assert_int_equal(ask(WEB_0, "api:api_0"), 0);
    assert_int_equal(ask(WEB_0, "db"), -EACCES);
    assert_int_equal(ask(WEB_0, "web"), -EACCES);
    assert_int_equal(ask(WEB_0, "*"), 0);
    assert_int_equal(who(), APIS);
    assert_int_equal(ask(DB, "web:web_0"), 0); /* the other way is another matter */
    rejoin(API_1, NULL, both);
    assert_int_equal(ask(WEB_0, "api:api_1"), -EACCES);
    assert_int_equal(ask(WEB_1, "api:api_1"), -EACCES);
    assert_int_equal(ask(IN_B, "api:api_1"), 0); /* by its group */
    assert_int_equal(ask(DB, "api:api_1"), 0);
    assert_int_equal(ask(WEB_0, "@api"), 0);
    assert_int_equal(who(), BIT(API_0) | BIT(API_2));
    for (int i = 0; i < 4; i++) {
        assert_int_equal(ask(WEB_0, "api"), 0);
        assert_true((who() & BIT(API_1)) == 0);
    }
    rejoin(WEB_1, all, all);
    assert_int_equal(ask(WEB_1, "db"), 0);
    rejoin(WEB_1, nobody, nobody);
    assert_int_equal(ask(WEB_1, "db"), -EACCES);
    assert_int_equal(ask(WEB_1, "*"), -EACCES);
    assert_int_equal(ask(WEB_1, "api"), -EACCES);
}

/* What was remembered of an address does not outlive those it meant. */
static void test_coming_and_going(void **state)
{
    (void)state;
    assert_int_equal(ask(WEB_0, "db"), 0);
    route_leave(route, &members[DB]);
    assert_int_equal(ask(WEB_0, "db"), -ENOENT);
    assert_int_equal(ask(WEB_0, "api"), 0);
    route_leave(route, &members[API_0]);
    route_leave(route, &members[API_2]);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(WEB_0, "api"), 0);
        assert_int_equal(who(), BIT(API_1));
    }
    route_leave(route, &members[API_1]);
    assert_int_equal(ask(WEB_0, "api"), -ENOENT);
    assert_int_equal(ask(WEB_0, "@api"), -ENOENT);
    assert_int_equal(route_join(route, &members[DB], &profiles[API_0]), 0);
    members[DB].up = true;
    assert_int_equal(ask(WEB_0, "api"), 0);
    assert_int_equal(who(), BIT(DB));
    struct route_member other;
    assert_int_equal(route_join(route, &other, &profiles[API_0]), -EEXIST);
    assert_int_equal(route_size(route), MEMBERS - 4 + 1);
}

/* Many at random against a plain look at all of them. */
static void test_many(void **state)
{
    (void)state;
    enum { N = 200 };
    static struct route_member many[N];
    static char names[N][16], groups[N][16];
    struct route_set found;
    srandom(4711);
    for (int round = 0; round < 20000; round++) {
        long i = random() % N;
        if (many[i].name == NULL) {
            snprintf(groups[i], sizeof(groups[i]), "g%ld", i % 7);
            snprintf(names[i], sizeof(names[i]), "g%ld:p%ld", i % 7, i);
            struct route_profile p = {
                .name = names[i], .group = groups[i], .process = names[i] + 3, .program = i % 2 ? "odd" : "even"
            };
            assert_int_equal(route_join(route, &many[i], &p), 0);
            many[i].up = random() % 4 != 0;
        } else if (random() % 3 == 0) {
            route_leave(route, &many[i]);
        } else {
            long j = random() % N;
            char address[20];
            snprintf(address, sizeof(address), "g%ld:p%ld", j % 7, j);
            int expected = many[j].name == NULL ? -ENOENT : many[j].up ? 0 : -EHOSTDOWN;
            route_begin(route, &found);
            assert_int_equal(route_add(route, &many[i], address, strlen(address), &found), expected);
            assert_int_equal(found.n, expected == 0);
            assert_true(found.n == 0 || found.list[0] == &many[j]);
        }
    }
    for (int i = 0; i < N; i++)
        if (many[i].name != NULL)
            route_leave(route, &many[i]);
    assert_int_equal(route_size(route), MEMBERS);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_addresses),
        TEST(test_lists),
        TEST(test_pool_takes_turns),
        TEST(test_pool_takes_who_has_least),
        TEST(test_pool_twice_in_a_list),
        TEST(test_down),
        TEST(test_permissions),
        TEST(test_coming_and_going),
        TEST(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
