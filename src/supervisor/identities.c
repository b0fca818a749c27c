/* identities.c - see identities.h.  Owns the lists of groups, one for each user. */
#include "supervisor/identities.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

struct entry {
    struct entry *next;
    struct spawn_identity identity;
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

static struct entry *find(const struct identities *ids, uid_t uid, gid_t gid)
{
    for (struct entry *e = ids->first; e != NULL; e = e->next)
        if (e->identity.uid == uid && e->identity.gid == gid)
            return e;
    return NULL;
}

/* As initgroups(3) would set them: the primary group and all that list the user. */
static int add(struct identities *ids, const struct program *p)
{
    int n = 0;
    getgrouplist(p->user, p->gid, NULL, &n);
    n += 16; /* groups may have been added meanwhile */
    struct entry *e = malloc(sizeof(*e) + (size_t)n * sizeof(gid_t));
    if (e == NULL)
        return -ENOMEM;
    if (getgrouplist(p->user, p->gid, e->groups, &n) < 0) {
        free(e);
        return -EAGAIN;
    }
    e->identity = (struct spawn_identity){ .uid = p->uid, .gid = p->gid, .groups = e->groups, .n_groups = (size_t)n };
    e->next = ids->first;
    ids->first = e;
    return 0;
}

int identities_load(struct identities *ids, const struct config *config)
{
    struct identities fresh = { 0 };
    for (size_t g = 0; g < config->n_groups; g++) {
        const struct program_group *group = &config->groups[g];
        for (size_t i = 0; i < group->n_programs; i++) {
            const struct program *p = &group->programs[i];
            if (p->user == NULL || find(&fresh, p->uid, p->gid) != NULL)
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
        if (find(&fresh, e->identity.uid, e->identity.gid) != NULL) {
            free(e);
        } else {
            e->next = fresh.first;
            fresh.first = e;
        }
    }
    ids->first = fresh.first;
    return 0;
}

int identities_get(const struct identities *ids, const struct program *p, const struct spawn_identity **ret)
{
    if (p->user == NULL) {
        *ret = NULL;
        return 0;
    }
    if (geteuid() != 0) {
        if (p->uid != geteuid())
            return -EPERM;
        *ret = NULL; /* we are that user already */
        return 0;
    }
    struct entry *e = find(ids, p->uid, p->gid);
    if (e == NULL)
        return -ENOENT;
    *ret = &e->identity;
    return 0;
}
