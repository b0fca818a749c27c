/* journal.c - see journal.h.
 *
 * Owns the file (journal_file.c) and, in memory, eight bytes a slot to find it by.
 * Asks no clock, logs nothing, makes no system call in a commit.
 *
 * A slot has a head (whose it is), two copies of its content and a word.  The word
 * names the copy that holds: its lower half is the number of the commit, whose lowest
 * bit is the copy; its upper half is half of that copy's sum.  A commit writes the
 * other copy and then stores the word: a kill finds either the one or the other.  What
 * a SIGKILL interrupts has happened up to an instruction, as for a signal handler, so
 * it is the compiler alone that must be kept from moving stores, over both edges: the
 * next commit must not begin before this one's word is stored.
 *
 * Every bit that counts is under a sum: the word by being half of one, a copy (with
 * the number of its commit, its slot and the file it belongs to) by its own, the head
 * likewise.  So a flipped bit is never an older state or another process's: such a
 * slot is refused.  A word of zeros is a free slot, whatever else lies in it. */
#include "os/journal.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/hash.h"
#include "os/journal_file.h"

struct head {
    uint64_t key[2];
    uint64_t check; /* of all else in it */
    uint16_t name_len;
    char name[JOURNAL_NAME_MAX];
};

struct copy {
    uint32_t commit;
    int32_t newborn; /* journal_newborn(): not under the sum, which takes it for 0 */
    struct journal_slot content;
    uint64_t check; /* of all else before */
};

struct slot {
    _Atomic uint64_t word; /* 0: free */
    struct head head;
    struct copy copies[2];
};

_Static_assert(sizeof(struct slot) == JOURNAL_SLOT_SIZE, "a slot has outgrown its place");

/* What `next` says of slots that are in no list. */
#define END JOURNAL_NONE
#define REFUSED (JOURNAL_NONE - 1)

struct journal {
    struct journal_file file;
    char *path;
    uint32_t *next;  /* of a slot: the next one with its bucket, or the next free one */
    uint32_t *first; /* of a bucket; as many as slots */
    uint32_t n;      /* of both */
    uint32_t free;
    void (*on_more)(int fd, const char *path, void *arg);
    void *more_arg;
};

static struct slot *slot_at(const struct journal *j, uint32_t i)
{
    return (struct slot *)(void *)journal_file_slot(&j->file, i);
}

/* -- sums --------------------------------------------------------------------------- */

struct key {
    uint64_t sum[2];
};

static struct key key_of(const char *group, const char *name)
{
    struct key k;
    for (uint64_t i = 0; i < 2; i++)
        k.sum[i] = hash64(hash64(i, group, strlen(group)), name, strlen(name));
    return k;
}

static uint64_t copy_sum(const struct journal *j, uint32_t i, const struct copy *c)
{
    return hash64(j->file.id + i, c, offsetof(struct copy, check));
}

static uint64_t head_check(const struct journal *j, uint32_t i, const struct head *h)
{
    struct head plain = *h;
    plain.check = 0;
    return hash64(j->file.id + i, &plain, sizeof(plain));
}

static uint64_t word_for(const struct copy *c)
{
    return c->check >> 32 << 32 | c->commit;
}

static bool head_holds(const struct journal *j, uint32_t i)
{
    const struct head *h = &slot_at(j, i)->head;
    return h->check == head_check(j, i, h) && h->name_len <= JOURNAL_NAME_MAX;
}

static bool copy_holds(const struct journal *j, uint32_t i, unsigned which)
{
    struct copy c = slot_at(j, i)->copies[which];
    c.newborn = 0;
    return c.check == copy_sum(j, i, &c);
}

/* -- finding slots ---------------------------------------------------------------------- */

static uint32_t *bucket(const struct journal *j, uint64_t sum)
{
    return &j->first[sum % j->n];
}

static void link_into(struct journal *j, uint32_t *list, uint32_t i)
{
    j->next[i] = *list;
    *list = i;
}

static bool unlink_from(struct journal *j, uint32_t *list, uint32_t i)
{
    while (*list != i && *list != END)
        list = &j->next[*list];
    if (*list == END)
        return false;
    *list = j->next[i];
    return true;
}

/* By its key, unless that was damaged after it had been found by it. */
static void unlink_slot(struct journal *j, uint32_t i)
{
    bool found = unlink_from(j, bucket(j, slot_at(j, i)->head.key[0]), i);
    for (uint32_t k = 0; !found && k < j->n; k++)
        found = unlink_from(j, &j->first[k], i);
}

