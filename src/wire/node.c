/* node.c - see node.h.  Values and text; owns nothing, keeps nothing. */
#include "wire/node.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define PREFIX "NODE_"
#define PREFIX_LEN (sizeof(PREFIX) - 1)
#define CMD_MAX 64     /* no command of Node's is longer */
#define ANSWER_KEY 512 /* bytes of a `key`, as it is written: an address */

static const struct {
    const char *cmd;
    enum node_kind kind;
} commands[] = {
    { "NODE_HANDLE", NODE_HANDLE },
    { "NODE_HANDLE_ACK", NODE_ACK },
    { "NODE_HANDLE_NACK", NODE_NACK },
    { "NODE_SOCKET_GET_COUNT", NODE_GET_COUNT },
    { "NODE_SOCKET_NOTIFY_CLOSE", NODE_NOTIFY_CLOSE },
};

static const char *const types[] = {
    [NODE_TYPE_SERVER] = "net.Server",         [NODE_TYPE_SOCKET] = "net.Socket",
    [NODE_TYPE_NATIVE] = "net.Native",         [NODE_TYPE_DGRAM_SOCKET] = "dgram.Socket",
    [NODE_TYPE_DGRAM_NATIVE] = "dgram.Native",
};

static const char *const dgrams[] = { [NODE_DGRAM_UDP4] = "udp4", [NODE_DGRAM_UDP6] = "udp6" };

/* One character of a string as it is written, when it may be of the prefix: -1 it is
 * none of those, or the string is at its end. */
static int next_char(const char **p, const char *end)
{
    if (*p >= end)
        return -1;
    char c = *(*p)++;
    if (c != '\\')
        return (unsigned char)c;
    unsigned code;
    char digits[5] = { 0 };
    if (end - *p < 5 || **p != 'u') /* no other escape means a letter or an underscore */
        return -1;
    memcpy(digits, *p + 1, 4);
    *p += 5;
    return sscanf(digits, "%4x", &code) == 1 && code < 128 ? (int)code : -1;
}

/* NODE_ and at least one more character, however it is written. */
static bool is_own(const char *text, struct jsonscan_value v)
{
    if (v.type != JSONSCAN_STRING)
        return false;
    const char *p = text + v.at + 1, *end = text + v.at + v.len - 1;
    for (size_t i = 0; i < PREFIX_LEN; i++)
        if (next_char(&p, end) != PREFIX[i])
            return false;
    return p < end;
}

enum node_kind node_kind_of(const char *text, const struct jsonscan *scan)
{
    struct jsonscan_value v = scan->members[NODE_KEY_CMD];
    char cmd[CMD_MAX];
    if (scan->value.type != JSONSCAN_OBJECT || !is_own(text, v))
        return NODE_PLAIN;
    if (jsonscan_string(text, v, cmd, sizeof(cmd)) < 0)
        return NODE_OTHER;
    for (size_t i = 0; i < ELEMENTS(commands); i++)
        if (strcmp(cmd, commands[i].cmd) == 0)
            return commands[i].kind;
    return NODE_OTHER;
}

static unsigned word_of(const char *text, struct jsonscan_value v, const char *const *words, unsigned n)
{
    char word[CMD_MAX];
    if (v.type != JSONSCAN_STRING || jsonscan_string(text, v, word, sizeof(word)) < 0)
        return 0;
    for (unsigned i = 1; i < n; i++)
        if (strcmp(word, words[i]) == 0)
            return i;
    return 0;
}

void node_handle_of(const char *text, const struct jsonscan *scan, struct node_handle *ret)
{
    *ret = (struct node_handle){
        .type = (enum node_type)word_of(text, scan->members[NODE_KEY_TYPE], types, ELEMENTS(types)),
        .dgram = (enum node_dgram)word_of(text, scan->members[NODE_KEY_DGRAM], dgrams, ELEMENTS(dgrams)),
        .msg = scan->members[NODE_KEY_MSG],
    };
}

size_t node_answer(const char *text, const struct jsonscan *scan, enum node_kind kind, char *buf, size_t size)
{
    struct jsonscan_value key = scan->members[NODE_KEY_KEY];
    if (key.type != JSONSCAN_STRING || key.len > ANSWER_KEY)
        return 0;
    const char *cmd = kind == NODE_GET_COUNT ? "NODE_SOCKET_COUNT" : "NODE_SOCKET_ALL_CLOSED";
    int n = snprintf(buf, size, "{\"cmd\":\"%s\",\"key\":%.*s%s}\n", cmd, (int)key.len, text + key.at,
                     kind == NODE_GET_COUNT ? ",\"count\":0" : "");
    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

int node_wrap_before(enum node_type type, enum node_dgram dgram, char buf[NODE_WRAP_MAX])
{
    if (dgram == NODE_DGRAM_NONE)
        return snprintf(buf, NODE_WRAP_MAX, "{\"cmd\":\"NODE_HANDLE\",\"type\":\"%s\",\"msg\":", types[type]);
    return snprintf(buf, NODE_WRAP_MAX,
                    "{\"cmd\":\"NODE_HANDLE\",\"type\":\"%s\",\"dgramType\":\"%s\",\"msg\":", types[type],
                    dgrams[dgram]);
}
