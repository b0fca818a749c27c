/* reader.c - see reader.h.
 *
 * One pass, one line at a time, any length; a value that goes on over many lines
 * grows in one buffer.  Every odd rule here is configparser's, since files rely
 * on them without knowing: how deep a line must be indented to continue a value,
 * that comments inside a value do not end it, that some comments behind a value are
 * not seen (find_comment() below).  inih could do none of this (it cuts lines at 199 bytes and
 * reads the rest as a new line), so it only ever sees what config/ini.c makes of
 * the records.  Owns the list of records; their text is the arena's. */
#include "config/reader.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"

struct line {
    const char *s;
    size_t len; /* without the newline */
    bool newline;
    uint32_t number;
    const char *value; /* without comments and the blanks at its ends */
    size_t value_len;
    bool comment;
};

struct state {
    struct reader *r;
    const char *path;
    const char *p, *end;
    uint32_t number;
    bool in_section;
    bool in_key;
    size_t indent;
    struct buf value; /* of the key being read */
    char quote;       /* open at the end of what was read of it */
    struct buf bad;   /* supervisord's list of bad lines */
};

/* --- what is wrong --------------------------------------------------------- */

static const char *quoted(struct arena *a, const char *s, size_t len, bool newline)
{
    _cleanup_buf_ struct buf text = BUF_INIT(len + 2), out = BUF_INIT(len * 10 + 16);
    buf_add(&text, s, len);
    if (newline)
        buf_putc(&text, '\n');
    utf8_quote(&out, text.data, text.len, false);
    return out.error != 0 ? "" : arena_copy(a, out.data, out.len);
}

static void fault(struct reader *r, uint32_t line, const char *what, const char *compat)
{
    if (r->faults == NULL)
        r->faults = arena_new_array(r->arena, READER_FAULTS_MAX, struct reader_fault);
    if (r->faults != NULL && r->n_faults < READER_FAULTS_MAX)
        r->faults[r->n_faults++] = (struct reader_fault){ line, what, compat };
}

/* Only the first line of this kind stops supervisord; what it says then lists
 * them all, so the words are put in when the file has been read. */
static void bad_line(struct state *s, const struct line *l, const char *what)
{
    if (s->r->n_faults < READER_FAULTS_MAX)
        buf_printf(&s->bad, "\n\t[line %2u]: %s", l->number, quoted(s->r->arena, l->s, l->len, l->newline));
    fault(s->r, l->number, what, NULL);
}

static void missing_header(struct state *s, const struct line *l)
{
    static const char bom[] = "\xEF\xBB\xBF";
    struct arena *a = s->r->arena;
    const char *what = "a key before the first [section]; begin with a section such as [supervisord]";
    if (l->len >= 3 && memcmp(l->s, bom, 3) == 0)
        what = "the file begins with a byte order mark; save it as UTF-8 without one";
    fault(s->r, l->number, what,
          arena_printf(a, "File contains no section headers.\nfile: %s, line: %u\n%s",
                       quoted(a, s->path, strlen(s->path), false), l->number, quoted(a, l->s, l->len, l->newline)));
}

/* --- records --------------------------------------------------------------- */

static struct reader_record *add_record(struct state *s, const struct reader_record *record)
{
    struct reader *r = s->r;
    if (r->n_records == r->capacity) {
        size_t capacity = r->capacity == 0 ? 64 : r->capacity * 2;
        struct reader_record *bigger = reallocarray(r->records, capacity, sizeof *bigger);
        if (bigger == NULL) {
            r->arena->failed = true;
            return NULL;
        }
        r->records = bigger;
        r->capacity = capacity;
    }
    r->records[r->n_records] = *record;
    return &r->records[r->n_records++];
}

static void end_key(struct state *s)
{
    if (!s->in_key)
        return;
    utf8_rstrip(s->value.data, &s->value.len);
    s->r->records[s->r->n_records - 1].value = arena_copy(s->r->arena, s->value.data, s->value.len);
    if (s->value.error != 0)
        s->r->arena->failed = true;
    s->in_key = false;
}

