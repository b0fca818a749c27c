/* edit.c - see edit.h.  Owns the library's handle, for as long as we live. */
#include "ctl/edit.h"

#include <dlfcn.h>
#include <stddef.h>

#include "base/cleanup.h"

#define LIBRARY "libedit.so.2"

static const struct {
    const char *name;
    size_t at;
} functions[] = {
    { "el_init", offsetof(struct edit_library, init) },
    { "el_end", offsetof(struct edit_library, end) },
    { "el_get", offsetof(struct edit_library, get) },
    { "el_set", offsetof(struct edit_library, set) },
    { "el_gets", offsetof(struct edit_library, read_line) },
    { "el_line", offsetof(struct edit_library, line) },
    { "el_cursor", offsetof(struct edit_library, cursor) },
    { "el_deletestr", offsetof(struct edit_library, deletestr) },
    { "el_insertstr", offsetof(struct edit_library, insertstr) },
    { "el_resize", offsetof(struct edit_library, resize) },
    { "el_source", offsetof(struct edit_library, source) },
    { "history_init", offsetof(struct edit_library, history_init) },
    { "history_end", offsetof(struct edit_library, history_end) },
    { "history", offsetof(struct edit_library, history) },
};

const struct edit_library *edit_library(void)
{
    static struct edit_library library; /* what was found, the same for ever */
    static void *handle;
    if (handle != NULL)
        return &library;
    void *found = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; found != NULL && i < ELEMENTS(functions); i++) {
        void *function = dlsym(found, functions[i].name);
        if (function == NULL) {
            dlclose(found);
            return NULL;
        }
        *(void **)((char *)&library + functions[i].at) = function;
    }
    handle = found;
    return found != NULL ? &library : NULL;
}
