/* runs.c - the table of transient processes: how many there may be, which is which,
 * and what concerns them all.
 *
 * Owns the records until run.c says that one is over. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/run_internal.h"
#include "supervisor/run_say.h"
#include "supervisor/supervisor.h"

#define SLOT_LAST (36U * 36 * 36 * 36 - 1) /* of those that have a name with the guardian; no journal comes so far */

struct kept_key run_kept_key(const struct runs *all, const struct run_keep *k, unsigned number)
{
    return (struct kept_key){ .slot = SLOT_LAST - run_memory_index(all->memory, k),
                              .instance = (uint32_t)(k->number % 1296),
                              .number = number };
}

void runs_forget(struct run *r)
{
    struct runs *all = r->supervisor->runs;
    for (struct run **at = &all->first; *at != NULL; at = &(*at)->next) {
        if (*at == r) {
            *at = r->next;
            break;
        }
    }
    all->n--;
    all->n_attached -= r->attached;
}

void runs_add(struct supervisor *s, struct run *r)
{
    r->next = s->runs->first;
    s->runs->first = r;
    s->runs->n++;
    s->runs->n_attached += r->attached;
}

int runs_open(struct supervisor *s)
{
    if (s->runs != NULL)
        return 0;
    struct runs *all = calloc(1, sizeof(*all));
    if (all != NULL)
        all->memory = run_memory_new(s->options.holder);
    if (all == NULL || all->memory == NULL) {
        free(all);
        return -ENOMEM;
    }
    s->runs = all;
    return 0;
}

static int admit(struct supervisor *s, const struct run_order *o)
{
    int r = runs_open(s);
    if (r < 0)
        return r;
    return s->runs->n >= RUNS_MAX || (!o->detached && s->runs->n_attached >= RUNS_ATTACHED_MAX) ? -EBUSY : 0;
}

static uint64_t pipes_of(const struct program *p)
{
    uint64_t pipes = 0;
    for (unsigned i = 0; i < stdio_length(p->stdio); i++)
        if (stdio_entry(p->stdio, i).kind == STDIO_PIPE)
            pipes |= UINT64_C(1) << i;
    return pipes;
}

/* All that its end will need, and its client. */
static void fill(struct run_keep *k, const struct run_order *o, const struct program *p)
{
    k->owner = o->owner;
    k->key = o->key;
    k->max_buffer = o->max_buffer;
    k->pipes = pipes_of(p);
    k->began_wall = usec_now(CLOCK_REALTIME);
    k->timeout = p->common->timeout != USEC_INFINITY ? p->common->timeout : 0;
    k->detached = o->detached;
    k->kill_mode = (uint8_t)p->common->kill_mode;
    k->input_follows = o->input_follows;
    k->input_len = o->input != NULL ? (uint32_t)strnlen(o->input, RUN_INPUT_MAX) : 0;
    if (k->input_len > 0)
        memcpy(k->input, o->input, k->input_len);
    k->timeout_signal = p->common->timeout_signal;
    k->n_ladder = p->n_ladder < STOP_LADDER_MAX ? p->n_ladder : STOP_LADDER_MAX;
    for (unsigned i = 0; i < k->n_ladder; i++) {
        k->ladder[i].signal = p->ladder[i].signal;
        k->ladder[i].wait = p->ladder[i].wait;
    }
    snprintf(k->command, sizeof(k->command), "%s", p->command);
}

static struct run_keep *take_berth(struct runs *all, const struct run_order *o)
{
    struct run_keep *k = run_memory_take(all->memory, o->key);
    if (k == NULL)
        return NULL;
    fill(k, o, &o->config->groups[0].programs[0]);
    k->state = RUN_LIVES;
    return k;
}