/* --- lines ----------------------------------------------------------------- */

/* Ends at \n, \r or \r\n, as text files do in Python. */
static bool next_line(struct state *s, struct line *l)
{
    if (s->p == s->end)
        return false;
    *l = (struct line){ .s = s->p, .number = ++s->number };
    while (s->p < s->end && *s->p != '\n' && *s->p != '\r')
        s->p++;
    l->len = (size_t)(s->p - l->s);
    if (s->p < s->end) {
        l->newline = true;
        s->p += *s->p == '\r' && s->p + 1 < s->end && s->p[1] == '\n' ? 2 : 1;
    }
    return true;
}

static const char *find(const char *s, const char *end, char c)
{
    return s == NULL || s >= end ? NULL : memchr(s, c, (size_t)(end - s));
}

static bool starts_comment(const struct line *l, const char *mark)
{
    return mark != NULL && (mark == l->s || utf8_space_before(l->s, (size_t)(mark - l->s)));
}

/* The mark that begins a comment behind something, or the line's end.  The n-th
 * ";" and the n-th "#" are looked at together: a "#" that comes first but has
 * more of its kind before it than the ";" has is not seen. */
static const char *find_comment(const struct line *l)
{
    const char *end = l->s + l->len;
    const char *semicolon = find(l->s, end, ';'), *hash = find(l->s, end, '#');
    while (semicolon != NULL || hash != NULL) {
        const char *first = end;
        if (starts_comment(l, semicolon))
            first = semicolon;
        if (starts_comment(l, hash) && hash < first)
            first = hash;
        if (first != end)
            return first;
        semicolon = semicolon == NULL ? NULL : find(semicolon + 1, end, ';');
        hash = hash == NULL ? NULL : find(hash + 1, end, '#');
    }
    return end;
}

static void cut_comment(struct line *l)
{
    const char *start = l->s, *end = find_comment(l);
    size_t len = l->len;
    utf8_strip(&start, &len);
    if (len > 0 && (*start == ';' || *start == '#'))
        end = l->s;
    l->comment = end != l->s + l->len || (len > 0 && (*start == ';' || *start == '#'));
    l->value = l->s;
    l->value_len = (size_t)(end - l->s);
    utf8_strip(&l->value, &l->value_len);
}

/* Follows quotes through a value, to notice a comment mark inside them. */
static char follow_quotes(char open, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '\\' && open != '\'')
            i++;
        else if (open != '\0')
            open = s[i] == open ? '\0' : open;
        else if (s[i] == '\'' || s[i] == '"')
            open = s[i];
    }
    return open;
}

static void note_quotes(struct state *s, const struct line *l, const char *part, size_t len)
{
    struct reader_record *record = &s->r->records[s->r->n_records - 1];
    const char *end = l->s + l->len;
    s->quote = follow_quotes(s->quote, part, len);
    if (!l->comment || s->quote == '\0' || record->cut)
        return;
    if (find(part + len, end, s->quote) != NULL) {
        record->cut = true;
        record->cut_line = l->number;
    }
}

static void read_section(struct state *s, const struct line *l, size_t close)
{
    end_key(s);
    s->in_section = true;
    add_record(s, &(struct reader_record){
                      .is_section = true,
                      .line = l->number,
                      .name = arena_copy(s->r->arena, l->value + 1, close - 1),
                  });
}

