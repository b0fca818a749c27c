/* rotation.c - see rotation.h.  Pure. */
#include "core/rotation.h"

#include <string.h>

struct rotation_verdict rotation_decide(uint64_t size, uint64_t max, const char *data, size_t len)
{
    if (max == 0 || len == 0 || size + len < max)
        return (struct rotation_verdict){ .before = len };
    size_t from = size + 1 >= max ? 0 : (size_t)(max - size - 1); /* the byte that fills the file */
    const char *newline = memchr(data + from, '\n', len - from);
    if (newline != NULL)
        return (struct rotation_verdict){ .before = (size_t)(newline - data) + 1, .rotate = 1 };
    uint64_t hard = max + ROTATION_SLACK;
    if (size + len < hard)
        return (struct rotation_verdict){ .before = len };
    return (struct rotation_verdict){ .before = size >= hard ? 0 : (size_t)(hard - size), .rotate = 1 };
}
