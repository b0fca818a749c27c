/* journal_more.h - slots of a journal for which its disk has no room: in memory, which
 * lives for as long as somebody holds the descriptor. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct journal_more {
    int fd; /* -1: there are none, and all else is 0 */
    unsigned char *map;
    uint32_t first; /* as the journal counts them; those before are in its file */
    uint32_t n;
};

#define JOURNAL_MORE_NONE ((struct journal_more){ .fd = -1 })

/* Room for n, the new ones zeros.  id: of the journal.  A negative errno: as before. */
int journal_more_grow(struct journal_more *m, uint64_t id, uint32_t first, uint32_t n);
/* By its descriptor, which is taken over.  -EBADMSG: it is none of that journal's, or all
 * that was in it is in the file by now. */
int journal_more_take(struct journal_more *m, int fd, uint64_t id);
unsigned char *journal_more_slot(const struct journal_more *m, uint32_t i);
/* The file has them all: nobody takes these again, from this instant on. */
void journal_more_end(struct journal_more *m);
void journal_more_close(struct journal_more *m);
