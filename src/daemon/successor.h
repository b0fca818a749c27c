/* successor.h - droverctl upgrade: another program takes this one's place. */
#pragma once

#include "control/http.h"
#include "daemon/guarded.h"

struct successor;

int successor_new(struct loop *loop, struct holder *h, struct http_server *http, struct successor **ret);
void successor_free(struct successor *s);

/* Asks the program at `path` (NULL: where this one is) whether it can go on with our
 * state, and lets it do so.  `done` is told once: NULL when the answer is yes, and as
 * soon as what is written then has been read this process ends; or why not.  -EBUSY
 * while another is asked, or the errno of a file that cannot be executed: then
 * `done` is not called. */
int successor_ask(struct successor *s, const char *path, void (*done)(const char *why, void *arg), void *arg);
/* Its answer came; for guarded_on_answer(). */
void successor_answered(int status, void *arg);
