/* http_parse.c - requests as bytes to requests as values.
 *
 * The head is cut up in place: its text stays the only memory, headers become a
 * row of "name NUL value NUL", and everything else points into it.  Refused is
 * whatever two readers could understand differently (two lengths, a length beside
 * chunks, folded lines, blanks before a colon, control characters): nothing that
 * we speak with sends it, and it is how requests are smuggled past a proxy. */
#include "control/http_parse.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "control/http.h"

#define METHOD_MAX 16
#define CHUNK_LINE_MAX 256
#define TRAILER_MAX 4096

size_t http_head_end(const char *data, size_t len, size_t seen)
{
    /* an end is at most three bytes before what is new */
    size_t at = seen > 3 ? seen - 3 : 0;
    while (at < len) {
        const char *newline = memchr(data + at, '\n', len - at);
        if (newline == NULL)
            return 0;
        at = (size_t)(newline - data) + 1;
        size_t next = at < len && data[at] == '\r' ? at + 1 : at;
        if (next < len && data[next] == '\n')
            return next + 1;
    }
    return 0;
}

static int refuse(struct http_head *head, int status, const char *wrong)
{
    head->wrong = wrong;
    return status;
}

static bool is_token(const char *s)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return *s != '\0' && s[strspn(s, token)] == '\0';
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* the byte of the escape at s, "%41", or -1 */
static int escape_value(const char *s, size_t len)
{
    int high = len >= 3 ? hex_digit(s[1]) : -1;
    int low = high >= 0 ? hex_digit(s[2]) : -1;
    return low >= 0 ? high * 16 + low : -1;
}

int http_decode(const char *encoded, size_t len, char *out, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++, n++) {
        int c = (unsigned char)encoded[i];
        if (c == '%') {
            c = escape_value(encoded + i, len - i);
            i += 2;
        }
        if (c <= 0)
            return -EINVAL;
        if (n + 1 >= size)
            return -ENOBUFS;
        out[n] = (char)c;
    }
    if (size == 0)
        return -ENOBUFS;
    out[n] = '\0';
    return 0;
}

/* Checked here once, so that no handler can meet a bad escape later.  (One that
 * is cut short meets the final NUL, which is no hex digit.) */
static bool is_target(const char *s)
{
    for (; *s != '\0'; s++) {
        if (*s <= ' ' || *s > '~' || *s == '#')
            return false;
        if (*s == '%' && escape_value(s, 3) <= 0)
            return false;
    }
    return true;
}

/* Cuts off the next line and its end of line; NULL when none is left. */
static char *next_line(char **at, const char *end)
{
    char *line = *at;
    char *newline = line < end ? memchr(line, '\n', (size_t)(end - line)) : NULL;
    if (newline == NULL)
        return NULL;
    *at = newline + 1;
    if (newline > line && newline[-1] == '\r')
        newline--;
    *newline = '\0';
    return line;
}

static int parse_request_line(char *line, struct http_head *head)
{
    char *target = strchr(line, ' ');
    char *version = target != NULL ? strchr(target + 1, ' ') : NULL;
    if (version == NULL)
        return refuse(head, 400, "the request line is not METHOD PATH HTTP/1.1");
    *target++ = '\0';
    *version++ = '\0';
    if (!is_token(line) || strlen(line) > METHOD_MAX)
        return refuse(head, 400, "the method is not a word");
    head->http10 = strcmp(version, "HTTP/1.0") == 0;
    if (!head->http10 && strcmp(version, "HTTP/1.1") != 0)
        return refuse(head, strncmp(version, "HTTP/", 5) == 0 ? 505 : 400, "the protocol is not HTTP/1.1 or 1.0");
    if (target[0] != '/' || !is_target(target))
        return refuse(head, 400, "the target is not a path with well-formed escapes");
    head->method = line;
    head->path = target;
    head->keep_alive = !head->http10;
    char *query = strchr(target, '?');
    if (query != NULL) {
        *query = '\0';
        head->query = query + 1;
    }
    return 0;
}

