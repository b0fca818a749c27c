/* ipc.c - see ipc.h.  Looks at values, owns nothing. */
#include "core/ipc.h"

#include "core/program.h"

const struct ipc_settings *ipc_settings_of(const struct program *p)
{
    static const struct ipc_settings unsaid = { .max_message = IPC_MESSAGE_MAX,
                                                .queue_bytes = IPC_QUEUE_BYTES,
                                                .queue_messages = IPC_QUEUE_MESSAGES,
                                                .wait = IPC_WAIT };
    return p->ipc != NULL ? p->ipc : &unsaid;
}

bool ipc_wanted(const struct program *p)
{
    const struct ipc_settings *i = ipc_settings_of(p);
    return i->mode != IPC_FALSE || i->relay;
}

int ipc_descriptor(const struct program *p)
{
    unsigned n = stdio_length(p->stdio);
    for (unsigned i = 0; i < n; i++)
        if (stdio_entry(p->stdio, i).kind == STDIO_IPC)
            return (int)i;
    if (!ipc_wanted(p))
        return -1;
    for (unsigned i = 3; i < STDIO_MAX; i++)
        if (stdio_entry(p->stdio, i).kind == STDIO_IGNORE)
            return (int)i;
    return -1; /* the loader has refused that */
}
