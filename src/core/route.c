/* route.c - see route.h.  Owns the lists of names and, of each member, one block
 * with copies of its strings; the members are the owner's.
 *
 * Members, programs and groups are kept sorted by name.  Since most senders send
 * to one address again and again, each remembers the last one; `epoch` says
 * whether that still holds. */
#include "core/route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Members or parties, sorted by name; both begin with a pointer to theirs. */
struct list {
    void **items;
    size_t n, size;
};

/* The members of a program or of a group. */
struct route_party {
    const char *name; /* of the first member's */
    struct list members;
    size_t turn; /* who of it is asked first */
};

struct route {
    struct list everybody, programs, groups;
    struct route_member **set; /* room for all of them */
    size_t set_size;
    uint64_t epoch; /* grows when somebody joins or leaves */
    uint64_t stamp; /* of the set that is being gathered */
    route_load_fn load;
};

int route_new(route_load_fn load, struct route **ret)
{
    struct route *r = calloc(1, sizeof(*r));
    if (r == NULL)
        return -ENOMEM;
    r->load = load;
    r->epoch = 1;
    *ret = r;
    return 0;
}

void route_free(struct route *r)
{
    if (r == NULL)
        return;
    free(r->everybody.items);
    free(r->programs.items);
    free(r->groups.items);
    free(r->set);
    free(r);
}

size_t route_size(const struct route *r)
{
    return r->everybody.n;
}

/* -- lists ------------------------------------------------------------------- */

static const char *name_of(const void *item)
{
    return *(const char *const *)item;
}

static int compare_name(const char *name, size_t len, const char *other)
{
    int order = strncmp(name, other, len);
    return order != 0 ? order : other[len] == '\0' ? 0 : -1;
}

