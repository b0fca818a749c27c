/* map.c - see map.h.  Open addressing, linear probing, at most half full, so a
 * look-up is a few cache lines at any size.  Owns the slots and nothing else. */
#include "base/map.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct map_slot {
    const char *key; /* NULL: free */
    size_t len;
    uintptr_t scope;
    uint64_t hash;
    void *value;
};

void map_done(struct map *m)
{
    free(m->slots);
    *m = (struct map){ 0 };
}

/* FNV-1a with a final mix: the low bits are what picks the slot. */
static uint64_t hash_of(uintptr_t scope, const char *key, size_t len)
{
    uint64_t h = 0xcbf29ce484222325ULL ^ (uint64_t)scope * 0x9e3779b97f4a7c15ULL;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)key[i]) * 0x100000001b3ULL;
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93ULL;
    return h ^ h >> 32;
}

static struct map_slot *probe(const struct map *m, uint64_t hash, uintptr_t scope, const char *key, size_t len)
{
    for (size_t i = (size_t)hash & (m->capacity - 1);; i = (i + 1) & (m->capacity - 1)) {
        struct map_slot *s = &m->slots[i];
        if (s->key == NULL || (s->hash == hash && s->scope == scope && s->len == len && memcmp(s->key, key, len) == 0))
            return s;
    }
}

void **map_find(const struct map *m, uintptr_t scope, const char *key, size_t len)
{
    if (m->n == 0)
        return NULL;
    struct map_slot *s = probe(m, hash_of(scope, key, len), scope, key, len);
    return s->key != NULL ? &s->value : NULL;
}

static bool grow(struct map *m)
{
    struct map bigger = { .capacity = m->capacity == 0 ? 64 : m->capacity * 2, .n = m->n };
    bigger.slots = calloc(bigger.capacity, sizeof *bigger.slots);
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; i < m->capacity; i++) {
        struct map_slot *s = &m->slots[i];
        if (s->key != NULL)
            *probe(&bigger, s->hash, s->scope, s->key, s->len) = *s;
    }
    free(m->slots);
    *m = bigger;
    return true;
}

void **map_add(struct map *m, uintptr_t scope, const char *key, size_t len)
{
    if (m->n * 2 >= m->capacity && !grow(m))
        return NULL;
    uint64_t hash = hash_of(scope, key, len);
    struct map_slot *s = probe(m, hash, scope, key, len);
    if (s->key == NULL) {
        *s = (struct map_slot){ .key = key, .len = len, .scope = scope, .hash = hash };
        m->n++;
    }
    return &s->value;
}

void *map_get(const struct map *m, uintptr_t scope, const char *key)
{
    void **v = map_find(m, scope, key, strlen(key));
    return v != NULL ? *v : NULL;
}
