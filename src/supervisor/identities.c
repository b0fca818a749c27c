/* identities.c - see identities.h.  Owns the lists of groups, one for each user. */
#include "supervisor/identities.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

struct entry {
    struct spawn_identity identity; /* first: identity_make() gives it away */
    struct entry *next;
    bool chosen; /* by the key groups */
    gid_t groups[];
};

struct identities {
    struct entry *first;
};

int identities_new(struct identities **ret)
{
    struct identities *ids = calloc(1, sizeof(*ids));
    if (ids == NULL)
        return -ENOMEM;
    *ret = ids;
    return 0;
}

static void clear(struct identities *ids)
{
    while (ids->first != NULL) {
        struct entry *e = ids->first;
        ids->first = e->next;
        free(e);
    }
}

void identities_free(struct identities *ids)
{
    if (ids != NULL)
        clear(ids);
    free(ids);
}

/* Groups that a program names itself make another identity of the same user. */
static struct entry *find(const struct identities *ids, const struct program *p)
{
    for (struct entry *e = ids->first; e != NULL; e = e->next) {
        const struct spawn_identity *id = &e->identity;
        if (id->uid != p->common->uid || id->gid != p->common->gid || e->chosen != (p->common->groups_text != NULL))
            continue;
        if (!e->chosen || (id->n_groups == p->common->n_groups &&
                           memcmp(e->groups, p->common->groups, p->common->n_groups * sizeof(gid_t)) == 0))
            return e;
    }
    return NULL;
}

static struct entry *entry_new(const struct program *p, size_t room)
{
    struct entry *e = malloc(sizeof(*e) + room * sizeof(gid_t));
    if (e != NULL)
        *e = (struct entry){ .identity = { .uid = p->common->uid, .gid = p->common->gid, .groups = e->groups } };
    return e;
}

/* As initgroups(3) would set them: the primary group and all that list the user; a
 * number without a name is in its primary group only. */
static int look_up(const struct program *p, struct entry **ret)
{
    int n = 1;
    if (p->common->account != NULL) {
        n = 0;
        getgrouplist(p->common->account, p->common->gid, NULL, &n);
        n += 16; /* groups may have been added meanwhile */
    }
    struct entry *e = entry_new(p, (size_t)n);
    if (e == NULL)
        return -ENOMEM;
    e->groups[0] = p->common->gid;
    if (p->common->account != NULL && getgrouplist(p->common->account, p->common->gid, e->groups, &n) < 0) {
        free(e);
        return -EAGAIN;
    }
    e->identity.n_groups = (size_t)n;
    *ret = e;
    return 0;
}

static int take_chosen(const struct program *p, struct entry **ret)
{
    struct entry *e = entry_new(p, p->common->n_groups);
    if (e == NULL)
        return -ENOMEM;
    if (p->common->n_groups > 0)
        memcpy(e->groups, p->common->groups, p->common->n_groups * sizeof(gid_t));
    e->identity.n_groups = p->common->n_groups;
    e->chosen = true;
    *ret = e;
    return 0;
}

static int make(const struct program *p, struct entry **ret)
{
    return p->common->groups_text != NULL ? take_chosen(p, ret) : look_up(p, ret);
}

static int add(struct identities *ids, const struct program *p)
{
    struct entry *e = NULL;
    int r = make(p, &e);
    if (r < 0)
        return r;
    e->next = ids->first;
    ids->first = e;
    return 0;
}

static bool same(const struct entry *a, const struct entry *b)
{
    return a->identity.uid == b->identity.uid && a->identity.gid == b->identity.gid && a->chosen == b->chosen &&
           (!a->chosen || (a->identity.n_groups == b->identity.n_groups &&
                           memcmp(a->groups, b->groups, a->identity.n_groups * sizeof(gid_t)) == 0));
}

static bool has(const struct identities *ids, const struct entry *wanted)
{
    const struct entry *e = ids->first;
    while (e != NULL && !same(e, wanted))
        e = e->next;
    return e != NULL;
}

int identities_load(struct identities *ids, const struct config *config)
{
    struct identities fresh = { 0 };
    for (size_t g = 0; g < config->n_groups; g++) {
        const struct program_group *group = &config->groups[g];
        for (size_t i = 0; i < group->n_programs; i++) {
            const struct program *p = &group->programs[i];
            if (!p->has_identity || find(&fresh, p) != NULL)
                continue;
            int r = add(&fresh, p);
            if (r < 0) {
                clear(&fresh);
                return r;
            }
        }
    }
    /* users of groups that still run an older configuration stay known */
    for (struct entry **at = &ids->first; *at != NULL;) {
        struct entry *e = *at;
        *at = e->next;
        if (has(&fresh, e)) {
            free(e);
        } else {
            e->next = fresh.first;
            fresh.first = e;
        }
    }
    ids->first = fresh.first;
    return 0;
}

/* Without root we are who we are: fine where that is what is asked for. */
static int get_without_root(const struct program *p)
{
    bool other = p->common->uid != geteuid() || (p->common->gid_text != NULL && p->common->gid != getegid()) ||
                 p->common->groups_text != NULL;
    return other ? -EPERM : 0;
}

int identities_get(const struct identities *ids, const struct program *p, const struct spawn_identity **ret)
{
    *ret = NULL;
    if (!p->has_identity)
        return 0;
    if (geteuid() != 0)
        return get_without_root(p);
    struct entry *e = find(ids, p);
    if (e == NULL)
        return -ENOENT;
    *ret = &e->identity;
    return 0;
}

int identity_make(const struct program *p, struct spawn_identity **ret)
{
    *ret = NULL;
    if (!p->has_identity)
        return 0;
    if (geteuid() != 0)
        return get_without_root(p);
    struct entry *e;
    int r = make(p, &e);
    if (r == 0)
        *ret = &e->identity;
    return r;
}
