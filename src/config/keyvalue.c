/* keyvalue.c - see keyvalue.h.
 *
 * supervisord reads these lists with a lexer that was made for something else,
 * and files rely on its ways: a word is a run of letters, digits, _/.+-(): and,
 * once begun, of quotes; every other character is a token alone; quotes at both
 * ends of a value are taken off, and nothing is ever unescaped.  Tokens are then
 * taken in fours: NAME = VALUE and anything at all.  Owns only its scratch. */
#include "config/keyvalue.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"

struct lexer {
    const char *p, *end;
    struct buf token;
    bool comment;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("_/.+-():", c) != NULL);
}

static void skip_line(struct lexer *l)
{
    const char *newline = memchr(l->p, '\n', (size_t)(l->end - l->p));
    l->p = newline != NULL ? newline + 1 : l->end;
    l->comment = true;
}

/* A whole character, when it is no part of a word. */
static int single(struct lexer *l)
{
    uint32_t c;
    size_t n = utf8_next(l->p, (size_t)(l->end - l->p), &c);
    buf_add(&l->token, l->p, n);
    l->p += n;
    return 1;
}

static int quoted(struct lexer *l)
{
    const char *close = memchr(l->p + 1, *l->p, (size_t)(l->end - l->p - 1));
    if (close == NULL)
        return -EINVAL;
    buf_add(&l->token, l->p, (size_t)(close + 1 - l->p));
    l->p = close + 1;
    return 1;
}

static int word(struct lexer *l)
{
    while (l->p < l->end && !is_blank(*l->p)) {
        if (*l->p == '#')
            skip_line(l); /* and the word goes on in the next line */
        else if (is_word(*l->p) || *l->p == '\'' || *l->p == '"')
            buf_putc(&l->token, *l->p++);
        else
            break;
    }
    return 1;
}

/* 1 with a token, 0 at the end, -EINVAL in an open quotation. */
static int next(struct lexer *l)
{
    buf_reset(&l->token);
    for (;;) {
        while (l->p < l->end && is_blank(*l->p))
            l->p++;
        if (l->p == l->end)
            return 0;
        if (*l->p != '#')
            break;
        skip_line(l);
    }
    if (is_word(*l->p))
        return word(l);
    return *l->p == '\'' || *l->p == '"' ? quoted(l) : single(l);
}

static void unquote(const char **s, size_t *len)
{
    while (*len > 0 && (**s == '\'' || **s == '"')) {
        ++*s;
        --*len;
    }
    while (*len > 0 && ((*s)[*len - 1] == '\'' || (*s)[*len - 1] == '"'))
        --*len;
}

/* The whole text is cut into tokens before anyone looks at pairs: a quotation
 * that stays open further on is the fault to report. */
static int unexpected(struct lexer *l, int r, const char **why)
{
    while (r > 0)
        r = next(l);
    if (r == 0)
        *why = "Unexpected end of key/value pairs";
    return -EINVAL;
}

/* One pair and what follows it; 1, 0 at the end, -EINVAL. */
static int pair(struct lexer *l, struct buf *name, keyvalue_fn each, void *ctx, const char **why)
{
    int r = next(l);
    if (r <= 0)
        return r;
    buf_reset(name);
    if (buf_add(name, l->token.data, l->token.len) < 0)
        return -ENOMEM;
    r = next(l);
    if (r <= 0 || strcmp(l->token.data, "=") != 0)
        return unexpected(l, r, why);
    r = next(l);
    if (r <= 0)
        return unexpected(l, r, why);
    const char *value = l->token.data;
    size_t len = l->token.len;
    unquote(&value, &len);
    if (l->token.error == 0 && each != NULL)
        each(ctx, name->data, name->len, value, len);
    r = next(l);
    return r < 0 ? r : 1;
}

int keyvalue_parse(const char *text, keyvalue_fn each, void *ctx, const char **why, bool *comment)
{
    size_t len = strlen(text);
    _cleanup_buf_ struct buf name = BUF_INIT(len + 1);
    struct lexer l = { .p = text, .end = text + len, .token = BUF_INIT(len + 1) };
    int r;
    do {
        *why = "No closing quotation";
        r = pair(&l, &name, each, ctx, why);
    } while (r == 1);
    if (l.token.error != 0)
        r = l.token.error;
    *comment = l.comment;
    buf_done(&l.token);
    return r;
}
