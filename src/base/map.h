/* map.h - a hash table from byte strings to pointers.
 *
 * Keys are borrowed, values are the caller's.  `scope` makes one table serve
 * many name spaces (the keys of all sections of a file): the same bytes in
 * another scope are another key. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct map_slot;

struct map {
    struct map_slot *slots;
    size_t capacity; /* a power of two */
    size_t n;
};

void map_done(struct map *m);

/* The place of the value, or NULL when there is no such key. */
void **map_find(const struct map *m, uintptr_t scope, const char *key, size_t len);
/* The same, made when it is missing (*value is NULL then); NULL without memory.
 * Valid until the next map_add(). */
void **map_add(struct map *m, uintptr_t scope, const char *key, size_t len);
/* The value or NULL. */
void *map_get(const struct map *m, uintptr_t scope, const char *key);
