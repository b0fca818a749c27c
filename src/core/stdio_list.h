/* stdio_list.h - what each descriptor of a process is: index = number.
 *
 * Only lists that differ from three pipes exist as a value; they are as long as
 * the highest number they name, and three at least. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STDIO_MAX 64

enum stdio_kind {
    STDIO_PIPE,    /* to the supervisor; 3 and above: in both directions */
    STDIO_IGNORE,  /* /dev/null; 3 and above: not open */
    STDIO_INHERIT, /* the daemon's own of the same number */
    STDIO_NUMBER,  /* .number: the daemon's own of that number */
    STDIO_IPC,     /* its channel; at most one of a list */
    STDIO_READ,    /* .path, these three are opened by the new process itself */
    STDIO_WRITE,
    STDIO_APPEND,
    STDIO_LOG, /* its log file itself: nothing passes through the supervisor; 1 and 2 only */
};

struct stdio_entry {
    enum stdio_kind kind;
    int number;
    const char *path;
};

struct stdio_list {
    unsigned n;
    struct stdio_entry entries[];
};

/* NULL is three pipes; what is beyond the end is not open. */
static inline struct stdio_entry stdio_entry(const struct stdio_list *list, unsigned i)
{
    if (list != NULL && i < list->n)
        return list->entries[i];
    return (struct stdio_entry){ .kind = list == NULL && i < 3 ? STDIO_PIPE : STDIO_IGNORE };
}

static inline unsigned stdio_length(const struct stdio_list *list)
{
    return list != NULL ? list->n : 3;
}
