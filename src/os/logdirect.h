/* logdirect.h - a log that a process writes by itself. */
#pragma once

/* A descriptor to append to the file at `path` with, which may block; /dev/stdout and
 * its kin are the daemon's own.  -1 and less: a negative errno. */
int log_direct(const char *path);