static bool slot_is_sound(const struct journal *j, uint32_t i)
{
    const struct slot *s = slot_at(j, i);
    uint64_t word = atomic_load_explicit(&s->word, memory_order_acquire);
    return head_holds(j, i) && copy_holds(j, i, word & 1) && word_for(&s->copies[word & 1]) == word;
}

static void sort_in(struct journal *j, uint32_t i, bool refused)
{
    const struct slot *s = slot_at(j, i);
    if (s->word == 0)
        link_into(j, &j->free, i);
    else if (refused || !slot_is_sound(j, i))
        j->next[i] = REFUSED;
    else
        link_into(j, bucket(j, s->head.key[0]), i);
}

/* Sorts all slots into their lists anew, after there are more of them; what was
 * refused once stays so.  From the last to the first: free ones go from the first. */
static int index_slots(struct journal *j)
{
    uint32_t n = j->file.n_slots;
    uint32_t *both = malloc(2 * (size_t)n * sizeof(*both));
    if (both == NULL)
        return -ENOMEM;
    uint32_t *old = j->next, old_n = j->n;
    j->next = both;
    j->first = both + n;
    j->n = n;
    j->free = END;
    memset(j->first, 0xff, n * sizeof(*j->first)); /* END */
    for (uint32_t i = n; i-- > 0;)
        sort_in(j, i, i < old_n && old[i] == REFUSED);
    free(old);
    return 0;
}

static uint32_t find(const struct journal *j, const struct key *k)
{
    uint32_t i = *bucket(j, k->sum[0]);
    while (i != END && memcmp(slot_at(j, i)->head.key, k->sum, sizeof(k->sum)) != 0)
        i = j->next[i];
    return i;
}

static bool is_free(const struct journal *j, uint32_t i)
{
    return atomic_load_explicit(&slot_at(j, i)->word, memory_order_relaxed) == 0;
}

static bool in_use(const struct journal *j, uint32_t i)
{
    return j != NULL && i < j->n && !is_free(j, i);
}

static bool next_that(const struct journal *j, uint32_t *i, bool refused)
{
    if (j == NULL)
        return false;
    while (*i < j->n && (is_free(j, *i) || (j->next[*i] == REFUSED) != refused))
        ++*i;
    return *i < j->n;
}

bool journal_next(const struct journal *j, uint32_t *i)
{
    return next_that(j, i, false);
}

bool journal_next_damaged(const struct journal *j, uint32_t *i)
{
    return next_that(j, i, true);
}

uint32_t journal_find(const struct journal *j, const char *group, const char *name)
{
    struct key k = key_of(group, name);
    return j != NULL ? find(j, &k) : JOURNAL_NONE;
}

/* -- content ------------------------------------------------------------------------------ */

