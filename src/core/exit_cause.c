/* exit_cause.c - see exit_cause.h.  Values only; knows no process. */
#include "core/exit_cause.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/cleanup.h"

static const char *const stage_names[] = {
    [SPAWN_STAGE_NONE] = "none",
    [SPAWN_STAGE_COMMAND] = "command",
    [SPAWN_STAGE_LOOKUP] = "lookup",
    [SPAWN_STAGE_USER] = "user",
    [SPAWN_STAGE_STDIO] = "stdio",
    [SPAWN_STAGE_FORK] = "fork",
    [SPAWN_STAGE_LIMITS] = "limits",
    [SPAWN_STAGE_PROCESS_GROUP] = "setpgid",
    [SPAWN_STAGE_OOM] = "oom_score_adj",
    [SPAWN_STAGE_NICE] = "nice",
    [SPAWN_STAGE_IONICE] = "ionice",
    [SPAWN_STAGE_AFFINITY] = "cpu_affinity",
    [SPAWN_STAGE_CAPABILITIES] = "capabilities",
    [SPAWN_STAGE_NO_NEW_PRIVILEGES] = "no_new_privileges",
    [SPAWN_STAGE_DESCRIPTORS] = "descriptors",
    [SPAWN_STAGE_GROUPS] = "setgroups",
    [SPAWN_STAGE_GID] = "setgid",
    [SPAWN_STAGE_UID] = "setuid",
    [SPAWN_STAGE_VERIFY] = "verify",
    [SPAWN_STAGE_DIRECTORY] = "chdir",
    [SPAWN_STAGE_EXEC] = "exec",
};

const char *spawn_stage_name(enum spawn_stage stage)
{
    return (size_t)stage < ELEMENTS(stage_names) ? stage_names[stage] : "unknown";
}

struct exit_cause exit_cause_from_wait(int status)
{
    if (WIFEXITED(status))
        return (struct exit_cause){ .kind = EXIT_STATUS, .value = WEXITSTATUS(status) };
    if (WIFSIGNALED(status))
        return (struct exit_cause){ .kind = EXIT_SIGNAL, .value = WTERMSIG(status), .core = WCOREDUMP(status) };
    return (struct exit_cause){ .kind = EXIT_UNKNOWN };
}

struct exit_cause exit_cause_from_spawn(enum spawn_stage stage, int error)
{
    return (struct exit_cause){ .kind = EXIT_SPAWN, .value = error, .stage = stage };
}

bool exit_cause_expected(const struct exit_cause *c, const struct program *p)
{
    if (c->timed_out || (c->kind != EXIT_STATUS && c->kind != EXIT_SIGNAL))
        return false;
    for (size_t i = 0; i < p->n_exitcodes; i++)
        if (p->exitcodes[i].signal == (c->kind == EXIT_SIGNAL) && p->exitcodes[i].value == c->value)
            return true;
    return false;
}

const char *exit_signal_name(int signal, char buf[16])
{
    const char *abbreviation = sigabbrev_np(signal);
    if (abbreviation != NULL)
        snprintf(buf, 16, "SIG%s", abbreviation);
    else
        snprintf(buf, 16, "SIG%d", signal);
    return buf;
}

void exit_cause_words(const struct exit_cause *c, char *buf, size_t size)
{
    char name[16];
    const char *late = c->timed_out ? ", after its timeout" : "";
    switch (c->kind) {
    case EXIT_NONE:
        snprintf(buf, size, "has not ended");
        break;
    case EXIT_STATUS:
        snprintf(buf, size, "exit status %d%s", c->value, late);
        break;
    case EXIT_SIGNAL:
        snprintf(buf, size, "terminated by %s%s%s", exit_signal_name(c->value, name), c->core ? " (core dumped)" : "",
                 late);
        break;
    case EXIT_SPAWN:
        snprintf(buf, size, "spawn error: %s: %s", spawn_stage_name(c->stage), strerrorname_np(c->value) ?: "?");
        break;
    case EXIT_UNKNOWN:
        snprintf(buf, size, "ended in a way nobody could read");
        break;
    }
}
