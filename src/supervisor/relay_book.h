/* relay_book.h - what senders are owed an end of, in memory that outlives us.
 *
 * For every message with an id there is an entry until its sender's socket has taken the
 * answer, acknowledgement or bounce that ends it.  An entry says where each of these is,
 * as the number of a message among all that came from or went to a channel.  A channel
 * knows after our death how many of both there were, so whoever goes on can tell for each
 * entry whether the request was given, whether its end was, or which of them was lost.
 *
 * Without a guardian there is no book, and all of this does nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/usec.h"

#define RELAY_BOOK_MOST 8192 /* entries; what does not fit is not known to whoever goes on */

enum relay_book_state { RELAY_BOOK_FREE, RELAY_BOOK_OPEN, RELAY_BOOK_ENDED };

enum {
    RELAY_BOOK_ANSWER = 1, /* an answer is expected */
    RELAY_BOOK_ACK = 2,    /* an acknowledgement is, for all entries of one message together */
    RELAY_BOOK_HANDLE = 4, /* it has a descriptor, and may outlive us in a box */
    RELAY_BOOK_HELD = 8,   /* it waits with its sender, and goes to nobody yet */
};

struct relay_book_entry {
    uint64_t asker, answerer; /* channels; nobody else ever has these numbers.  0: none */
    uint64_t id;
    usec_t deadline;
    uint64_t asked_at; /* came from the asker as its message of that number, */
    uint64_t given_at; /* goes to the answerer as that; 0: it has been given */
    uint64_t ended_at; /* its end goes to the asker as that, */
    uint64_t ended_by; /* and came from the answerer as that; 0: it is of our own */
    uint32_t next;     /* free ones, the entries of one message, or those of one asker that have ended */
    int16_t error;     /* what the end says; 0: it is an answer */
    uint8_t state, flags;
};

struct relay_book;

/* Takes over `memory`, a memfd, or -1.  0, *ret is NULL without memory; -ENOMEM. */
int relay_book_new(int memory, struct relay_book **ret);
void relay_book_free(struct relay_book *b);

/* A copy of *e with a number of its own; 0: there is no room, or no book. */
uint32_t relay_book_add(struct relay_book *b, const struct relay_book_entry *e);
void relay_book_drop(struct relay_book *b, uint32_t n);
struct relay_book_entry *relay_book_at(struct relay_book *b, uint32_t n); /* NULL: there is none */
uint32_t relay_book_used(const struct relay_book *b);                     /* all entries are from 1 to this */

/* It has an end, which goes to its asker as `ended_at`.  And: it has not, after all. */
void relay_book_end(struct relay_book *b, uint32_t n, uint64_t ended_at, uint64_t ended_by, int error);
void relay_book_reopen(struct relay_book *b, uint32_t n);

/* Entries that have ended, in the order of their ends. */
struct relay_book_queue {
    uint32_t first, last;
};
void relay_book_enqueue(struct relay_book *b, struct relay_book_queue *q, uint32_t n);
/* Those of which the socket has taken the end are dropped. */
void relay_book_clear(struct relay_book *b, struct relay_book_queue *q, uint64_t taken);

/* All that a channel has asked is dropped. */
void relay_book_forget(struct relay_book *b, uint64_t asker);
/* Messages of these numbers, in ascending order, will not go to that channel: those behind them move up. */
void relay_book_close_gaps(struct relay_book *b, uint64_t channel, const uint64_t *gaps, size_t n);

/* Every message that we have taken is in it, and those of a supervisor before us as well. */
bool relay_book_is_whole(const struct relay_book *b);
/* There was one before us: if the book is new, that one has had none. */
void relay_book_had_predecessor(struct relay_book *b);