static void write_copy(struct journal *j, uint32_t i, uint32_t commit, const struct journal_slot *content)
{
    struct slot *s = slot_at(j, i);
    struct copy *c = &s->copies[commit & 1];
    atomic_signal_fence(memory_order_seq_cst);
    c->commit = commit;
    c->newborn = 0;
    c->content = *content;
    c->check = copy_sum(j, i, c);
    atomic_store_explicit(&s->word, word_for(c), memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
}

void journal_commit(struct journal *j, uint32_t i, const struct journal_slot *content)
{
    if (!in_use(j, i))
        return;
    uint32_t commit = (uint32_t)atomic_load_explicit(&slot_at(j, i)->word, memory_order_relaxed) + 1;
    if (commit == 0)
        commit = 2; /* as even; no word may be 0 */
    write_copy(j, i, commit, content);
}

/* Is it the one that the word spoke of, as far as either half of that is left? */
static bool is_meant(const struct copy *c, uint64_t word)
{
    uint64_t differs = word_for(c) ^ word;
    return differs >> 32 == 0 || (uint32_t)differs == 0;
}

/* Of a refused slot: the copy that the word means, or else the later one, if its sum is right. */
static const struct copy *best_copy(const struct journal *j, uint32_t i)
{
    const struct slot *s = slot_at(j, i);
    const struct copy *a = copy_holds(j, i, 0) ? &s->copies[0] : NULL;
    const struct copy *b = copy_holds(j, i, 1) ? &s->copies[1] : NULL;
    if (a == NULL || b == NULL)
        return a != NULL ? a : b;
    if (is_meant(a, s->word) != is_meant(b, s->word))
        return is_meant(a, s->word) ? a : b;
    return (int32_t)(a->commit - b->commit) > 0 ? a : b;
}

/* The copy that holds; of a refused slot the best there is. */
static const struct copy *copy_of(const struct journal *j, uint32_t i)
{
    const struct slot *s = slot_at(j, i);
    if (j->next[i] == REFUSED)
        return best_copy(j, i);
    return &s->copies[atomic_load_explicit(&s->word, memory_order_acquire) & 1];
}

const struct journal_slot *journal_get(const struct journal *j, uint32_t i)
{
    const struct copy *c = in_use(j, i) ? copy_of(j, i) : NULL;
    return c != NULL ? &c->content : NULL;
}

int32_t *journal_newborn(struct journal *j, uint32_t i)
{
    if (!in_use(j, i) || j->next[i] == REFUSED)
        return NULL;
    struct slot *s = slot_at(j, i);
    return &s->copies[atomic_load_explicit(&s->word, memory_order_acquire) & 1].newborn;
}

void journal_name(const struct journal *j, uint32_t i, char name[JOURNAL_NAME_MAX + 1])
{
    size_t len = 0;
    if (in_use(j, i) && head_holds(j, i)) {
        len = slot_at(j, i)->head.name_len;
        memcpy(name, slot_at(j, i)->head.name, len);
    }
    name[len] = '\0';
}

/* -- coming and going ----------------------------------------------------------------------- */

void journal_on_more(struct journal *j, void (*fn)(int fd, const char *path, void *arg), void *arg)
{
    if (j == NULL)
        return;
    j->on_more = fn;
    j->more_arg = arg;
}

int journal_take_more(struct journal *j, int fd)
{
    int r = journal_file_take_more(&j->file, fd);
    for (uint32_t i = j->file.more.first; r == 0 && i < j->n; i++)
        j->next[i] = END; /* what the file has in their places counts for nothing, refused or not */
    return r < 0 ? r : index_slots(j);
}

int journal_reserve(struct journal *j, uint32_t n)
{
    if (j == NULL || (n <= j->n && j->file.more.fd < 0))
        return 0;
    int before = j->file.more.fd;
    int r = journal_file_grow(&j->file, n);
    if (j->file.more.fd != before && j->on_more != NULL)
        j->on_more(j->file.more.fd, j->path, j->more_arg);
    return r < 0 || j->file.n_slots == j->n ? r : index_slots(j);
}

static void write_head(struct journal *j, uint32_t i, const struct key *k, const char *group, const char *name)
{
    struct head h = { .key = { k->sum[0], k->sum[1] } };
    char text[JOURNAL_NAME_MAX + 1];
    int len = snprintf(text, sizeof(text), "%s:%s", group, name);
    h.name_len = len < JOURNAL_NAME_MAX ? (uint16_t)len : JOURNAL_NAME_MAX;
    memcpy(h.name, text, h.name_len);
    h.check = head_check(j, i, &h);
    slot_at(j, i)->head = h;
}

/* A slot is free until its first commit, so a kill before that has changed nothing. */
uint32_t journal_add(struct journal *j, const char *group, const char *name)
{
    if (j == NULL)
        return JOURNAL_NONE;
    struct key k = key_of(group, name);
    uint32_t i = find(j, &k);
    if (i != END)
        return i;
    if (j->free == END && (journal_reserve(j, j->n + 1) < 0 || j->free == END))
        return JOURNAL_NONE;
    i = j->free;
    j->free = j->next[i];
    write_head(j, i, &k, group, name);
    struct copy *c = &slot_at(j, i)->copies[1];
    *c = (struct copy){ .commit = 1 };
    c->check = copy_sum(j, i, c);
    atomic_signal_fence(memory_order_seq_cst);
    atomic_store_explicit(&slot_at(j, i)->word, word_for(c), memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    link_into(j, bucket(j, k.sum[0]), i);
    return i;
}

/* Whose a refused slot is: its key has 128 bits, so what is damaged then is its name. */
static bool is_of(const struct journal *j, uint32_t i, const struct key *k, const char *group, const char *name)
{
    const struct head *h = &slot_at(j, i)->head;
    char full[JOURNAL_NAME_MAX + 1];
    if (memcmp(h->key, k->sum, sizeof(k->sum)) == 0)
        return true;
    int len = snprintf(full, sizeof(full), "%s:%s", group, name);
    return len <= JOURNAL_NAME_MAX && h->name_len == len && memcmp(h->name, full, (size_t)len) == 0;
}

/* Until its word is stored it is refused, so a kill before that has changed nothing. */
bool journal_mend(struct journal *j, const char *group, const char *name)
{
    uint32_t i = 0;
    struct key k = key_of(group, name);
    while (journal_next_damaged(j, &i) && !is_of(j, i, &k, group, name))
        i++;
    if (j == NULL || i >= j->n)
        return false;
    const struct copy *best = best_copy(j, i);
    const struct copy from = best != NULL ? *best : (struct copy){ .commit = 0 };
    uint32_t commit = from.commit + 1 != 0 ? from.commit + 1 : 2;
    write_head(j, i, &k, group, name);
    write_copy(j, i, commit, &from.content);
    link_into(j, bucket(j, k.sum[0]), i);
    return true;
}

void journal_remove(struct journal *j, uint32_t i)
{
    if (!in_use(j, i))
        return;
    struct slot *s = slot_at(j, i);
    if (j->next[i] != REFUSED)
        unlink_slot(j, i);
    atomic_store_explicit(&s->word, 0, memory_order_release);
    atomic_signal_fence(memory_order_seq_cst);
    link_into(j, &j->free, i);
}

/* -- the whole ---------------------------------------------------------------------------------- */

static struct journal *new_journal(const char *path)
{
    struct journal *j = calloc(1, sizeof(*j));
    if (j == NULL)
        return NULL;
    j->file = (struct journal_file){ .fd = -1, .more = JOURNAL_MORE_NONE };
    j->path = path != NULL ? strdup(path) : NULL;
    if (path == NULL || j->path != NULL)
        return j;
    free(j);
    return NULL;
}

/* With its file opened, or not, as `r` says. */
static int complete(struct journal *j, int r, struct journal **ret)
{
    if (r == 0)
        r = index_slots(j);
    if (r < 0) {
        journal_close(j);
        return r;
    }
    *ret = j;
    return 0;
}

int journal_open(const char *path, const struct identity_era *era, struct journal **ret, enum journal_origin *origin)
{
    enum journal_origin found = JOURNAL_FRESH;
    struct journal *j = new_journal(path);
    if (j == NULL)
        return -ENOMEM;
    int r = complete(j, journal_file_open(&j->file, path, era, &found), ret);
    if (r == 0)
        *origin = found;
    return r;
}

int journal_take(int fd, const char *path, const struct identity_era *era, struct journal **ret)
{
    struct journal *j = new_journal(path);
    if (j == NULL) {
        close(fd);
        return -ENOMEM;
    }
    return complete(j, journal_file_take(&j->file, fd, era), ret);
}

int journal_memory(const struct identity_era *era, struct journal **ret)
{
    struct journal *j = new_journal(NULL);
    return j != NULL ? complete(j, journal_file_memory(&j->file, era), ret) : -ENOMEM;
}

int journal_fd(const struct journal *j)
{
    return j != NULL ? j->file.fd : -1;
}

void journal_close(struct journal *j)
{
    if (j == NULL)
        return;
    journal_file_close(&j->file);
    free(j->next);
    free(j->path);
    free(j);
}

void journal_end(struct journal *j)
{
    uint32_t i = 0, bad = 0;
    if (j != NULL && j->path != NULL && !journal_next(j, &i) && !journal_next_damaged(j, &bad))
        unlink(j->path);
    journal_close(j);
}

const char *journal_origin_name(enum journal_origin origin)
{
    static const char *const names[] = {
        [JOURNAL_FRESH] = "fresh",
        [JOURNAL_RECOVERED] = "recovered",
        [JOURNAL_OTHER_ERA] = "of another boot",
        [JOURNAL_OTHER_VERSION] = "of another version",
        [JOURNAL_DAMAGED] = "damaged",
    };
    return names[origin];
}

uint64_t journal_sequence(const struct journal *j)
{
    return j != NULL ? journal_file_sequence(&j->file) : 0;
}

void journal_set_sequence(struct journal *j, uint64_t sequence)
{
    if (j != NULL)
        journal_file_set_sequence(&j->file, sequence);
}
