/* http_auth.c - basic authentication and the check of Host and Origin. */
#include "control/http_auth.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "base/sha1.h"

#define CREDENTIALS_MAX 1024

static int base64_value(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* Decodes up to the padding; -EINVAL when it is no base64 or carries a NUL. */
static int base64_decode(const char *s, char *out, size_t size)
{
    unsigned bits = 0, n_bits = 0;
    size_t n = 0;
    for (; *s != '\0' && *s != '='; s++) {
        int v = base64_value(*s);
        if (v < 0 || n + 1 >= size)
            return -EINVAL;
        bits = (bits << 6 | (unsigned)v) & 0xffff;
        n_bits += 6;
        if (n_bits < 8)
            continue;
        n_bits -= 8;
        out[n] = (char)(bits >> n_bits & 0xff);
        if (out[n++] == '\0')
            return -EINVAL;
    }
    out[n] = '\0';
    return s[strspn(s, "=")] == '\0' ? 0 : -EINVAL;
}

/* Walks over all of `given`, whatever `expected` is. */
static bool is_same(const char *given, const char *expected)
{
    size_t n_given = strlen(given), n_expected = strlen(expected);
    size_t difference = n_given ^ n_expected;
    for (size_t i = 0; i < n_given; i++)
        difference |= (size_t)(unsigned char)(given[i] ^ expected[i < n_expected ? i : n_expected]);
    return difference == 0;
}

static void sha1_hex(const char *text, char out[2 * SHA1_SIZE + 1])
{
    unsigned char digest[SHA1_SIZE];
    sha1(text, strlen(text), digest);
    for (size_t i = 0; i < SHA1_SIZE; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static bool password_is_right(const char *given, const char *stored)
{
    if (strncmp(stored, "{SHA}", 5) != 0)
        return is_same(given, stored);
    char hex[2 * SHA1_SIZE + 1], expected[2 * SHA1_SIZE + 2];
    sha1_hex(given, hex);
    snprintf(expected, sizeof(expected), "%s", stored + 5);
    for (char *p = expected; *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'F')
            *p = (char)(*p + 'a' - 'A');
    return is_same(hex, expected);
}

bool http_auth_is_right(const struct http_access *access, const char *authorization)
{
    if (access->username == NULL)
        return true;
    char text[CREDENTIALS_MAX];
    if (authorization == NULL || strncasecmp(authorization, "Basic ", 6) != 0)
        return false;
    const char *encoded = authorization + 6 + strspn(authorization + 6, " ");
    if (base64_decode(encoded, text, sizeof(text)) < 0)
        return false;
    char *colon = strchr(text, ':');
    if (colon == NULL)
        return false;
    *colon = '\0';
    bool name = is_same(text, access->username);
    bool word = password_is_right(colon + 1, access->password != NULL ? access->password : "");
    return name & word; /* both are looked at always */
}

/* --- Host and Origin ---------------------------------------------------- */

static bool is_own_name(const char *name)
{
    char own[HOST_NAME_MAX + 1] = "";
    if (gethostname(own, sizeof(own) - 1) < 0 || own[0] == '\0')
        return false;
    size_t label = strcspn(own, ".");
    return strcasecmp(name, own) == 0 || (strlen(name) == label && strncasecmp(name, own, label) == 0);
}

static bool is_local_name(const char *name)
{
    struct in_addr in;
    size_t len = strlen(name);
    if (strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, &in) == 1)
        return true;
    if (len > 10 && strcasecmp(name + len - 10, ".localhost") == 0)
        return true;
    return is_own_name(name);
}

/* The host of "name:port"; what is in brackets is an address by its form. */
static bool is_local_host(const char *host)
{
    char name[256];
    if (host[0] == '[')
        return true;
    size_t len = strcspn(host, ":");
    if (len >= sizeof(name))
        return false;
    memcpy(name, host, len);
    name[len] = '\0';
    return is_local_name(name);
}

const char *http_origin_problem(const struct http_head *head, bool loopback, bool password)
{
    const char *origin = http_head_find(head, "Origin");
    if (origin != NULL) {
        const char *authority = strstr(origin, "://");
        if (authority == NULL || head->host == NULL || strcasecmp(authority + 3, head->host) != 0)
            return "the request comes from a page of another site (its Origin is not the Host)";
    }
    if (loopback && !password && head->host != NULL && !is_local_host(head->host))
        return "the Host is not this machine's: use an address, localhost or the host's own name, or set a password";
    return NULL;
}
