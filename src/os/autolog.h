/* autolog.h - the log files that droverd names by itself (AUTO). */
#pragma once

/* Removes those that earlier daemons of this identifier left: NAME-stream---IDENTIFIER-XXXXXX.log
 * and their rotated ones.  Nothing else in the directory is touched. */
void autolog_clean(const char *directory, const char *identifier);
