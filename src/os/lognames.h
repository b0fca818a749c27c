/* lognames.h - the names of a log and of those that were rotated: x.log, x.log.1 (the
 * newest), x.log.2 and so on. */
#pragma once

#include <stdbool.h>

/* "x.log.3"; "x.log" for 0.  To be freed; NULL without memory. */
char *lognames_name(const char *path, unsigned i);

/* Moves the file and its elders on by one name each; false when the file itself
 * could not be moved. */
bool lognames_shift(const char *path, unsigned backups);