static void read_key(struct state *s, const struct line *l)
{
    size_t name_len = 0;
    while (name_len < l->value_len && l->value[name_len] != '=' && l->value[name_len] != ':')
        name_len++;
    if (name_len == l->value_len) {
        bad_line(s, l,
                 "neither a [section] nor a key with a value; write key = value, or indent it deeper than the key "
                 "that it continues");
        return;
    }
    const char *value = l->value + name_len + 1;
    size_t value_len = l->value_len - name_len - 1;
    utf8_strip(&value, &value_len);
    utf8_rstrip(l->value, &name_len);
    end_key(s);
    if (name_len == 0) {
        bad_line(s, l, "a value without a key; write key = value");
        return;
    }
    char *name = arena_copy(s->r->arena, l->value, name_len);
    for (char *p = name; *p != '\0'; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    if (add_record(s, &(struct reader_record){ .line = l->number, .name = name, .value = "" }) == NULL)
        return;
    s->in_key = true;
    s->quote = '\0';
    buf_reset(&s->value);
    buf_add(&s->value, value, value_len);
    note_quotes(s, l, value, value_len);
}

static size_t indentation(const struct line *l)
{
    return utf8_count(l->s, (size_t)(l->value - l->s));
}

static bool read_line(struct state *s, struct line *l)
{
    cut_comment(l);
    if (l->value_len == 0) {
        if (!l->comment && s->in_key)
            buf_putc(&s->value, '\n');
        return true;
    }
    size_t indent = indentation(l);
    if (s->in_key && indent > s->indent) {
        buf_putc(&s->value, '\n');
        buf_add(&s->value, l->value, l->value_len);
        note_quotes(s, l, l->value, l->value_len);
        return true;
    }
    s->indent = indent;
    const char *close = l->value[0] == '[' ? memrchr(l->value, ']', l->value_len) : NULL;
    if (close != NULL && close - l->value >= 2)
        read_section(s, l, (size_t)(close - l->value));
    else if (s->in_section)
        read_key(s, l);
    else
        missing_header(s, l);
    return s->in_section;
}

/* --- the file -------------------------------------------------------------- */

static uint32_t line_of(const char *text, size_t at)
{
    uint32_t line = 1;
    for (size_t i = 0; i < at; i++)
        line += text[i] == '\n' || (text[i] == '\r' && text[i + 1] != '\n');
    return line;
}

/* No text at all: NUL bytes, or something else than UTF-8. */
static bool check_bytes(struct reader *r, const char *text, size_t len)
{
    size_t where;
    const char *why;
    const char *nul = memchr(text, '\0', len);
    if (nul != NULL) {
        where = (size_t)(nul - text);
        fault(r, line_of(text, where), "a NUL byte; a configuration file is text", "source contains a NUL byte");
        return false;
    }
    size_t bad = utf8_check(text, len, &where, &why);
    if (bad == 0)
        return true;
    const char *compat = bad == 1 ? arena_printf(r->arena, "'utf-8' codec can't decode byte 0x%02x in position %zu: %s",
                                                 (unsigned char)text[where], where, why)
                                  : arena_printf(r->arena, "'utf-8' codec can't decode bytes in position %zu-%zu: %s",
                                                 where, where + bad - 1, why);
    fault(r, line_of(text, where), "not UTF-8; save the file as UTF-8", compat);
    return false;
}

int reader_read(struct reader *r, const char *path, const char *text, size_t len)
{
    if (!check_bytes(r, text, len))
        return r->arena->failed ? -ENOMEM : 0;
    struct state s = {
        .r = r,
        .path = path,
        .p = text,
        .end = text + len,
        .value = BUF_INIT(len + 1),
        .bad = BUF_INIT(SIZE_MAX / 2),
    };
    struct line l;
    while (next_line(&s, &l) && read_line(&s, &l))
        ;
    end_key(&s);
    if (s.bad.len > 0)
        r->faults[0].compat = arena_printf(r->arena, "Source contains parsing errors: %s%s",
                                           quoted(r->arena, path, strlen(path), false), s.bad.data);
    buf_done(&s.value);
    buf_done(&s.bad);
    return r->arena->failed ? -ENOMEM : 0;
}

void reader_done(struct reader *r)
{
    free(r->records);
    r->records = NULL;
    r->n_records = r->capacity = 0;
}
