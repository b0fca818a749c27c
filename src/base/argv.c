/* argv.c - see argv.h.
 *
 * The rules are those of POSIX quoting as Python's shlex.split() applies them:
 * blanks are space, tab, CR and LF; a backslash takes the next byte as it is,
 * inside double quotes only before a double quote or a backslash.  The scan runs
 * twice, first to measure, then to write, so one exact block holds the result. */
#include "base/argv.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

struct sink {
    char **words; /* NULL: only measure */
    char *bytes;
    size_t n_words;
    size_t n_bytes;
    bool open;
};

static void begin(struct sink *k)
{
    if (k->open)
        return;
    if (k->words != NULL)
        k->words[k->n_words] = k->bytes + k->n_bytes;
    k->n_words++;
    k->open = true;
}

static void put(struct sink *k, char c)
{
    if (k->bytes != NULL)
        k->bytes[k->n_bytes] = c;
    k->n_bytes++;
}

static void finish(struct sink *k)
{
    if (k->open)
        put(k, '\0');
    k->open = false;
}

/* From after the opening mark to after the closing one; NULL: there is none. */
static const char *quoted(struct sink *k, const char *s, char mark)
{
    for (; *s != '\0'; s++) {
        if (*s == mark)
            return s + 1;
        if (*s == '\\' && mark == '"') {
            if (s[1] == '\0')
                return NULL;
            if (s[1] != '"' && s[1] != '\\')
                put(k, '\\');
            s++;
        }
        put(k, *s);
    }
    return NULL;
}

/* Did the quotation that s ran out of end in a lone backslash? */
static bool ends_escaped(const char *s, char mark)
{
    for (; mark == '"' && *s != '\0'; s++) {
        if (*s != '\\')
            continue;
        if (s[1] == '\0')
            return true;
        s++;
    }
    return false;
}

static const char *scan(struct sink *k, const char *s)
{
    while (*s != '\0') {
        char c = *s++;
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            finish(k);
            continue;
        }
        begin(k);
        if (c == '\'' || c == '"') {
            const char *end = quoted(k, s, c);
            if (end == NULL)
                return ends_escaped(s, c) ? "No escaped character" : "No closing quotation";
            s = end;
        } else if (c == '\\') {
            if (*s == '\0')
                return "No escaped character";
            put(k, *s++);
        } else {
            put(k, c);
        }
    }
    finish(k);
    return NULL;
}

int argv_split(const char *command, char ***argv, size_t *n, const char **why)
{
    struct sink measure = { 0 };
    const char *error = scan(&measure, command);
    if (error != NULL) {
        *why = error;
        return -EINVAL;
    }
    size_t pointers = (measure.n_words + 1) * sizeof(char *);
    char **words = malloc(pointers + measure.n_bytes);
    if (words == NULL)
        return -ENOMEM;
    struct sink k = { .words = words, .bytes = (char *)words + pointers };
    scan(&k, command);
    words[k.n_words] = NULL;
    *argv = words;
    *n = k.n_words;
    return 0;
}

int argv_quote(struct buf *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
    if (*word != '\0' && word[strspn(word, plain)] == '\0')
        return buf_puts(out, word);
    buf_putc(out, '\'');
    for (; *word != '\0'; word++) {
        if (*word == '\'')
            buf_puts(out, "'\"'\"'");
        else
            buf_putc(out, *word);
    }
    return buf_putc(out, '\'');
}
