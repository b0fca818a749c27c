/* ipc.c - see ipc.h.  Looks at values, owns nothing. */
#include "core/ipc.h"

#include "core/program.h"

const struct ipc_settings *ipc_settings_of(const struct program *p)
{
    static const struct ipc_settings unsaid = { .max_message = IPC_MESSAGE_MAX,
                                                .queue_bytes = IPC_QUEUE_BYTES,
                                                .queue_messages = IPC_QUEUE_MESSAGES };
    return p->ipc != NULL ? p->ipc : &unsaid;
}

int ipc_descriptor(const struct program *p)
{
    unsigned n = stdio_length(p->stdio);
    for (unsigned i = 0; i < n; i++)
        if (stdio_entry(p->stdio, i).kind == STDIO_IPC)
            return (int)i;
    if (ipc_settings_of(p)->mode == IPC_FALSE)
        return -1;
    for (unsigned i = 3; i < STDIO_MAX; i++)
        if (stdio_entry(p->stdio, i).kind == STDIO_IGNORE)
            return (int)i;
    return -1; /* the loader has refused that */
}
