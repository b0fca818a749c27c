/* options_program.c - the keys of programs, groups, listeners and fcgi programs.
 *
 * The order is that in which supervisord evaluates them, because the first error
 * is the one that it reports: first what all processes of a section share, then
 * what each process has for itself. */
#include "base/cleanup.h"
#include "config/kind.h"
#include "config/setting.h"

#define AT(field) offsetof(struct draft, field)
#define P(field) offsetof(struct program, field)
#define HERE OPTION_HERE
#define EACH (OPTION_HERE | OPTION_PROCESS)
#define OURS (OPTION_HERE | OPTION_DROVER)

/* clang-format off */ /* a row is two lines: what it is, and what it is for */

static const struct option program_rows[] = {
    { "priority", &kind_int, P(priority), HERE, "999", NULL, 0, 0,
      "low numbers start first and stop last" },
    { "autostart", &kind_bool, P(autostart), HERE, "true", NULL, 0, 0,
      "start with the daemon" },
    { "autorestart", &kind_autorestart, P(autorestart), HERE, "unexpected", NULL, 0, 0,
      "restart after an exit: always, never, or for these reasons only" },
    { "startsecs", &kind_duration, P(startsecs), HERE, "1", NULL, 0, 0,
      "up this long, a start has succeeded; 0: at once" },
    { "startretries", &kind_retries, P(startretries), HERE, "3", NULL, 0, 0,
      "failed starts in a row before FATAL" },
    { "stopsignal", &kind_stopsignal, P(stopsignal_text), HERE, "TERM", NULL, 0, 0,
      "the signal that ends it, or a ladder of signals with times" },
    { "stopwaitsecs", &kind_duration, P(stopwaitsecs), HERE, "10", NULL, 0, 0,
      "time from the stop signal to KILL" },
    { "stopasgroup", &kind_bool, P(stopasgroup), HERE, "false", NULL, 0, 0,
      "send stop signals to the whole process group" },
    { "killasgroup", &kind_killasgroup, P(killasgroup), HERE, NULL, NULL, 0, 0,
      "send KILL to the whole process group; default: as stopasgroup" },
    { "exitcodes", &kind_exitcodes, P(exitcodes), HERE, "0", NULL, 0, 0,
      "exit codes and signals that are expected" },
    { "redirect_stderr", &kind_bool, P(redirect_stderr), HERE, "false", NULL, 0, 0,
      "standard error goes where standard output goes" },
    { "numprocs", &kind_big, AT(numprocs), HERE | OPTION_LOADING, "1", NULL, 0, 0,
      "how many processes to run" },
    { "numprocs_start", &kind_big, AT(numprocs_start), HERE | OPTION_LOADING, "0", NULL, 0, 0,
      "%(process_num)s of the first of them" },
    { "stdout_capture_maxbytes", &kind_size, P(out.capture_max_bytes), HERE, "0", NULL, 0, 0,
      "bytes kept of what stands between capture marks on standard output" },
    { "stdout_events_enabled", &kind_bool, P(out.events_enabled), HERE, "false", NULL, 0, 0,
      "emit log events for standard output" },
    { "stderr_capture_maxbytes", &kind_size, P(err.capture_max_bytes), HERE, "0", NULL, 0, 0,
      "bytes kept of what stands between capture marks on standard error" },
    { "stderr_events_enabled", &kind_bool, P(err.events_enabled), HERE, "false", NULL, 0, 0,
      "emit log events for standard error" },
    { "serverurl", &kind_serverurl, P(serverurl), HERE, NULL, NULL, 0, 0,
      "SUPERVISOR_SERVER_URL of its environment; default: AUTO, the daemon's first server" },
    { "user", &kind_user, P(user), HERE, NULL, NULL, 0, 0,
      "run as this user, with its groups; default: as the daemon" },
    { "umask", &kind_octal, P(umask), HERE, NULL, NULL, 0, 0,
      "file creation mask; default: the daemon's" },
    { "process_name", &kind_process_name, AT(process_name), OPTION_HERE | OPTION_RAW | OPTION_LOADING,
      "%(program_name)s", NULL, 0, 0,
      "what the process is called" },
    { "timeout", &kind_duration, P(timeout), OURS, "0", NULL, 0, 0,
      "longest time it may run; 0: none" },
    { "timeout_signal", &kind_signal, P(timeout_signal), OURS, "TERM", NULL, 0, 0,
      "what it gets then, before the stop ladder" },
    { "restart_delay", &kind_duration, P(restart_delay), OURS, "1s", NULL, 0, 0,
      "time to wait after the first failed start" },
    { "restart_delay_max", &kind_duration, P(restart_delay_max), OURS, "60s", "infinity", 0, 0,
      "longest time to wait between two tries" },
    { "restart_factor", &kind_factor, P(restart_factor), OURS, "2", "0", 0, 1000,
      "each wait is this many times the one before; 0: one delay longer each time" },
    { "restart_jitter", &kind_factor, P(restart_jitter), OURS, "0.1", "0", 0, 10,
      "up to this share is added to a wait by chance" },
    { "restart_reset", &kind_restart_reset, P(restart_reset), OURS, NULL, NULL, 0, 0,
      "up this long, failures are forgotten; default: startsecs" },
    { "restart_interval", &kind_duration, P(restart_interval), OURS, "100ms", NULL, 0, 0,
      "least time between two starts of one process; 0: none" },
    { "description", &kind_text, P(description), OURS, NULL, NULL, 0, 0,
      "text shown by status" },
    { "argv0", &kind_text, P(argv0), OURS, NULL, NULL, 0, 0,
      "first word that the program is given; default: that of command" },
    { "shell", &kind_shell, P(shell), OURS, "false", NULL, 0, 0,
      "run command through a shell" },
    { "inherit_environment", &kind_inherit_environment, P(inherit_environment), OURS, "true", NULL, 0, 0,
      "which of the daemon's variables it gets" },
    { "uid", &kind_uid, P(uid_text), OURS, NULL, NULL, 0, 0,
      "run as this user, with its groups; the same as user" },
    { "gid", &kind_gid, P(gid_text), OURS, NULL, NULL, 0, 0,
      "run with this primary group; default: that of the user" },
    { "groups", &kind_groups, P(groups_text), OURS, NULL, NULL, 0, 0,
      "exactly these supplementary groups; default: those of the user" },
    { "limit_as", &kind_limit, P(confinement), OURS, NULL, NULL, 0, 0,
      "most address space, in bytes" },
    { "limit_core", &kind_limit, P(confinement), OURS, NULL, NULL, 0, 0,
      "largest core dump, in bytes; 0: none" },
    { "limit_cpu", &kind_limit, P(confinement), OURS, NULL, NULL, 0, 0,
      "most processor time; a plain number is seconds" },
    { "limit_data", &kind_limit, P(confinement), OURS, NULL, NULL, 0, 0,
      "most data memory, in bytes" },
    { "limit_fsize", &kind_limit, P(confinement), OURS, NULL, NULL, 0, 0,
      "largest file it may write, in bytes" },
    { "limit_locks", &kind_limit, P(confinement), OURS, NULL, NULL, 0, 0,
      "most file locks; the kernel no longer looks at it" },
    { "limit_memlock", &kind_limit, P(confinement), OURS, NULL, NULL, 0, 0,
      "most memory it may lock, in bytes" },
    { "limit_msgqueue", &kind_limit, P(confinement), OURS, NULL, NULL, 0, 0,
      "most bytes in its POSIX message queues" },
    { "limit_nice", &kind_limit, P(confinement), OURS, NULL, NULL, 0, 0,
      "highest priority it may give itself: 0 to 40, or a nice level as +N, -N" },
    { "limit_nofile", &kind_limit, P(confinement), OURS, NULL, NULL, 0, 0,
      "most open files, as SOFT:HARD; default: the daemon's own at its start" },
    { "limit_nproc", &kind_limit, P(confinement), OURS, NULL, NULL, 0, 0,
      "most processes of its user" },
    { "limit_rss", &kind_limit, P(confinement), OURS, NULL, NULL, 0, 0,
      "most resident memory; the kernel no longer looks at it" },
    { "limit_rtprio", &kind_limit, P(confinement), OURS, NULL, NULL, 0, 0,
      "highest real-time priority it may give itself" },
    { "limit_rttime", &kind_limit, P(confinement), OURS, NULL, NULL, 0, 0,
      "most real-time processor time without a pause; a plain number is microseconds" },
    { "limit_sigpending", &kind_limit, P(confinement), OURS, NULL, NULL, 0, 0,
      "most signals that wait for its user" },
    { "limit_stack", &kind_limit, P(confinement), OURS, NULL, NULL, 0, 0,
      "largest stack, in bytes" },
    { "nice", &kind_level, P(confinement), OURS, NULL, NULL, -20, 19,
      "its place among others at the processor: -20 is first, 19 last" },
    { "ionice", &kind_ionice, P(confinement), OURS, NULL, NULL, 0, 0,
      "its place among others at the disk" },
    { "oom_score_adj", &kind_level, P(confinement), OURS, NULL, NULL, -1000, 1000,
      "how early the kernel kills it when memory is short: -1000 is never" },
    { "cpu_affinity", &kind_cpus, P(confinement), OURS, NULL, NULL, 0, 0,
      "the processors that it may run on" },
    { "no_new_privileges", &kind_no_new_privileges, P(confinement), OURS, "false", NULL, 0, 0,
      "nothing that it executes can gain privileges" },
    { "capabilities", &kind_capabilities, P(confinement), OURS, NULL, NULL, 0, 0,
      "the only capabilities it has and can get, whoever it is" },

    { "environment", &kind_environment, P(environment), EACH | OPTION_RAW, "", NULL, 0, 0,
      "variables added to the daemon's" },
    { "environment_file", &kind_environment_file, P(environment_file), EACH | OPTION_DROVER, NULL, NULL, 0, 0,
      "files of more variables, NAME=VALUE a line" },
    { "directory", &kind_text, P(directory), EACH, NULL, NULL, 0, 0,
      "run in this directory; default: the daemon's" },
    { "stdout_logfile", &kind_logfile, P(out), EACH | OPTION_TWICE, "AUTO", NULL, 0, 0,
      "file for standard output" },
    { "stdout_logfile_backups", &kind_count, P(out.backups), EACH, "10", NULL, 0, 0,
      "old log files to keep" },
    { "stdout_logfile_maxbytes", &kind_size, P(out.max_bytes), EACH, "50MB", NULL, 0, 0,
      "size at which the log is rotated; 0: never" },
    { "stdout_syslog", &kind_bool, P(out.syslog), EACH, "false", NULL, 0, 0,
      "send lines to syslog too" },
    { "stderr_logfile", &kind_logfile, P(err), EACH | OPTION_TWICE, "AUTO", NULL, 0, 0,
      "file for standard error" },
    { "stderr_logfile_backups", &kind_count, P(err.backups), EACH, "10", NULL, 0, 0,
      "old log files to keep" },
    { "stderr_logfile_maxbytes", &kind_size, P(err.max_bytes), EACH, "50MB", NULL, 0, 0,
      "size at which the log is rotated; 0: never" },
    { "stderr_syslog", &kind_bool, P(err.syslog), EACH, "false", NULL, 0, 0,
      "send lines to syslog too" },
    { "command", &kind_text, P(command), EACH, NULL, NULL, 0, 0,
      "what to run: words with the shell's quotes, found along PATH; required" },
};

