/* syslogger.h - lines for the system's log, without ever waiting for it. */
#pragma once

#include <stddef.h>

struct syslogger;

/* The socket is opened at the first line and shared by all.  NULL without memory. */
struct syslogger *syslogger_new(void);
void syslogger_free(struct syslogger *s);

/* A stream of bytes is cut into lines; one longer than SYSLOGGER_LINE goes in pieces. */
#define SYSLOGGER_LINE 1024
struct syslogger_lines {
    size_t len;
    char data[SYSLOGGER_LINE];
};

/* Returns how many lines could not be sent. */
unsigned syslogger_feed(struct syslogger *s, struct syslogger_lines *l, const char *ident, const char *prefix,
                        const char *data, size_t len);
