/* options_daemon.c - the keys of the daemon, its servers and its client.
 *
 * As in options_program.c, the order is supervisord's. */
#include "base/cleanup.h"
#include "config/kind.h"
#include "config/setting.h"

#define D(field) offsetof(struct daemon_draft, d.field)
#define S(field) offsetof(struct config_server, field)
#define C(field) offsetof(struct config_client, field)
#define HERE OPTION_HERE
#define OURS (OPTION_HERE | OPTION_DROVER)

/* clang-format off */ /* a row is two lines: what it is, and what it is for */

static const struct option daemon_rows[] = {
    { "minfds", &kind_count, D(minfds), HERE, "1024", NULL, 0, 0,
      "open files that the daemon must be allowed" },
    { "minprocs", &kind_count, D(minprocs), HERE, "200", NULL, 0, 0,
      "processes that the daemon must be allowed" },
    { "directory", &kind_directory, D(directory), HERE, NULL, NULL, 0, 0,
      "go here when going into the background" },
    { "user", &kind_text, D(user), HERE, NULL, NULL, 0, 0,
      "become this user before anything else" },
    { "umask", &kind_octal, D(umask), HERE, "022", NULL, 0, 0,
      "file creation mask" },
    { "logfile", &kind_logpath, D(logfile), HERE, "supervisord.log", NULL, 0, 0,
      "the daemon's own log, or syslog" },
    { "logfile_maxbytes", &kind_size, D(logfile_maxbytes), HERE, "50MB", NULL, 0, 0,
      "size at which it is rotated; 0: never" },
    { "logfile_backups", &kind_count, D(logfile_backups), HERE, "10", NULL, 0, 0,
      "old log files to keep" },
    { "loglevel", &kind_loglevel, D(loglevel), HERE, "info", NULL, 0, 0,
      "how much to log" },
    { "pidfile", &kind_logpath, D(pidfile), HERE, "supervisord.pid", NULL, 0, 0,
      "where to write the daemon's process id" },
    { "identifier", &kind_text, D(identifier), HERE, "supervisor", NULL, 0, 0,
      "name of this daemon in interfaces and file names" },
    { "nodaemon", &kind_bool, D(nodaemon), HERE, "false", NULL, 0, 0,
      "stay in the foreground" },
    { "silent", &kind_bool, D(silent), HERE, "false", NULL, 0, 0,
      "in the foreground, do not show the log" },
    { "childlogdir", &kind_directory, D(childlogdir), HERE, NULL, NULL, 0, 0,
      "directory of AUTO log files; default: that for temporary files" },
    { "nocleanup", &kind_bool, D(nocleanup), HERE, "false", NULL, 0, 0,
      "keep AUTO log files of earlier runs" },
    { "strip_ansi", &kind_bool, D(strip_ansi), HERE, "false", NULL, 0, 0,
      "remove terminal colours from logs" },
    { "environment", &kind_daemon_environment, D(environment), HERE, "", NULL, 0, 0,
      "variables for all programs" },
    { "exit_with", &kind_text, D(exit_with), OURS, NULL, NULL, 0, 0,
      "end with this program, and with its exit status" },
    { "control_group", &kind_text, D(control_group), OURS, NULL, NULL, 0, 0,
      "members of this group may control the daemon" },
    { "state_dir", &kind_path, D(state_dir), OURS, NULL, NULL, 0, 0,
      "directory of the lock and the state; default: in /run, or beside the socket" },
    { "watchdog", &kind_duration, D(watchdog), OURS, "0", NULL, 0, 0,
      "replace a supervisor that does nothing for so long; 0: never" },
    { "remember_stop", &kind_bool, D(remember_stop), OURS, "true", "false", 0, 0,
      "what an operator has stopped stays stopped when the daemon starts again" },
    { "keep_on_restart", &kind_bool, D(keep_on_restart), OURS, "false", NULL, 0, 0,
      "systemctl restart leaves programs running for the next daemon" },
};

const struct option_table options_daemon = { "supervisord", daemon_rows, ELEMENTS(daemon_rows),
                                             "the daemon; [droverd] makes the file a native one" };

static const struct option unix_rows[] = {
    { "file", &kind_socket_file, S(file), OPTION_HERE, NULL, NULL, 0, 0,
      "path of the socket; required" },
    { "username", &kind_text, S(username), 0, NULL, NULL, 0, 0,
      "ask for this name; only with a password" },
    { "password", &kind_text, S(password), OPTION_SECRET, NULL, NULL, 0, 0,
      "ask for this password, clear or {SHA} and hexadecimal" },
    { "chown", &kind_chown, S(owner), 0, NULL, NULL, 0, 0,
      "who owns the socket; default: who started the daemon" },
    { "chmod", &kind_chmod, S(mode), 0, "0700", NULL, 0, 0,
      "mode of the socket" },
};

const struct option_table options_unix_server = { "unix_http_server", unix_rows, ELEMENTS(unix_rows),
                                                  "control over a unix socket" };

static const struct option inet_rows[] = {
    { "username", &kind_text, S(username), 0, NULL, NULL, 0, 0,
      "ask for this name; only with a password" },
    { "password", &kind_text, S(password), OPTION_SECRET, NULL, NULL, 0, 0,
      "ask for this password, clear or {SHA} and hexadecimal" },
    { "port", &kind_port, S(port), 0, NULL, NULL, 0, 0,
      "address to listen on; *:port is any; required" },
};

const struct option_table options_inet_server = { "inet_http_server", inet_rows, ELEMENTS(inet_rows),
                                                  "control over TCP" };

static const struct option client_rows[] = {
    { "serverurl", &kind_serverurl_client, C(serverurl), OPTION_HERE, "http://localhost:9001", NULL, 0, 0,
      "where the daemon listens" },
    { "prompt", &kind_text, C(prompt), 0, "supervisor", NULL, 0, 0,
      "prompt of the shell" },
    { "username", &kind_text, C(username), 0, NULL, NULL, 0, 0,
      "name to give the daemon" },
    { "password", &kind_text, C(password), OPTION_SECRET, NULL, NULL, 0, 0,
      "password to give the daemon" },
    { "history_file", &kind_path, C(history_file), OPTION_HERE, NULL, NULL, 0, 0,
      "where the shell keeps its lines" },
};

const struct option_table options_client = { "supervisorctl", client_rows, ELEMENTS(client_rows), "the client" };

static const struct option include_rows[] = {
    { "files", &kind_text, 0, OPTION_HERE | OPTION_LOADING, NULL, NULL, 0, 0,
      "patterns of files to read too, with blanks; relative to this file; required" },
};

const struct option_table options_include = { "include", include_rows, ELEMENTS(include_rows), "more files" };

static const struct option rpcinterface_rows[] = {
    { "supervisor.rpcinterface_factory", &kind_text, 0, OPTION_LOADING, NULL, NULL, 0, 0,
      "Python code of supervisord; the standard one is built in" },
};

const struct option_table options_rpcinterface = { "rpcinterface:", rpcinterface_rows, ELEMENTS(rpcinterface_rows),
                                                   "a plug-in of supervisord; other keys are its own" };

static const struct option ctlplugin_rows[] = {
    { "supervisor.ctl_factory", &kind_text, 0, OPTION_LOADING, NULL, NULL, 0, 0,
      "Python code of supervisorctl" },
};

const struct option_table options_ctlplugin = { "ctlplugin:", ctlplugin_rows, ELEMENTS(ctlplugin_rows),
                                                "a plug-in of supervisorctl; other keys are its own" };
