/* format.h - Python's "%" operator for a text and a mapping of names.
 *
 * That is what the %(name)s of configuration files are: flags, width, precision
 * and conversions included, and so are its error messages. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct format_value {
    bool is_number;
    int64_t number;
    const char *text;
};

typedef bool (*format_lookup_fn)(void *ctx, const char *name, size_t len, struct format_value *ret);

enum {
    FORMAT_E_NAME = 1, /* .name/.name_len has no value */
    FORMAT_E_BAD,      /* .why says what is wrong */
};

struct format_result {
    const char *name; /* points into the text */
    size_t name_len;
    char why[96];
    bool bare; /* a "%s" without a name stayed as it is; Python would print its whole mapping there */
};

/* Adds the text with every %(name)s replaced.  0, a FORMAT_E_*, or a negative
 * errno (-ENOBUFS: longer than the buffer's bound). */
int format_expand(struct buf *out, const char *text, format_lookup_fn lookup, void *ctx, struct format_result *result);
