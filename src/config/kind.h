/* kind.h - the sorts of values that the option tables are made of. */
#pragma once

#include "config/option.h"

/* numbers and words: kind_basic.c */
extern const struct option_kind kind_text, kind_int, kind_count, kind_bool, kind_size, kind_duration, kind_factor,
    kind_octal, kind_retries, kind_big;
/* of programs: kind_program.c, kind_stop.c */
extern const struct option_kind kind_autorestart, kind_exitcodes, kind_stopsignal, kind_signal, kind_user, kind_logfile,
    kind_environment, kind_serverurl, kind_killasgroup, kind_kill_mode, kind_restart_reset, kind_process_name;
extern const struct option_kind kind_log_format, kind_log_overflow; /* kind_log.c */
/* of programs, Drover's own: kind_identity.c, kind_stdio.c, kind_start.c, kind_confine.c */
extern const struct option_kind kind_uid, kind_gid, kind_groups;
extern const struct stdio_list *const stdio_detached;
extern const struct option_kind kind_stdio, kind_shell, kind_inherit_environment, kind_environment_file;
extern const struct option_kind kind_limit, kind_level, kind_ionice, kind_cpus, kind_no_new_privileges,
    kind_capabilities;
extern const struct option_kind kind_ipc, kind_ipc_size, kind_ipc_count; /* kind_ipc.c */
extern const struct option_kind kind_relay, kind_names, kind_control, kind_ipc_wait,
    kind_ipc_handles; /* kind_relay.c */
/* of the daemon, its servers and groups: kind_daemon.c, kind_server.c */
extern const struct option_kind kind_directory, kind_logpath, kind_loglevel, kind_daemon_environment, kind_exit_with;
extern const struct option_kind kind_port, kind_socket_file, kind_chown, kind_chmod, kind_serverurl_client, kind_path,
    kind_socket, kind_socket_owner, kind_socket_mode, kind_backlog, kind_events, kind_buffer_size, kind_plugin;

/* shared pieces */
bool print_text(const struct option *o, const void *base, struct buf *out);
bool print_int(const struct option *o, const void *base, struct buf *out);
bool print_count(const struct option *o, const void *base, struct buf *out);
bool print_octal(const struct option *o, const void *base, struct buf *out);
bool equal_text(const struct option *o, const void *a, const void *b);
bool equal_int(const struct option *o, const void *a, const void *b);     /* of whatever has the size of one */
bool equal_list(const struct option *o, const void *a, const void *b);    /* of texts, NULL-terminated */
bool equal_printed(const struct option *o, const void *a, const void *b); /* where they print the same */
struct ipc_settings *ipc_edit(struct setting *s); /* those of this section, to be written to; NULL without memory */
bool ipc_equal(const struct option *o, const void *a, const void *b);
bool same_text(const char *a, const char *b);
bool same_list(const char *const *a, const char *const *b);
void print_duration(struct buf *out, usec_t t);
int refuse_int(struct setting *s, int error, const char *text); /* for what parse_int() refused */