const struct option_table options_program = { "program:", program_rows, ELEMENTS(program_rows),
                                              "a program, run as one or more processes" };

#define G(field) offsetof(struct group_draft, field)

static const struct option group_rows[] = {
    { "programs", &kind_text, G(programs), HERE | OPTION_LOADING, "", NULL, 0, 0,
      "names of the programs in it, with commas; they leave their own groups" },
    { "priority", &kind_int, G(g.priority), HERE, "999", NULL, 0, 0,
      "low numbers start first and stop last" },
};

const struct option_table options_group = { "group:", group_rows, ELEMENTS(group_rows),
                                            "programs that are started and stopped together" };

static const struct option eventlistener_rows[] = {
    { "buffer_size", &kind_buffer_size, G(g.buffer_size), HERE, "10", NULL, 0, 0,
      "events to keep for a listener that is busy" },
    { "result_handler", &kind_plugin, G(g.result_handler), HERE, "supervisor.dispatchers:default_handler", NULL, 0, 0,
      "Python code of supervisord that judges results" },
    { "events", &kind_events, G(g.events), HERE, "", NULL, 0, 0,
      "names of the events that it is told; required" },
};

const struct option_table options_eventlistener = { "eventlistener:", eventlistener_rows, ELEMENTS(eventlistener_rows),
                                                    "a program that is told of events; has the keys of a program too" };

static const struct option fcgi_rows[] = {
    { "socket_backlog", &kind_backlog, G(g.socket_backlog), HERE, NULL, NULL, 0, 0,
      "connections that may wait; default: the system's limit" },
    { "socket_owner", &kind_socket_owner, G(g.socket_owner), HERE, NULL, NULL, 0, 0,
      "who owns a unix socket; default: the program's user" },
    { "socket_mode", &kind_socket_mode, G(g.socket_mode), HERE, NULL, NULL, 0, 0,
      "mode of a unix socket; default: 0700" },
    { "socket", &kind_socket, G(g.socket_url), HERE, NULL, NULL, 0, 0,
      "address that is its standard input; required" },
};

const struct option_table options_fcgi = { "fcgi-program:", fcgi_rows, ELEMENTS(fcgi_rows),
                                           "a program whose standard input is a listening socket; has the keys of a "
                                           "program too" };
