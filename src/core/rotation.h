/* rotation.h - where a log file is cut: sizes in, verdict out. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A line that does not end within this much past the limit is cut in two. */
#define ROTATION_SLACK (64 * 1024)

struct rotation_verdict {
    size_t before; /* bytes of the data that still belong into the present file */
    int rotate;    /* then start a new one */
};

/* `size` bytes are in the file, `len` bytes of data are to follow; a file is
 * full at the first newline at or past `max` (0: never). */
struct rotation_verdict rotation_decide(uint64_t size, uint64_t max, const char *data, size_t len);
