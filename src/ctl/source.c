/* source.c - see source.h.  Owns nothing: texts are its user's. */
#include "ctl/source.h"

#include <stdlib.h>
#include <string.h>

#include "ctl/ask.h"

int source_path(const struct source *s, struct buf *path)
{
    buf_puts(path, s->path);
    if (s->place[0] != '\0')
        buf_printf(path, "&from=%s:%lld", s->place, (long long)s->at);
    else
        buf_puts(path, s->begun ? s->blind : s->first);
    return path->error;
}

int source_sink(void *arg, const char *data, size_t len)
{
    struct source *s = arg;
    if (s->anew == NULL)
        s->at += (int64_t)len;
    return s->sink(s->arg, data, len);
}

void source_place(struct source *s, const char *place)
{
    const char *colon = strrchr(place, ':');
    s->place[0] = '\0';
    if (colon == NULL)
        return;
    memcpy(s->place, place, (size_t)(colon - place));
    s->place[colon - place] = '\0';
    if (s->place[strspn(s->place, "0123456789abcdefghijklmnopqrstuvwxyz.-")] != '\0')
        s->place[0] = '\0'; /* that is none of ours */
    s->at = strtoll(colon + 1, NULL, 10);
}

void source_began(void *arg, const struct reply *r)
{
    struct source *s = arg;
    if (r->status != 200)
        return;
    bool again = s->begun, missed = r->missed || (again && s->place[0] == '\0');
    s->begun = true;
    s->more = r->more;
    gap_over(&s->gap);
    source_place(s, r->place);
    if (s->anew != NULL)
        s->anew(s->arg);
    if (missed)
        ctl_note(s->ctl, "%s: %ssomething may be missing here", s->what, again ? "the daemon was replaced; " : "");
}
