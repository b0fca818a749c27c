/* ask.h - one question to the daemon, and its answer as JSON. */
#pragma once

#include "ctl/ctl.h"

struct answer {
    int status;                  /* of HTTP */
    bool again;                  /* it was asked more than once, since an answer was lost */
    int64_t size;                /* of the log that was asked for, or -1 */
    char place[REPLY_PLACE_MAX]; /* where in it the answer begins, or "" */
    struct buf body;             /* as it came */
    json_t *json;                /* NULL when ASK_RAW or a stream */
    const json_t *error;         /* the "error" object of a refusal, or NULL */
};

enum ask_flags {
    ASK_RAW = 1 << 0,    /* do not parse an answer 200 */
    ASK_WAIT = 1 << 1,   /* the daemon answers when it is done: no limit */
    ASK_AGAIN = 1 << 2,  /* it may be asked twice, if the first answer was lost; a GET always may */
    ASK_UNTOLD = 1 << 3, /* that there is no answer is for the caller to tell: ctl_connection_failed() */
    ASK_ONCE = 1 << 4,   /* whatever it is */
};

/* A path that names a process: prefix, percent-encoded name, suffix. */
void ask_path(struct buf *path, const char *prefix, const char *name, const char *suffix);

/* 0: there is an answer, good or bad.  Negative: there is none or it is not to be
 * read, and the user was told. */
int ask(struct ctl *c, const char *method, const char *path, const char *body, unsigned flags, struct answer *ret);

/* The same for bytes that are no text. */
int ask_raw(struct ctl *c, const struct client_request *q, struct answer *ret);

/* The same, and an answer 200 stays as it came. */
int ask_as_is(struct ctl *c, const struct client_request *q, struct answer *ret);

/* What is followed, over the death of supervisors: the body of a 200 goes to its sink. */
struct source;
int ask_source(struct ctl *c, struct source *s, struct answer *ret);

/* Adds the processes that `name` (NULL: all) means to the array `all`; fields as
 * in the interface, NULL for everything.  A name that means none is told to the
 * user, and ends with `unknown`; only a negative result is a reason to stop. */
int ask_processes(struct ctl *c, const char *name, const char *fields, int unknown, json_t *all);

void answer_done(struct answer *a);
#define _cleanup_answer_ __attribute__((cleanup(answer_done)))

/* "" when the answer is no refusal or has no such string. */
const char *answer_fault(const struct answer *a);
const char *answer_message(const struct answer *a);
/* Says why a verb about one process failed, with its exit status; why: the words where
 * the process exists and runs. */
void answer_complain_process(struct ctl *c, const struct answer *a, const char *name, const char *why);

/* The list `key` of an answer 200; without one the user is told, and it is NULL. */
json_t *answer_list(struct ctl *c, const struct answer *a, const char *key);

/* The daemon is shutting down.  One that begins anew has words of its own for that. */
bool answer_is_end(const struct answer *a);
/* For refusals that the verb has no own words for: stderr and exit status 1. */
void answer_complain(struct ctl *c, const struct answer *a, const char *what);

/* Strings and numbers of an object that may be anything. */
const char *ask_string(const json_t *object, const char *key, const char *otherwise);
long long ask_integer(const json_t *object, const char *key, long long otherwise);
bool ask_true(const json_t *object, const char *key);

/* Parses with limits on how much memory the tree may take; NULL when it is not JSON or too much. */
json_t *ask_parse(const char *text, size_t len);
