/* ansi.h - takes terminal escape sequences out of a stream of bytes: strip_ansi. */
#pragma once

#include <stddef.h>

/* Packed: every captured stream has one. */
enum __attribute__((packed)) ansi_state { ANSI_TEXT, ANSI_ESCAPE, ANSI_SEQUENCE };

/* Strips in place and returns the new length; *state carries a sequence that is
 * cut between two calls.  Only sequences ESC [ ... letter go, as in supervisord;
 * of any other escape the ESC alone, which a terminal would not show either. */
size_t ansi_strip(enum ansi_state *state, char *data, size_t len);
