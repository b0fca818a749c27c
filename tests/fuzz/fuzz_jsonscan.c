/* fuzz_jsonscan.c - any bytes as a message: the scanner and jansson must be of one
 * opinion, on whether it is JSON, on types, on members and on what strings mean.
 *
 * Where jansson is not right the scanner is: escaped lone surrogates, numbers
 * that no machine holds, a NUL in a name, a NUL behind a number (which it passes
 * over).  Where the scanner is stricter: depth. */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "fuzz.h"
#include "wire/jsonscan_internal.h"

static const struct jsonscan_keys keys = { .n = 5,
                                           .keys = { JSONSCAN_KEY("to"), JSONSCAN_KEY("msg"), JSONSCAN_KEY("id"),
                                                     JSONSCAN_KEY("re"), JSONSCAN_KEY("a") } };

static bool jansson_cannot(const json_error_t *e)
{
    enum json_error_code code = json_error_code(e);
    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
           strstr(e->text, "invalid Unicode") != NULL;
}

static enum jsonscan_type type_of(const json_t *j)
{
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        return JSONSCAN_OBJECT;
    case JSON_ARRAY:
        return JSONSCAN_ARRAY;
    case JSON_STRING:
        return JSONSCAN_STRING;
    case JSON_TRUE:
        return JSONSCAN_TRUE;
    case JSON_FALSE:
        return JSONSCAN_FALSE;
    case JSON_NULL:
        return JSONSCAN_NULL;
    default:
        return JSONSCAN_NUMBER;
    }
}

static void compare_string(const char *text, struct jsonscan_value v, const json_t *j)
{
    size_t len = json_string_length(j);
    _cleanup_free_ char *meant = malloc(len + 1);
    REQUIRE(meant != NULL && jsonscan_string(text, v, meant, len + 1) == (ssize_t)len);
    REQUIRE(memcmp(meant, json_string_value(j), len) == 0);
    REQUIRE(len == 0 || jsonscan_string(text, v, meant, len) < 0);
}

static void compare_number(const char *text, struct jsonscan_value v, const json_t *j)
{
    uint64_t n;
    double value = json_number_value(j);
    if (jsonscan_integer(text, v, &n) == 0)
        REQUIRE(value >= 0 && (double)n == value);
    else
        REQUIRE(value < 0 || value >= 0x1p53 || strpbrk(text + v.at, ".eE-") != NULL);
}

static void compare(const char *text, struct jsonscan_value v, const json_t *j)
{
    struct jsonscan_value element;
    uint32_t cursor = 0;
    size_t n = 0;
    REQUIRE(v.type == type_of(j));
    if (v.type == JSONSCAN_STRING)
        compare_string(text, v, j);
    else if (v.type == JSONSCAN_NUMBER)
        compare_number(text, v, j);
    else if (v.type == JSONSCAN_ARRAY) {
        for (; jsonscan_element(text, v, &cursor, &element); n++)
            REQUIRE(element.type == type_of(json_array_get(j, n)));
        REQUIRE(n == json_array_size(j));
    }
}

/* Every member is a text of its own, and the same one. */
static void look_again(const char *text, struct jsonscan_value v)
{
    struct jsonscan r;
    REQUIRE(jsonscan(text + v.at, v.len, NULL, &r, NULL) == 0);
    REQUIRE(r.value.at == 0 && r.value.len == v.len && r.value.type == v.type);
}

/* Within a text that is long enough for the swift way, from any place in a block: that way,
 * the close one, and who looked at it while it came, agree. */
static void compare_ways(const uint8_t *data, size_t size)
{
    struct jsonscan swift = { 0 }, close = { 0 };
    struct jsonscan_fault swift_fault = { 0 }, close_fault = { 0 };
    struct jsonscan early = { 0 };
    struct jsonscan_fault early_fault = { 0 };
    struct jsonscan_ahead ahead = { 0 };
    size_t before = 2 * (size_t)data[0], len = before + size + JSONSCAN_BLOCK + 4 * WINDOW;
    _cleanup_free_ char *text = malloc(len);
    if (text == NULL)
        return;
    memset(text, 'x', len);
    memcpy(text, "[\"", 2);
    memcpy(text + before + 2, "\",", 2);
    memcpy(text + before + 4, data, size);
    memcpy(text + before + 4 + size, ",\"", 2);
    memcpy(text + len - 2, "\"]", 2);
    int a = jsonscan_as(false, text, len, NULL, &swift, &swift_fault);
    REQUIRE(a == jsonscan_as(true, text, len, NULL, &close, &close_fault));
    REQUIRE(swift_fault.at == close_fault.at && swift.value.len == close.value.len);
    for (size_t n = JSONSCAN_BLOCK + data[size - 1]; n < len; n += 1 + 3 * (size_t)data[size / 2])
        jsonscan_ahead(&ahead, text, n);
    REQUIRE(memchr(text, '\n', jsonscan_ahead_passed(&ahead, text)) == NULL);
    REQUIRE(a == jsonscan_rest(&ahead, text, len, NULL, &early, &early_fault));
    REQUIRE(early_fault.at == close_fault.at && early.value.len == close.value.len);
    REQUIRE((data[0] != '[' && data[0] != '{') || size < WINDOW ||
            jsonscan_as(false, (const char *)data, size, &keys, &swift, NULL) ==
                jsonscan_as(true, (const char *)data, size, &keys, &close, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct jsonscan r;
    struct jsonscan_fault fault = { 0 };
    json_error_t e;
    if (size > 0)
        compare_ways(data, size);
    _cleanup_free_ char *text = malloc(size + 1); /* the NUL is for strpbrk() here, not for the scanner */
    if (text == NULL)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    int result = jsonscan((const char *)data, size, &keys, &r, &fault);
    json_t *j = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &e);
    if (result != 0) {
        REQUIRE(fault.at <= size && fault.why != NULL);
        REQUIRE(j == NULL || strcmp(fault.why, "nested too deeply") == 0 ||
                (fault.at < size && text[fault.at] == '\0'));
    } else if (j == NULL) {
        REQUIRE(jansson_cannot(&e));
    } else {
        compare(text, r.value, j);
        for (unsigned i = 0; i < keys.n; i++) {
            const json_t *member = json_is_object(j) ? json_object_get(j, keys.keys[i].name) : NULL;
            REQUIRE((member != NULL) == (r.members[i].type != JSONSCAN_NONE));
            if (member != NULL) {
                compare(text, r.members[i], member);
                look_again(text, r.members[i]);
            }
        }
    }
    json_decref(j);
    return 0;
}
