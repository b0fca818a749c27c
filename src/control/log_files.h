/* log_files.h - the files of a log: the present one, and what was rotated away. */
#pragma once

#include <sys/stat.h>

#include "control/control.h"

/* ?rotated=N: the file that was rotated N times; with file=NUMBER the one of this
 * number, which may have been rotated further since the client heard of it.  Without
 * either, the log itself.  A descriptor, or a negative errno. */
int log_files_open(struct http_request *r, const char *path, struct stat *st);

/* ?files=1: which there are, newest first, from the one that was rotated N times on,
 * up to the first gap.  Answers the call. */
void log_files_list(struct control_call *call, const char *path);

/* Answers that there is no such log; with a reason where there never will be one, and
 * without where nothing was written yet. */
void log_files_none(struct control_call *call, const struct child *c, int number);
