/* test_node.c - which messages are Node's own, and what is answered to them. */
#include "cmocka_all.h"

#include <string.h>

#include "base/cleanup.h"
#include "wire/node.h"

static const struct jsonscan_keys keys = { .n = NODE_KEYS, .keys = { NODE_KEYS_LIST } };

static struct jsonscan scan_of(const char *text)
{
    struct jsonscan scan;
    assert_int_equal(jsonscan(text, strlen(text), &keys, &scan, NULL), 0);
    return scan;
}

static void kinds(void **state)
{
    static const struct {
        const char *text;
        enum node_kind kind;
    } rows[] = {
        { "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":1}", NODE_HANDLE },
        { "{\"cmd\":\"NODE_HANDLE_ACK\"}", NODE_ACK },
        { "{\"cmd\":\"NODE_HANDLE_NACK\"}", NODE_NACK },
        { "{\"cmd\":\"NODE_SOCKET_GET_COUNT\",\"key\":\"4:::80\"}", NODE_GET_COUNT },
        { "{\"key\":\"k\",\"cmd\":\"NODE_SOCKET_NOTIFY_CLOSE\"}", NODE_NOTIFY_CLOSE },
        { "{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\"}", NODE_OTHER },
        { "{\"cmd\":\"NODE_x\"}", NODE_OTHER },
        { "{\"cmd\":\"NODE_x234567890123456789012345678901234567890123456789012345678901234567890\"}", NODE_OTHER },
        { "{\"cmd\":\"NODE_\"}", NODE_PLAIN },
        { "{\"cmd\":\"NODE\"}", NODE_PLAIN },
        { "{\"cmd\":\"node_handle\"}", NODE_PLAIN },
        { "{\"cmd\":5}", NODE_PLAIN },
        { "{\"cmd\":{\"cmd\":\"NODE_HANDLE\"}}", NODE_PLAIN },
        { "{\"x\":{\"cmd\":\"NODE_HANDLE\"}}", NODE_PLAIN },
        { "[\"cmd\",\"NODE_HANDLE\"]", NODE_PLAIN },
        { "\"NODE_HANDLE\"", NODE_PLAIN },
        { "{}", NODE_PLAIN },
        /* JSON.parse sees the same in these */
        { "{\"cmd\":\"\\u004eODE_HANDLE\"}", NODE_HANDLE },
        { "{\"\\u0063md\":\"NODE\\u005FHANDLE_ACK\"}", NODE_ACK },
        { "{\"cmd\":\"x\",\"cmd\":\"NODE_HANDLE_ACK\"}", NODE_ACK },
        { "{\"cmd\":\"NODE_HANDLE_ACK\",\"cmd\":\"x\"}", NODE_PLAIN },
        { "{\"cmd\":\"\\nODE_x\"}", NODE_PLAIN },
        { "{\"cmd\":\"NODE_\\n\"}", NODE_OTHER },
    };
    (void)state;
    for (size_t i = 0; i < ELEMENTS(rows); i++) {
        struct jsonscan scan = scan_of(rows[i].text);
        if (node_kind_of(rows[i].text, &scan) != rows[i].kind)
            fail_msg("%s: %d", rows[i].text, node_kind_of(rows[i].text, &scan));
    }
}

static void handles(void **state)
{
    static const char text[] =
        "{\"cmd\":\"NODE_HANDLE\",\"type\":\"dgram.Socket\",\"dgramType\":\"udp6\",\"msg\": [1, 2] }";
    static const char odd[] = "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Sockets\",\"dgramType\":6}";
    struct node_handle h;
    struct jsonscan scan = scan_of(text);
    (void)state;
    node_handle_of(text, &scan, &h);
    assert_int_equal(h.type, NODE_TYPE_DGRAM_SOCKET);
    assert_int_equal(h.dgram, NODE_DGRAM_UDP6);
    assert_int_equal(h.msg.len, 6);
    assert_memory_equal(text + h.msg.at, "[1, 2]", 6);
    scan = scan_of(odd);
    node_handle_of(odd, &scan, &h);
    assert_int_equal(h.type, NODE_TYPE_NONE);
    assert_int_equal(h.dgram, NODE_DGRAM_NONE);
    assert_int_equal(h.msg.type, JSONSCAN_NONE);
}

static void wrapping(void **state)
{
    char before[NODE_WRAP_MAX], text[256];
    (void)state;
    for (enum node_type type = NODE_TYPE_SERVER; type <= NODE_TYPE_DGRAM_NATIVE; type++)
        for (enum node_dgram dgram = NODE_DGRAM_NONE; dgram <= NODE_DGRAM_UDP6; dgram++) {
            struct node_handle h;
            assert_true(node_wrap_before(type, dgram, before) < NODE_WRAP_MAX);
            snprintf(text, sizeof(text), "%s{\"a\":1}%s", before, NODE_WRAP_BEHIND);
            struct jsonscan scan = scan_of(text);
            assert_int_equal(node_kind_of(text, &scan), NODE_HANDLE);
            node_handle_of(text, &scan, &h);
            assert_int_equal(h.type, type);
            assert_int_equal(h.dgram, dgram);
            assert_memory_equal(text + h.msg.at, "{\"a\":1}", 7);
        }
}

static void check_answer(const char *question, enum node_kind kind, const char *answer)
{
    char line[256];
    struct jsonscan scan = scan_of(question);
    size_t n = node_answer(question, &scan, kind, line, sizeof(line));
    assert_int_equal(n, strlen(answer));
    assert_memory_equal(line, answer, n);
}

static void answers(void **state)
{
    (void)state;
    check_answer("{\"key\":\"4:a\\\"b:80\"}", NODE_GET_COUNT,
                 "{\"cmd\":\"NODE_SOCKET_COUNT\",\"key\":\"4:a\\\"b:80\",\"count\":0}\n");
    check_answer("{\"key\":\"k\"}", NODE_NOTIFY_CLOSE, "{\"cmd\":\"NODE_SOCKET_ALL_CLOSED\",\"key\":\"k\"}\n");
    check_answer("{\"key\":5}", NODE_NOTIFY_CLOSE, "");
    check_answer("{}", NODE_GET_COUNT, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),
        cmocka_unit_test(handles),
        cmocka_unit_test(wrapping),
        cmocka_unit_test(answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
