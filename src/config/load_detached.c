/* load_detached.c - what `detached` makes of a program's descriptors, and which keys
 * then do nothing or not what one would think.  Owns nothing. */
#include "base/cleanup.h"
#include "config/kind.h"
#include "config/load.h"
#include "core/ipc.h"

/* Keys about what passes through the daemon, where nothing does. */
static const struct {
    const char *option;
    unsigned number; /* of the stream; 0: both */
    const char *what;
} unused[] = {
    { "stdout_logfile_maxbytes", 1, "does nothing: the program writes the file itself, and nobody rotates it" },
    { "stderr_logfile_maxbytes", 2, "does nothing: the program writes the file itself, and nobody rotates it" },
    { "stdout_logfile_backups", 1, "does nothing: the program writes the file itself, and nobody rotates it" },
    { "stderr_logfile_backups", 2, "does nothing: the program writes the file itself, and nobody rotates it" },
    { "stdout_syslog", 1, "does nothing: the daemon does not see what the program writes" },
    { "stderr_syslog", 2, "does nothing: the daemon does not see what the program writes" },
    { "log_format", 0, "does nothing: the daemon does not see what the program writes" },
    { "log_overflow", 0, "does nothing: the program writes the file itself" },
};

static bool is_direct(const struct program *p, unsigned number)
{
    return stdio_entry(p->stdio, number).kind == STDIO_LOG;
}

static void warn_unused(struct loader *l, const struct ini_section *section, const struct program *p)
{
    for (size_t i = 0; i < ELEMENTS(unused); i++) {
        unsigned n = unused[i].number;
        bool direct = n == 0 ? is_direct(p, 1) && is_direct(p, 2) : is_direct(p, n);
        const struct where w = { .section = section,
                                 .option = unused[i].option,
                                 .key = ini_key(&l->ini, section, unused[i].option) };
        if (direct && w.key != NULL)
            report(l, DIAGNOSTIC_WARNING, &w, NULL, "%s", unused[i].what);
    }
}

static void warn_ties(struct loader *l, const struct ini_section *section, const struct program *p)
{
    struct where w = { .section = section, .option = "stdio", .key = ini_key(&l->ini, section, "stdio") };
    bool pipe = false;
    for (unsigned i = 0; i < stdio_length(p->stdio); i++)
        pipe |= stdio_entry(p->stdio, i).kind == STDIO_PIPE;
    if (pipe)
        report(l, DIAGNOSTIC_WARNING, &w, NULL,
               "has a pipe, and detached is true: when the daemon ends, the pipe breaks, and what the program writes "
               "there may end it; take log, ignore or a file");
    if (ipc_descriptor(p) < 0)
        return;
    w = (struct where){ .section = section, .option = "ipc", .key = ini_key(&l->ini, section, "ipc") };
    report(l, DIAGNOSTIC_WARNING, &w, NULL,
           "makes a channel, and detached is true: when the daemon ends, the program is disconnected");
}

void load_detached(struct loader *l, const struct ini_section *section, struct program *p, bool first)
{
    if (p->detached && ini_key(&l->ini, section, "stdio") == NULL)
        p->stdio = stdio_detached;
    if (!first)
        return;
    if (p->detached)
        warn_ties(l, section, p);
    warn_unused(l, section, p);
}
