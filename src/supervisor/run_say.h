/* run_say.h - the answer that the client of a transient process gets: records, each a
 * line "LABEL LENGTH" and so many bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct run;

/* Each is kept (run_keep.h) and handed on.  False: the client has no room for more. */
bool run_say_begun(struct run *r);
bool run_say_runs(struct run *r);
bool run_say_output(struct run *r, int number, const char *data, size_t len);
bool run_say_end(struct run *r);
