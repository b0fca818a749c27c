/* journal_file.h - the file below os/journal.c: its header, its mapping, its growth. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "os/journal.h"
#include "os/journal_more.h"

#define JOURNAL_SLOT_SIZE 384U
#define JOURNAL_HEADER_SIZE 4096U
#define JOURNAL_SLOTS_MAX (1U << 20)

struct journal_file {
    int fd;
    unsigned char *map;
    uint32_t n_own;   /* mapped, and with room on the disk */
    uint32_t n_slots; /* with those in memory */
    struct journal_more more;
    uint64_t id;
};

/* As journal_open(); the file is left closed after an error. */
int journal_file_open(struct journal_file *f, const char *path, const struct identity_era *era,
                      enum journal_origin *origin);
/* As journal_take() and journal_memory(). */
int journal_file_take(struct journal_file *f, int fd, const struct identity_era *era);
int journal_file_memory(struct journal_file *f, const struct identity_era *era);
void journal_file_close(struct journal_file *f);

/* Room for at least n slots, the new ones zeros; what is mapped may move.  As many as the
 * disk does not take are in memory until there is room, for which each call looks. */
int journal_file_grow(struct journal_file *f, uint32_t n);
int journal_file_take_more(struct journal_file *f, int fd); /* as journal_take_more() */
size_t journal_file_size(uint32_t n_slots);
int journal_file_allocate(int fd, uint32_t n_slots); /* never a hole: see the essay */
int journal_file_memfd(const char *name, uint32_t n_slots);
/* Maps so many slots; *map, of *n of them, or NULL, may move. */
int journal_file_map(int fd, unsigned char **map, uint32_t *n, uint32_t n_slots);

unsigned char *journal_file_slot(const struct journal_file *f, uint32_t i);

uint64_t journal_file_sequence(const struct journal_file *f);
void journal_file_set_sequence(struct journal_file *f, uint64_t sequence);
