/* kind_identity.c - uid, gid, groups: who a program runs as, by name or number.
 *
 * A name that nobody has is an error here, at load, so that nothing is left to be
 * found out by a child that is still root.  A number stands for itself; a uid
 * without an entry in the user database needs a gid beside it, since nobody can
 * say what its group is. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "config/kind.h"
#include "config/setting.h"

/* -1 means "leave as it is" to the kernel, and is nobody's number. */
static bool is_id(const char *text, uint32_t *ret)
{
    int64_t number;
    if (parse_int(text, &number) < 0 || number < 0 || number >= UINT32_MAX)
        return false;
    *ret = (uint32_t)number;
    return true;
}

static const struct program_common *common_of(const void *base)
{
    return ((const struct program *)base)->common;
}

static int set_uid(struct setting *s, const char *text)
{
    struct draft *d = s->base;
    struct program_common *c = &d->common;
    struct config_user user = { 0 };
    bool known = s->l->world->user(s->l->world->ctx, text, &user) == 0;
    if (!known && !is_id(text, &user.uid))
        return setting_refuse(s, "there is no user \"%s\" on this system; create it, or name another", text);
    if (c->user != NULL && c->uid != user.uid)
        return setting_refuse(s, "is not the user \"%s\" of the key user; keep one of the two", c->user);
    c->uid_text = keep_string(s->l, text);
    c->account = known ? keep_string(s->l, user.name) : NULL;
    c->uid = user.uid;
    c->gid = user.gid;
    d->p.has_identity = true;
    d->gid_missing = !known;
    return 0;
}

static bool equal_uid(const struct option *o, const void *a, const void *b)
{
    const struct program_common *p = common_of(a), *q = common_of(b);
    return equal_text(o, a, b) && (p->uid_text == NULL || (p->uid == q->uid && p->gid == q->gid));
}

const struct option_kind kind_uid = { "a user's name or number", SHAPE_STRING, set_uid, print_text, equal_uid };

static bool find_group(struct setting *s, const char *text, gid_t *gid)
{
    char name[64];
    return s->l->world->group(s->l->world->ctx, text, gid, name) == 0 || is_id(text, gid);
}

static int set_gid(struct setting *s, const char *text)
{
    struct draft *d = s->base;
    struct program_common *c = &d->common;
    struct config_user self;
    gid_t gid;
    if (!find_group(s, text, &gid))
        return setting_refuse(s, "there is no group \"%s\" on this system; create it, or name another", text);
    if (!d->p.has_identity) {
        c->uid = s->l->world->uid;
        const char *number = scratchf(s->l, "%" PRIu32, c->uid);
        if (s->l->world->user(s->l->world->ctx, number, &self) == 0)
            c->account = keep_string(s->l, self.name);
    }
    c->gid_text = keep_string(s->l, text);
    c->gid = gid;
    d->p.has_identity = true;
    d->gid_missing = false;
    return 0;
}

static bool equal_gid(const struct option *o, const void *a, const void *b)
{
    const struct program_common *p = common_of(a), *q = common_of(b);
    return equal_text(o, a, b) && (p->gid_text == NULL || (p->uid == q->uid && p->gid == q->gid));
}

const struct option_kind kind_gid = { "a group's name or number", SHAPE_STRING, set_gid, print_text, equal_gid };

/* --- groups ------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    gid_t x = *(const gid_t *)a, y = *(const gid_t *)b;
    return (x > y) - (x < y);
}

/* Sorted and each once, as the kernel will have them. */
static size_t sort_groups(gid_t *groups, size_t n)
{
    size_t kept = 0;
    qsort(groups, n, sizeof *groups, by_number);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || groups[kept - 1] != groups[i])
            groups[kept++] = groups[i];
    return kept;
}

static int set_groups(struct setting *s, const char *text)
{
    struct draft *d = s->base;
    struct program_common *c = &d->common;
    const char **words = NULL;
    if (!d->p.has_identity)
        return setting_refuse(s, "needs user, uid or gid beside it, which says whose groups they are");
    size_t n = strcasecmp(text, "none") == 0 ? 0 : split_list(s->l, text, &words);
    if (n > PROGRAM_GROUPS_MAX)
        return setting_refuse(s, "names %zu groups; at most %d", n, PROGRAM_GROUPS_MAX);
    gid_t *groups = arena_new_array(s->l->keep, n + 1, gid_t);
    if (groups == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (!find_group(s, words[i], &groups[i]))
            return setting_refuse(s,
                                  "there is no group \"%s\" on this system; write names or numbers with commas, "
                                  "or none",
                                  words[i]);
    c->groups_text = keep_string(s->l, text);
    c->groups = groups;
    c->n_groups = sort_groups(groups, n);
    return 0;
}

static bool equal_groups(const struct option *o, const void *a, const void *b)
{
    const struct program_common *p = common_of(a), *q = common_of(b);
    return equal_text(o, a, b) && p->n_groups == q->n_groups &&
           (p->n_groups == 0 || memcmp(p->groups, q->groups, p->n_groups * sizeof(gid_t)) == 0);
}

const struct option_kind kind_groups = { "names or numbers of groups with commas, or none", SHAPE_STRING, set_groups,
                                         print_text, equal_groups };
