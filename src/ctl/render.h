/* render.h - text for people: what reaches a terminal cannot command it.
 *
 * Names, descriptions and log bytes are written by jobs.  On a terminal their
 * control characters (C0 but newline and tab, DEL, C1, bytes that are not UTF-8)
 * are shown as escapes; anywhere else every byte goes out as it came. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Text that may be cut anywhere between two calls. */
struct render {
    FILE *out;
    bool terminal;
    unsigned char kept[4]; /* the beginning of a UTF-8 sequence */
    size_t n_kept;
};

void render_init(struct render *r, FILE *out, bool terminal);
void render_bytes(struct render *r, const char *data, size_t len);
void render_end(struct render *r); /* shows what was cut off for good */

/* A whole text. */
void render_text(FILE *out, bool terminal, const char *data, size_t len);

/* Columns that `s` takes: code points, as supervisorctl counts. */
size_t render_width(const char *s);

/* Writes the names in as many columns as fit into `width`, filled downwards. */
void render_columns(FILE *out, const char *const *names, size_t n, size_t width);
