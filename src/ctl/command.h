/* command.h - the verbs of droverctl: one table entry each.
 *
 * Help, completion, the shell and the dispatch read the same entries. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct ctl;

/* The words behind a verb. */
struct ctl_words {
    const char *text; /* all of them, as typed */
    char **list;
    size_t n;
};

enum ctl_command_flags {
    CTL_UPCHECK = 1 << 0,     /* says whether the daemon is there before anything else */
    CTL_NO_ARGS = 1 << 1,     /* "Error: VERB accepts no arguments" */
    CTL_PROCESSES = 1 << 2,   /* completion: names of processes */
    CTL_GROUPS = 1 << 3,      /* completion: names of groups */
    CTL_VERBS = 1 << 4,       /* completion: verbs */
    CTL_ARGV = 1 << 5,        /* its words are those of the shell, quotes and all; it reads options by itself */
    CTL_ONE_PROCESS = 1 << 6, /* takes one process, and no group */
    CTL_OPTIONS = 1 << 7,     /* has options of its own; elsewhere a word that begins with -- is refused */
};

struct ctl_command {
    const char *name;
    const char *args;    /* "NAME...", for help */
    const char *summary; /* one line */
    const char *help;    /* more lines, or NULL */
    unsigned flags;
    void (*fn)(struct ctl *ctl, const struct ctl_words *words);
};

/* In lexical order; *n gets the number. */
const struct ctl_command *const *ctl_commands(size_t *n);
const struct ctl_command *ctl_command_find(const char *name, size_t len);

/* Runs one line: a verb and its words. */
void ctl_run_line(struct ctl *ctl, const char *line);
/* The same for words as main() was given them. */
void ctl_run_argv(struct ctl *ctl, char **words);
void ctl_command_help(struct ctl *ctl, const struct ctl_command *command);

/* The interactive shell, until its end. */
int ctl_shell(struct ctl *ctl);

extern const struct ctl_command ctl_cmd_add, ctl_cmd_avail, ctl_cmd_clear, ctl_cmd_disconnect, ctl_cmd_events,
    ctl_cmd_exit, ctl_cmd_fg, ctl_cmd_help, ctl_cmd_ipc, ctl_cmd_logs, ctl_cmd_maintail, ctl_cmd_messages, ctl_cmd_open,
    ctl_cmd_pid, ctl_cmd_quit, ctl_cmd_reload, ctl_cmd_remove, ctl_cmd_reopen, ctl_cmd_reread, ctl_cmd_restart,
    ctl_cmd_run, ctl_cmd_runs, ctl_cmd_send, ctl_cmd_show, ctl_cmd_shutdown, ctl_cmd_signal, ctl_cmd_start,
    ctl_cmd_status, ctl_cmd_stop, ctl_cmd_tail, ctl_cmd_update, ctl_cmd_upgrade, ctl_cmd_version, ctl_cmd_why,
    ctl_cmd_write;