int run_start(struct supervisor *s, const struct run_order *o, struct run **ret)
{
    char name[32];
    int q = admit(s, o);
    struct run *r = q == 0 ? calloc(1, sizeof(*r)) : NULL;
    if (r == NULL)
        return q < 0 ? q : -ENOMEM;
    *r = (struct run){ .supervisor = s,
                       .keep = take_berth(s->runs, o),
                       .config = config_ref(o->config),
                       .program = &o->config->groups[0].programs[0],
                       .client = o->client,
                       .skip = o->from,
                       .pidfd = -1,
                       .attached = !o->detached };
    if (r->keep != NULL) {
        snprintf(name, sizeof(name), "%" PRIu64, r->keep->number);
        r->name = event_name_new("run", name);
    }
    if (r->name == NULL) {
        run_free(r);
        return -ENOMEM;
    }
    runs_add(s, r);
    run_spawn(r, o);
    *ret = r;
    return 0;
}

void run_begin_answer(struct run *r)
{
    run_say_begun(r);
}

/* -- asking ------------------------------------------------------------------------- */

struct run *run_find(const struct supervisor *s, uint64_t number)
{
    struct run *r = s->runs != NULL ? s->runs->first : NULL;
    while (r != NULL && r->keep->number != number)
        r = r->next;
    return r != NULL && !r->ended ? r : NULL;
}

uint64_t run_number(const struct run *r)
{
    return r->keep->number;
}

uid_t run_owner(const struct run *r)
{
    return r->keep->owner;
}

struct run *run_next(const struct supervisor *s, const struct run *after)
{
    if (after != NULL)
        return after->next;
    return s->runs != NULL ? s->runs->first : NULL;
}

struct run_info run_info(const struct run *r)
{
    const struct run_keep *k = r->keep;
    return (struct run_info){ .number = k->number,
                              .pid = r->pidfd >= 0 ? k->pid : 0,
                              .owner = k->owner,
                              .command = k->command,
                              .began_wall = k->began_wall,
                              .detached = k->detached,
                              .attached = r->client.data != NULL,
                              .ending = k->told_to_end };
}

static struct run_feed *find_feed(const struct run *r, int number)
{
    struct run_feed *f = r->feeds;
    while (f != NULL && f->number != number)
        f = f->next;
    return f;
}

int run_write(struct run *r, int number, const void *data, size_t len, int64_t at, bool eof,
              void (*done)(int result, void *arg), void *arg)
{
    struct run_feed *f = find_feed(r, number);
    if (f == NULL)
        return number == 0 && (r->keep->pipes & 1) != 0 ? -EPIPE : -EBADF;
    if (at >= 0) {
        uint64_t given = r->keep->given[number];
        if (given < (uint64_t)at)
            return -ESPIPE;
        size_t skip = given - (uint64_t)at < len ? (size_t)(given - (uint64_t)at) : len;
        data = (const char *)data + skip;
        len -= skip;
    }
    return run_feed_write(f, data, len, eof, done, arg);
}

void run_write_cancel(struct run *r, int number)
{
    struct run_feed *f = find_feed(r, number);
    if (f != NULL)
        run_feed_cancel(f);
}

/* -- all together --------------------------------------------------------------------- */

void runs_stop(struct supervisor *s)
{
    struct run *next;
    for (struct run *r = s->runs != NULL ? s->runs->first : NULL; r != NULL; r = next) {
        next = r->next;
        if (r->keep->detached)
            continue;
        r->hurried = true; /* no client may hold up the end of the daemon */
        run_tell_to_end(r, ESHUTDOWN);
        run_look(r);
    }
}

bool runs_are_down(const struct supervisor *s)
{
    const struct run *r = s->runs != NULL ? s->runs->first : NULL;
    while (r != NULL && r->keep->detached)
        r = r->next;
    return r == NULL;
}

void runs_free(struct runs *runs)
{
    while (runs != NULL && runs->first != NULL) {
        struct run *r = runs->first;
        runs_forget(r);
        run_free(r);
    }
    if (runs != NULL)
        run_memory_free(runs->memory);
    free(runs);
}
