/* capture_drop.h - for capture.c only: log_overflow=drop. */
#pragma once

#include "supervisor/capture.h"

int stream_drops_new(struct stream_drops **ret); /* plain memory: free() */

/* Writes what the log takes and throws the rest away, counted, line by line. */
void stream_put_or_drop(struct stream *s, const char *data, size_t len);

/* The stream ends while lines are being dropped: how many there were. */
void stream_drops_end(struct stream *s);

int stream_drops_error(const struct stream_drops *d, usec_t *since);