/* --- headers that mean something to the connection ---------------------- */

static int take_content_length(struct http_head *head, const char *value)
{
    size_t digits = strspn(value, "0123456789");
    if (head->content_length >= 0 || digits == 0 || digits > 18 || value[digits] != '\0')
        return refuse(head, 400, "Content-Length is not one number");
    head->content_length = strtoll(value, NULL, 10);
    return 0;
}

static int take_transfer_encoding(struct http_head *head, const char *value)
{
    if (head->chunked || head->http10)
        return refuse(head, 400, "Transfer-Encoding was not expected");
    if (strcasecmp(value, "chunked") != 0)
        return refuse(head, 501, "no Transfer-Encoding but chunked is known");
    head->chunked = true;
    return 0;
}

/* True when `list`, a comma-separated header value, has the token, in any case. */
static bool list_has(const char *list, const char *token)
{
    size_t want = strlen(token);
    for (const char *p = list; *p != '\0';) {
        p += strspn(p, " \t,");
        size_t len = strcspn(p, ",");
        size_t word = len;
        while (word > 0 && (p[word - 1] == ' ' || p[word - 1] == '\t'))
            word--;
        if (word == want && strncasecmp(p, token, want) == 0)
            return true;
        p += len;
    }
    return false;
}

static int take_connection(struct http_head *head, const char *value)
{
    if (list_has(value, "close"))
        head->keep_alive = false;
    else if (head->http10 && list_has(value, "keep-alive"))
        head->keep_alive = true;
    return 0;
}

static int take_expect(struct http_head *head, const char *value)
{
    if (strcasecmp(value, "100-continue") != 0)
        return refuse(head, 417, "no expectation but 100-continue is known");
    head->expect_continue = !head->http10;
    return 0;
}

static int take_host(struct http_head *head, const char *value)
{
    if (head->host != NULL)
        return refuse(head, 400, "Host was given twice");
    head->host = value;
    return 0;
}

static const struct {
    const char *name;
    int (*take)(struct http_head *head, const char *value);
} known_headers[] = {
    { "content-length", take_content_length },
    { "transfer-encoding", take_transfer_encoding },
    { "connection", take_connection },
    { "expect", take_expect },
    { "host", take_host },
};

static int take_header(struct http_head *head, const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof(known_headers) / sizeof(known_headers[0]); i++)
        if (strcasecmp(name, known_headers[i].name) == 0)
            return known_headers[i].take(head, value);
    return 0;
}

static bool is_value(const char *s)
{
    for (; *s != '\0'; s++)
        if (((unsigned char)*s < ' ' && *s != '\t') || *s == 0x7f)
            return false;
    return true;
}

static char *trim(char *s)
{
    s += strspn(s, " \t");
    size_t len = strlen(s);
    while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
        len--;
    s[len] = '\0';
    return s;
}

static char *pack(char *to, const char *s)
{
    size_t size = strlen(s) + 1;
    memmove(to, s, size);
    return to + size;
}

/* One line; its name and trimmed value move down to *to, behind the one before. */
static int parse_header(char *line, char **to, struct http_head *head)
{
    char *colon = strchr(line, ':');
    if (colon == NULL)
        return refuse(head, 400, "a header line has no colon");
    *colon = '\0';
    char *value = trim(colon + 1);
    if (!is_token(line) || !is_value(value))
        return refuse(head, 400, "a header has characters that do not belong there");
    char *name = *to;
    char *packed = pack(name, line);
    *to = pack(packed, value);
    head->n_headers++;
    return take_header(head, name, packed);
}

static int check_whole(struct http_head *head)
{
    if (head->host == NULL && !head->http10)
        return refuse(head, 400, "the Host header is missing");
    if (head->chunked && head->content_length >= 0)
        return refuse(head, 400, "Content-Length and Transfer-Encoding exclude each other");
    return 0;
}

