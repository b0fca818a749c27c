/* keyvalue.h - the lists of `environment`: A=1,B="two words",C='3'. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

typedef void (*keyvalue_fn)(void *ctx, const char *name, size_t name_len, const char *value, size_t value_len);

/* Calls `each` for every pair, in order.  0, -ENOMEM, or -EINVAL with *why set
 * to supervisord's words ("Unexpected end of key/value pairs" or "No closing
 * quotation").  *comment: a "#" has cut away a part. */
int keyvalue_parse(const char *text, keyvalue_fn each, void *ctx, const char **why, bool *comment);
