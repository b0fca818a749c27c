/* relay_note.h - what the book (relay_book.h) is told while we live; see relay_note.c.
 *
 * A note is the number of an entry, 0: there is none, with which all of this does nothing.
 * Each is called before that which it tells of, unless it says otherwise. */
#pragma once

#include "supervisor/relay_internal.h"

uint32_t relay_note_ask(struct relay_port *p, const struct request *q, const struct relay_lane *to, bool handle);
void relay_note_cast(struct relay *r, struct request_cast *cast, uint32_t note);
void relay_note_undo(struct relay *r, struct request_cast *cast, uint32_t note);
void relay_note_given(struct relay *r, uint32_t note);
void relay_note_end(struct relay_lane *asker, uint32_t note, int error);
void relay_note_answer(struct relay_lane *asker, uint32_t note, const struct relay_port *by, bool waits);
void relay_note_answered(struct relay_lane *asker, uint32_t note); /* behind that */
void relay_note_acked(struct relay_lane *asker, const struct request_ack *a);
void relay_note_said(struct relay_lane *asker, uint64_t id, int error); /* at once, of what goes to nobody */
void relay_note_hold(struct relay_port *p, const struct parcel *parcel);
void relay_note_unhold(struct relay_port *p);
void relay_note_gap(struct relay_lane *to, uint32_t note);
void relay_note_gone(struct relay_lane *l); /* its port goes */
