/* present.h - a process as JSON and as words. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "supervisor/child.h"
#include "wire/jsonw.h"

/* Bits of fields; UINT64_MAX is all.  `list` is a comma list of names; unknown
 * ones are passed over. */
uint64_t present_fields(const char *list);
void present_process(struct jsonw *j, const char *name, const struct child *c, uint64_t fields, usec_t wall);

/* "log full, stdout waits: No space left on device"; false: nothing is wrong. */
bool present_log_trouble(const struct child *c, struct child_log_trouble *t, char *buf, size_t size);
/* "2026-01-31 23:59:59", local time */
void present_time(usec_t wall, char buf[32]);
