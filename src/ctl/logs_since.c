/* logs_since.c - `logs --since`: the lines of a log from some time on, of those of
 * its files that have been rotated as well.
 *
 * Owns nothing that outlives a call.  The daemon lists the files; we look at the
 * beginning of each, from the newest back to the first that begins with an older
 * line.  In that one the first wanted line is found by halves, and from there all is
 * read through the newer ones (control/log_place.h).  Files are asked for by their
 * number, since the daemon may rotate while we look. */
#include "ctl/logs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define PROBE (256 * 1024) /* longer than any line that log_format makes */
#define FILES_MAX 100000

/* Files of a log, newest first. */
struct files {
    uint64_t *list;
    size_t n;
};

/* One of them, at some place. */
struct probe {
    bool exists, found; /* found: a line with a time */
    int64_t size;
    int order; /* of that line */
};

/* -- the files --------------------------------------------------------------- */

/* What the answer has behind the last one that is known; what is before it was rotated
 * there meanwhile and is newer than all.  Without that one in it, those that were older
 * have gone as well. */
static int add_files(struct files *f, const json_t *answer)
{
    size_t n = json_array_size(answer), i = 0;
    uint64_t *list = realloc(f->list, (f->n + n + 1) * sizeof(*list));
    if (list == NULL)
        return -ENOMEM;
    f->list = list;
    uint64_t last = f->n > 0 ? f->list[f->n - 1] : 0;
    while (last != 0 && i < n && (uint64_t)ask_integer(json_array_get(answer, i++), "file", 0) != last)
        ;
    for (; i < n; i++)
        f->list[f->n++] = (uint64_t)ask_integer(json_array_get(answer, i), "file", 0);
    return 0;
}

static int list_files(struct logs_stream *s, struct files *f)
{
    for (size_t before = SIZE_MAX; f->n < FILES_MAX && f->n != before;) {
        _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
        _cleanup_answer_ struct answer a = { 0 };
        before = f->n;
        logs_path(&path, s);
        buf_printf(&path, "&files=1&rotated=%zu", f->n > 0 ? f->n - 1 : 0);
        int e = path.error < 0 ? path.error : ask(s->ctl, "GET", path.data, NULL, 0, &a);
        if (e < 0 || a.status != 200)
            return e < 0 ? e : logs_refused(s, &a);
        const json_t *list = answer_list(s->ctl, &a, "files");
        if (list == NULL || add_files(f, list) < 0)
            return -EPROTO;
    }
    return 0;
}

/* Bytes of the i-th file, which may have been rotated oftener by now. */
static int part(struct logs_stream *s, const struct files *f, size_t i, int64_t from, int64_t most, struct answer *a)
{
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
    logs_path(&path, s);
    buf_printf(&path, "&rotated=%zu&file=%llu&offset=%lld&length=%lld", i, (unsigned long long)f->list[i],
               (long long)from, (long long)most);
    struct client_request q = { .method = "GET", .path = path.data, .patience = CLIENT_PATIENCE };
    int e = path.error < 0 ? path.error : ask_as_is(s->ctl, &q, a);
    if (e == 0 && a->status != 200 && strcmp(answer_fault(a), "NO_FILE") != 0)
        answer_complain(s->ctl, a, s->process->name);
    return e;
}

/* -- which of them, and where ----------------------------------------------------- */

static int look(struct logs *l, struct logs_stream *s, const struct files *f, size_t i, int64_t from, struct probe *p)
{
    _cleanup_answer_ struct answer a = { 0 };
    int e = part(s, f, i, from, PROBE, &a);
    *p = (struct probe){ .exists = e == 0 && a.status == 200, .size = a.size };
    bool whole = from == 0 || (from < 0 && a.size <= -from);
    p->found = p->exists && a.body.len > 0 && since_compare_first(&l->since, a.body.data, a.body.len, whole, &p->order);
    return e;
}

/* 1: all of it is to be shown, and older ones may be; 0: a part of it, or nothing;
 * -ENODATA: it has lines, and none has a time. */
static int judge(struct logs *l, struct logs_stream *s, const struct files *f, size_t i)
{
    struct probe p;
    int e = look(l, s, f, i, 0, &p);
    if (e < 0 || !p.exists || p.size == 0)
        return e < 0 ? e : 1;
    if (p.found)
        return p.order >= 0;
    e = look(l, s, f, i, -PROBE, &p); /* the format may have been another one before */
    return e < 0 ? e : p.found ? 0 : -ENODATA;
}

/* The oldest one to look into. */
static int choose(struct logs *l, struct logs_stream *s, const struct files *f, size_t *ret)
{
    size_t i = 0;
    int e = judge(l, s, f, i);
    while (e > 0 && i + 1 < f->n)
        e = judge(l, s, f, ++i);
    if (e == -ENODATA && i > 0) { /* what is raw is older */
        i--;
        e = 0;
    }
    *ret = i;
    return e < 0 ? e : 0;
}

/* Where its first wanted line is, or shortly before it: times grow within a file. */
static int find_line(struct logs *l, struct logs_stream *s, const struct files *f, size_t i, int64_t *at)
{
    struct probe p;
    int e = look(l, s, f, i, 0, &p);
    int64_t size = p.size;
    *at = 0;
    for (int64_t end = size; e == 0 && p.exists && end - *at > PROBE;) {
        int64_t middle = *at + (end - *at) / 2;
        e = look(l, s, f, i, middle, &p);
        if (p.size < size) { /* it was emptied meanwhile: what is there is new */
            *at = 0;
            break;
        }
        if (p.found && p.order >= 0)
            end = middle;
        else
            *at = middle;
    }
    return e;
}

/* -- showing them ------------------------------------------------------------------ */

static void tell_raw(struct logs_stream *s)
{
    ctl_fail(s->ctl, "%s: ERROR (no line of its %s has a time: set log_format to timestamp or json, or take -n)",
             s->process->name, s->is_stderr ? "stderr log" : "log");
    ctl_status(s->ctl, CTL_GENERIC);
    s->exists = false;
}

static int show(struct logs *l, struct logs_stream *s, const struct files *f, size_t i)
{
    _cleanup_answer_ struct answer a = { 0 };
    int64_t at;
    int e = find_line(l, s, f, i, &at);
    if (e == 0)
        e = part(s, f, i, at, LOGS_CHUNK_MAX, &a);
    if (e < 0)
        return e;
    s->waits = &l->since;
    if (a.status != 200) { /* as old as anything that is kept, and gone by now */
        ctl_note(s->ctl, "%s: the oldest file of its log went away before it was shown", s->process->name);
        return 0;
    }
    logs_came(s, &a);
    e = lines_add(&s->lines, a.body.data, a.body.len);
    return e < 0 ? e : logs_more(s);
}

int logs_since(struct logs *l, struct logs_stream *s)
{
    struct files f = { 0 };
    size_t oldest;
    int e = list_files(s, &f);
    s->exists = e == 0 && s->never == NULL;
    if (e == 0 && f.n > 0) {
        e = choose(l, s, &f, &oldest);
        if (e == 0)
            e = show(l, s, &f, oldest);
    }
    if (e == -ENODATA) {
        tell_raw(s);
        e = 0;
    }
    free(f.list);
    return e;
}
