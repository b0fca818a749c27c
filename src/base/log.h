/* log.h - the daemon's own log: one line an event, to stderr, a file or syslog.
 *
 * Only the layer that decides logs (supervisor/ and above); libraries return
 * errors instead.  Lines have supervisord's form, since people grep for it:
 * "2026-01-31 23:59:59,123 INFO spawned: 'web' with pid 4711".  Control
 * characters in a message are escaped, so one event is always one line. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum log_level {
    LOG_LEVEL_CRITICAL,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_TRACE,
    LOG_LEVEL_BLATHER,
};

struct log_options {
    const char *path;  /* NULL: no file; "syslog": the system's log; borrowed until log_open returns */
    const char *ident; /* for syslog */
    enum log_level level;
    uint64_t max_bytes; /* 0: never rotated */
    unsigned backups;
    bool echo; /* to standard output too */
};

/* Before the first log_open() everything from info up goes to standard error.
 * 0, or a negative errno when the file cannot be opened; the old sinks stay then. */
int log_open(const struct log_options *o);

/* Opens the file again under its name (after a rotation from outside). */
int log_reopen(void);
void log_close(void);

/* While held, lines below an error wait for log_flush() and go out in one write:
 * a loop flushes at the end of each turn. */
void log_hold(bool on);
void log_flush(void);

/* N for /dev/fd/N and its other names, /dev/stdout and /dev/stderr; else -1. */
int log_own_descriptor(const char *path);

/* The file's path or NULL; for `maintail`. */
const char *log_path(void);
enum log_level log_get_level(void);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_critical(...) log_write(LOG_LEVEL_CRITICAL, __VA_ARGS__)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_trace(...) log_write(LOG_LEVEL_TRACE, __VA_ARGS__)
