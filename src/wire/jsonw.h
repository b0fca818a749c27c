/* jsonw.h - writes JSON text into a buf: no tree, no allocation but the buffer's.
 *
 * For what the daemon says often (status of 1,000 processes, events); what it
 * reads goes through jansson.  Commas are put by the writer.  Strings that are
 * not UTF-8 are written as NAME_base64 in place of NAME; an element of an array,
 * which has no name, as {"bytes_base64":"..."}. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/usec.h"

struct jsonw {
    struct buf *out;
    bool comma; /* a value was written at this level */
};

#define JSONW_INIT(buf_) ((struct jsonw){ .out = (buf_) })

/* `name` is NULL for an element of an array or the top value.  Names are ours:
 * plain ASCII, never escaped. */
void jsonw_object(struct jsonw *j, const char *name);
void jsonw_object_end(struct jsonw *j);
void jsonw_array(struct jsonw *j, const char *name);
void jsonw_array_end(struct jsonw *j);
void jsonw_string(struct jsonw *j, const char *name, const char *s); /* NULL writes null */
void jsonw_bytes(struct jsonw *j, const char *name, const char *s, size_t len);
void jsonw_int(struct jsonw *j, const char *name, int64_t value);
void jsonw_bool(struct jsonw *j, const char *name, bool value);
void jsonw_null(struct jsonw *j, const char *name);
void jsonw_seconds(struct jsonw *j, const char *name, usec_t t); /* 1.25; up to microseconds; USEC_INFINITY is null */
void jsonw_raw(struct jsonw *j, const char *name, const char *text, size_t len); /* JSON already */

bool jsonw_is_utf8(const char *s, size_t len);
