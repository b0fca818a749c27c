/* utf8.h - characters, as far as reading text needs them.
 *
 * A byte that is not part of a valid sequence counts as one character of its
 * own (0xDC00 + the byte), so that no function here can fail or overrun. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/* Bytes taken (at least 1 when len > 0). */
size_t utf8_next(const char *s, size_t len, uint32_t *character);
size_t utf8_put(uint32_t character, char out[4]);                 /* bytes written; 0: no such character */
size_t utf8_count(const char *s, size_t len);                     /* characters */
size_t utf8_offset(const char *s, size_t len, size_t characters); /* bytes of the first so many */

/* Why and where text is not UTF-8: 0 when it is, else the number of bad bytes
 * (1 to 3), with their place and the words that Python has for it. */
size_t utf8_check(const char *s, size_t len, size_t *where, const char **why);

bool utf8_is_space(uint32_t character);
bool utf8_space_before(const char *s, size_t at); /* is the character that ends at s[at] a blank? */
void utf8_strip(const char **s, size_t *len);     /* blanks at both ends */
void utf8_rstrip(const char *s, size_t *len);

/* The text in quotes with escapes, as Python's repr() has it. */
int utf8_quote(struct buf *out, const char *s, size_t len, bool ascii);
