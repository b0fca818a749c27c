/* route.h - who a message is for: addresses, who may talk to whom, who of a pool.
 *
 * Pure.  The owner says which processes take part, which of them can be reached and
 * how much each has to do; the answer to an address is a list of them.
 *
 *   api         one other process of the program: the least to do, then in turn
 *   api:api_3   that one; so is a name as `status` prints it
 *   api:*       all of the group, or else of the program
 *   @group      all of the group
 *   *           everybody but the sender */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct route;
struct route_party;

/* Strings are borrowed for the call of route_join() only. */
struct route_profile {
    const char *name; /* as `status` prints it: "web", "web:web_1" */
    const char *group;
    const char *process; /* "web_1" */
    const char *program;
    const char *const *send_to; /* names of programs and groups, or "*"; NULL: everybody */
    const char *const *accept_from;
};

/* A process that takes part: memory of the owner's, who says whether it is up. */
struct route_member {
    const char *name; /* first, see route.c; these are in one block of its own */
    const char *group;
    const char *process;
    const char *program;
    const char *const *send_to;
    const char *const *accept_from;
    void *block;
    bool up;              /* can be reached */
    uint32_t asked, open; /* requests of its own that are open, and those it has not answered; requests.c's, */
    uint32_t asked_first, open_first; /* with these */
    uint64_t stamp;
    /* the last address it sent to, and what that was */
    uint64_t cached_at;
    struct route_member *cached_member;
    struct route_party *cached_party;
    char cached[39];
    uint8_t cached_len;
};

#define ROUTE_FULL UINT32_MAX
/* How many messages wait for a member; ROUTE_FULL: it has no room. */
typedef uint32_t (*route_load_fn)(const struct route_member *m);

int route_new(route_load_fn load, struct route **ret);
void route_free(struct route *r); /* all members have left */

/* 0, -EEXIST (the name is there), -ENOMEM. */
int route_join(struct route *r, struct route_member *m, const struct route_profile *p);
void route_leave(struct route *r, struct route_member *m);
size_t route_size(const struct route *r); /* how many have joined: 0 when all have left */

/* Receivers are gathered here; the list is borrowed until the next route_begin(). */
struct route_set {
    struct route_member **list;
    size_t n;
    bool supervisor; /* "$" was among the addresses */
    bool many;       /* an address for all of something was */
    bool pool;       /* an address for one of several was */
};

/* Nobody is in the set yet. */
void route_begin(struct route *r, struct route_set *set);

/* Adds whom an address means, each once.  0, or why there is nobody: -ENOENT no such
 * program or process takes part, -EHOSTDOWN none of them can be reached, -EACCES
 * one of both does not want it, -EINVAL no address. */
int route_add(struct route *r, struct route_member *sender, const char *address, size_t len, struct route_set *set);