/* Where a name is, or would be. */
static size_t place(const struct list *l, const char *name, size_t len, bool *there)
{
    size_t low = 0, high = l->n;
    *there = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare_name(name, len, name_of(l->items[middle]));
        if (order == 0) {
            *there = true;
            return middle;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void *find(const struct list *l, const char *name, size_t len)
{
    bool there;
    size_t at = place(l, name, len, &there);
    return there ? l->items[at] : NULL;
}

static int insert(struct list *l, size_t at, void *item)
{
    if (l->n == l->size) {
        size_t size = l->size == 0 ? 4 : l->size * 2;
        void **items = reallocarray(l->items, size, sizeof(*items));
        if (items == NULL)
            return -ENOMEM;
        l->items = items;
        l->size = size;
    }
    memmove(l->items + at + 1, l->items + at, (l->n - at) * sizeof(*l->items));
    l->items[at] = item;
    l->n++;
    return 0;
}

static size_t extract(struct list *l, const void *item)
{
    size_t at = 0;
    while (at < l->n && l->items[at] != item)
        at++;
    if (at < l->n) {
        l->n--;
        memmove(l->items + at, l->items + at + 1, (l->n - at) * sizeof(*l->items));
    }
    return at;
}

/* Into the party of that name, which is made if there is none. */
static int enter(struct list *parties, const char *name, struct route_member *m)
{
    bool there;
    size_t at = place(parties, name, strlen(name), &there);
    struct route_party *p = there ? parties->items[at] : calloc(1, sizeof(*p));
    if (p == NULL)
        return -ENOMEM;
    p->name = name;
    if (!there && insert(parties, at, p) < 0) {
        free(p);
        return -ENOMEM;
    }
    bool twice;
    return insert(&p->members, place(&p->members, m->name, strlen(m->name), &twice), m);
}

/* A party without members goes. */
static void quit(struct list *parties, const char *name, const struct route_member *m, bool of_program)
{
    struct route_party *p = find(parties, name, strlen(name));
    if (p == NULL)
        return;
    size_t at = extract(&p->members, m);
    if (p->turn > at)
        p->turn--;
    if (p->members.n > 0) { /* the name may have been that member's */
        const struct route_member *first = p->members.items[0];
        p->name = of_program ? first->program : first->group;
        return;
    }
    extract(parties, p);
    free(p->members.items);
    free(p);
}

/* -- coming and going --------------------------------------------------------- */

static size_t size_of_names(const char *const *names, size_t *n)
{
    size_t bytes = 0;
    *n = 0;
    for (; names != NULL && names[*n] != NULL; ++*n)
        bytes += strlen(names[*n]) + 1;
    return bytes;
}

/* A member's own copies of strings, laid down one behind the other. */
struct copier {
    const char **pointers;
    char *bytes;
};

static const char *copy_string(struct copier *c, const char *s)
{
    size_t size = strlen(s) + 1;
    char *at = memcpy(c->bytes, s, size);
    c->bytes += size;
    return at;
}

static const char *const *copy_names(struct copier *c, const char *const *names)
{
    if (names == NULL)
        return NULL;
    const char **first = c->pointers;
    for (; *names != NULL; names++)
        *c->pointers++ = copy_string(c, *names);
    *c->pointers++ = NULL;
    return first;
}

static int copy_profile(struct route_member *m, const struct route_profile *p)
{
    size_t n_to, n_from;
    size_t bytes = size_of_names(p->send_to, &n_to) + size_of_names(p->accept_from, &n_from) + strlen(p->name) +
                   strlen(p->group) + strlen(p->process) + strlen(p->program) + 4;
    size_t pointers = (n_to + n_from + 2) * sizeof(char *);
    char *block = malloc(pointers + bytes);
    if (block == NULL)
        return -ENOMEM;
    struct copier c = { .pointers = (const char **)(void *)block, .bytes = block + pointers };
    *m = (struct route_member){
        .name = copy_string(&c, p->name),
        .group = copy_string(&c, p->group),
        .process = copy_string(&c, p->process),
        .program = copy_string(&c, p->program),
        .send_to = copy_names(&c, p->send_to),
        .accept_from = copy_names(&c, p->accept_from),
        .block = block,
    };
    return 0;
}

static int make_room_in_set(struct route *r)
{
    if (r->everybody.n < r->set_size)
        return 0;
    size_t size = r->set_size == 0 ? 8 : r->set_size * 2;
    struct route_member **set = reallocarray(r->set, size, sizeof(*set));
    if (set == NULL)
        return -ENOMEM;
    r->set = set;
    r->set_size = size;
    return 0;
}

int route_join(struct route *r, struct route_member *m, const struct route_profile *p)
{
    bool there;
    size_t at = place(&r->everybody, p->name, strlen(p->name), &there);
    if (there)
        return -EEXIST;
    int error = make_room_in_set(r);
    if (error == 0)
        error = copy_profile(m, p);
    if (error < 0)
        return error;
    error = insert(&r->everybody, at, m);
    if (error == 0)
        error = enter(&r->programs, m->program, m);
    if (error == 0)
        error = enter(&r->groups, m->group, m);
    if (error < 0)
        route_leave(r, m);
    r->epoch++;
    return error;
}

void route_leave(struct route *r, struct route_member *m)
{
    extract(&r->everybody, m);
    quit(&r->programs, m->program, m, true);
    quit(&r->groups, m->group, m, false);
    free(m->block);
    memset(m, 0, sizeof(*m));
    r->epoch++;
}

/* -- who may talk to whom ------------------------------------------------------ */

static bool names_has(const char *const *names, const struct route_member *m)
{
    if (names == NULL)
        return true;
    for (; *names != NULL; names++)
        if (strcmp(*names, "*") == 0 || strcmp(*names, m->program) == 0 || strcmp(*names, m->group) == 0)
            return true;
    return false;
}

static bool may_send(const struct route_member *sender, const struct route_member *receiver)
{
    return names_has(sender->send_to, receiver) && names_has(receiver->accept_from, sender);
}

/* -- addresses ----------------------------------------------------------------- */

void route_begin(struct route *r, struct route_set *set)
{
    r->stamp++;
    *set = (struct route_set){ .list = r->set };
}

static void put(struct route *r, struct route_set *set, struct route_member *m)
{
    if (m->stamp == r->stamp)
        return;
    m->stamp = r->stamp;
    set->list[set->n++] = m;
}

static int add_one(struct route *r, const struct route_member *sender, struct route_member *m, struct route_set *set)
{
    if (!may_send(sender, m))
        return -EACCES;
    if (!m->up)
        return -EHOSTDOWN;
    put(r, set, m);
    return 0;
}

static int add_all(struct route *r, const struct route_member *sender, const struct list *l, bool but_sender,
                   struct route_set *set)
{
    int error = -EHOSTDOWN;
    bool any = false;
    set->many = true;
    for (size_t i = 0; i < l->n; i++) {
        if (but_sender && l->items[i] == sender)
            continue;
        int result = add_one(r, sender, l->items[i], set);
        any |= result == 0;
        if (result == -EACCES)
            error = -EACCES;
    }
    return any ? 0 : error;
}

static uint32_t load_of(const struct route *r, const struct route_member *m)
{
    uint32_t waiting = r->load != NULL ? r->load(m) : 0;
    return waiting > m->open ? waiting : m->open; /* a request that waits is open as well */
}

/* One of a pool: whoever has the least to do, the first of them from `turn` on.  One
 * that has no room is taken when nobody has any: its sender waits for it then. */
static int add_best(struct route *r, const struct route_member *sender, struct route_party *p, struct route_set *set)
{
    struct route_member *best = NULL;
    size_t best_at = 0;
    uint32_t best_load = 0;
    int error = -EHOSTDOWN;
    for (size_t i = 0, at = p->turn; i < p->members.n; i++, at++) {
        if (at >= p->members.n)
            at = 0;
        struct route_member *m = p->members.items[at];
        if (m == sender)
            continue;
        if (!may_send(sender, m)) {
            error = -EACCES;
            continue;
        }
        if (!m->up || m->stamp == r->stamp)
            continue;
        uint32_t load = load_of(r, m);
        if (best != NULL && load >= best_load)
            continue;
        best = m;
        best_at = at;
        best_load = load;
        if (load == 0)
            break;
    }
    if (best == NULL)
        return error;
    set->pool = true;
    p->turn = best_at + 1 < p->members.n ? best_at + 1 : 0;
    put(r, set, best);
    return 0;
}

/* "group:process", which `status` may print shorter */
static struct route_member *find_pair(const struct route *r, const char *address, size_t group_len, const char *process,
                                      size_t len)
{
    const struct route_party *p = find(&r->groups, address, group_len);
    for (size_t i = 0; p != NULL && i < p->members.n; i++) {
        struct route_member *m = p->members.items[i];
        if (compare_name(process, len, m->process) == 0)
            return m;
    }
    return NULL;
}

static void remember(const struct route *r, struct route_member *sender, const char *address, size_t len,
                     struct route_member *m, struct route_party *p)
{
    if (len > sizeof(sender->cached))
        return;
    memcpy(sender->cached, address, len);
    sender->cached_len = (uint8_t)len;
    sender->cached_at = r->epoch;
    sender->cached_member = m;
    sender->cached_party = p;
}

static int add_single(struct route *r, struct route_member *sender, const char *address, size_t len,
                      struct route_set *set)
{
    const char *colon = memchr(address, ':', len);
    struct route_member *m = find(&r->everybody, address, len);
    if (m == NULL && colon != NULL)
        m = find_pair(r, address, (size_t)(colon - address), colon + 1, len - (size_t)(colon + 1 - address));
    struct route_party *p = m == NULL ? find(&r->programs, address, len) : NULL;
    if (m == NULL && p == NULL)
        return -ENOENT;
    remember(r, sender, address, len, m, p);
    return m != NULL ? add_one(r, sender, m, set) : add_best(r, sender, p, set);
}

static int add_group(struct route *r, const struct route_member *sender, const char *name, size_t len, bool or_program,
                     struct route_set *set)
{
    const struct route_party *p = find(&r->groups, name, len);
    if (p == NULL && or_program)
        p = find(&r->programs, name, len);
    return p != NULL ? add_all(r, sender, &p->members, false, set) : -ENOENT;
}

int route_add(struct route *r, struct route_member *sender, const char *address, size_t len, struct route_set *set)
{
    if (len > 0 && sender->cached_at == r->epoch && sender->cached_len == len &&
        memcmp(sender->cached, address, len) == 0)
        return sender->cached_member != NULL ? add_one(r, sender, sender->cached_member, set)
                                             : add_best(r, sender, sender->cached_party, set);
    if (len == 0 || memchr(address, '\0', len) != NULL)
        return -EINVAL;
    if (len == 1 && *address == '$') {
        set->supervisor = true;
        return 0;
    }
    if (len == 1 && *address == '*')
        return add_all(r, sender, &r->everybody, true, set);
    if (*address == '@')
        return add_group(r, sender, address + 1, len - 1, false, set);
    if (len > 2 && address[len - 1] == '*' && address[len - 2] == ':')
        return add_group(r, sender, address, len - 2, true, set);
    return add_single(r, sender, address, len, set);
}
