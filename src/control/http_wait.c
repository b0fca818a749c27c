/* http_wait.c - requests whose large answers have to wait, because clients have
 * left too much unread already.
 *
 * Nothing is kept of such an answer.  The request stays with its connection, and
 * when there is room it goes to the handler once more, as if it had come then; so
 * this is for requests that only ask.  The one that has waited longest is next.
 * Meanwhile those for whom it waits have less time to read on.  Small answers
 * never wait: the socket takes them.
 *
 * Owns nothing. */
#include "control/http_conn.h"

#include <string.h>

/* A unix socket takes more than this at once when nothing is in it. */
#define TAKEN_AT_ONCE (96 * 1024)

static struct http_conn *longest(struct http_server *s)
{
    struct http_conn *c, *found = NULL;
    LIST_FOREACH(c, &s->conns, link)
    if (c->waits_since != 0 && (found == NULL || c->waits_since < found->waits_since))
        found = c;
    return found;
}

bool http_wait_must(const struct http_conn *c, size_t len)
{
    const struct http_server *s = c->server;
    const char *method = c->request->head.method;
    size_t unread = s->unsent - s->streamed;
    return len > TAKEN_AT_ONCE && unread > 0 && unread + len - TAKEN_AT_ONCE > HTTP_REPLIES_CROWDED &&
           (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0);
}

void http_wait_begin(struct http_conn *c)
{
    struct http_server *s = c->server;
    c->request->on_close = NULL; /* the handler has done with it, for now */
    c->request->header = NULL;
    c->waits_on = true;
    if (c->waits_since != 0)
        return;
    c->waits_since = loop_now(s->loop);
    s->n_waiting++;
    http_conn_hurry(s);
}

void http_wait_end(struct http_conn *c)
{
    if (c->waits_since != 0)
        c->server->n_waiting--;
    c->waits_since = 0;
}

static void on_room(void *arg)
{
    struct http_server *s = arg;
    struct http_conn *c = longest(s);
    if (c == NULL || s->unsent - s->streamed > HTTP_REPLIES_CROWDED / 2)
        return;
    c->waits_on = false;
    s->handler(c->request, s->arg);
    if (c->waits_on) /* too much still; it keeps its place */
        return;
    http_wait_end(c);
    http_wait_look(s);
}

void http_wait_look(struct http_server *s)
{
    if (s->n_waiting > 0)
        loop_defer(s->loop, &s->room, on_room, s);
}