int http_head_parse(char *text, size_t len, struct http_head *head)
{
    *head = (struct http_head){ .content_length = -1 };
    if (memchr(text, '\0', len) != NULL)
        return refuse(head, 400, "a NUL byte in the head of the request");
    char *at = text;
    const char *end = text + len;
    char *line = next_line(&at, end);
    int status = line != NULL ? parse_request_line(line, head) : refuse(head, 400, "no request line");
    if (status != 0)
        return status;
    char *to = at;
    head->headers = to;
    while ((line = next_line(&at, end)) != NULL && *line != '\0') {
        status = parse_header(line, &to, head);
        if (status != 0)
            return status;
    }
    return check_whole(head);
}

const char *http_head_find(const struct http_head *head, const char *name)
{
    const char *p = head->headers;
    for (size_t i = 0; i < head->n_headers; i++) {
        const char *value = p + strlen(p) + 1;
        if (strcasecmp(p, name) == 0)
            return value;
        p = value + strlen(value) + 1;
    }
    return NULL;
}

/* --- chunked bodies ----------------------------------------------------- */

enum chunk_state { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER, CHUNK_DONE };

static int size_line_end(struct http_chunks *c)
{
    if (c->line == 0)
        return -EINVAL; /* no digit */
    c->state = c->left > 0 ? CHUNK_DATA : CHUNK_TRAILER;
    c->line = 0;
    return 0;
}

static int feed_size(struct http_chunks *c, char byte)
{
    int digit = hex_digit(byte);
    if (digit >= 0) {
        if (++c->line > 8)
            return -EINVAL; /* 4 GiB are far beyond any limit */
        c->left = c->left * 16 + (unsigned)digit;
        return 0;
    }
    if (byte == '\n')
        return size_line_end(c);
    if (byte != ';' && byte != '\r' && byte != ' ' && byte != '\t')
        return -EINVAL;
    c->state = CHUNK_EXTENSION;
    return c->line == 0 ? -EINVAL : 0;
}

/* Extensions are skipped; nobody uses them. */
static int feed_extension(struct http_chunks *c, char byte)
{
    if (byte == '\n')
        return size_line_end(c);
    return ++c->line > CHUNK_LINE_MAX ? -EINVAL : 0;
}

static int feed_data_end(struct http_chunks *c, char byte)
{
    if (byte == '\r' && c->line == 0) {
        c->line = 1;
        return 0;
    }
    if (byte != '\n')
        return -EINVAL;
    c->line = 0;
    c->state = CHUNK_SIZE;
    return 0;
}

/* Trailers are skipped too; an empty line ends the body. */
static int feed_trailer(struct http_chunks *c, char byte)
{
    if (++c->trailer > TRAILER_MAX)
        return -EINVAL;
    if (byte == '\n') {
        c->state = c->line == 0 ? CHUNK_DONE : CHUNK_TRAILER;
        c->line = 0;
    } else if (byte != '\r') {
        c->line = 1;
    }
    return 0;
}

static int feed_data(struct http_chunks *c, const char *data, size_t len, size_t *used, struct buf *body)
{
    size_t n = len < c->left ? len : (size_t)c->left;
    int r = buf_add(body, data, n);
    if (r < 0)
        return r;
    c->left -= n;
    *used += n;
    if (c->left == 0)
        c->state = CHUNK_DATA_END;
    return 0;
}

int http_chunks_feed(struct http_chunks *c, const char *data, size_t len, size_t *used, struct buf *body)
{
    static int (*const feed[])(struct http_chunks *, char) = {
        [CHUNK_SIZE] = feed_size,
        [CHUNK_EXTENSION] = feed_extension,
        [CHUNK_DATA_END] = feed_data_end,
        [CHUNK_TRAILER] = feed_trailer,
    };
    *used = 0;
    while (*used < len && c->state != CHUNK_DONE) {
        int r;
        if (c->state == CHUNK_DATA)
            r = feed_data(c, data + *used, len - *used, used, body);
        else
            r = feed[c->state](c, data[(*used)++]);
        if (r < 0)
            return r;
    }
    return c->state == CHUNK_DONE ? HTTP_CHUNKS_DONE : HTTP_CHUNKS_MORE;
}
