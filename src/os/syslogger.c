/* syslogger.c - see syslogger.h.
 *
 * syslog(3) waits when the system's log is stuck, and so would every job; this
 * sends the same datagrams and does not.  Owns one socket; opens it again after
 * the log's daemon was restarted. */
#include "os/syslogger.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PRIORITY 14 /* user.info */

struct syslogger {
    int fd;
};

struct syslogger *syslogger_new(void)
{
    struct syslogger *s = malloc(sizeof(*s));
    if (s != NULL)
        s->fd = -1;
    return s;
}

void syslogger_free(struct syslogger *s)
{
    if (s != NULL)
        cleanup_close(&s->fd);
    free(s);
}

static int open_socket(struct syslogger *s)
{
    static const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
    if (s->fd >= 0)
        return 0;
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    s->fd = TAKE_FD(fd);
    return 0;
}

/* One datagram as RFC 3164 has it, facility user, severity info.  0, or a
 * negative errno: -EAGAIN when the system's log is behind. */
static int send_line(struct syslogger *s, const char *ident, const char *prefix, const char *line, size_t len)
{
    char text[SYSLOGGER_LINE + 512], when[32];
    time_t now = time(NULL);
    struct tm tm;
    localtime_r(&now, &tm);
    strftime(when, sizeof(when), "%b %e %H:%M:%S", &tm);
    int n = snprintf(text, sizeof(text), "<%d>%s %s: %s %.*s", PRIORITY, when, ident, prefix, (int)len, line);
    size_t size = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    for (int i = 0; i < 2; i++) {
        int r = open_socket(s);
        if (r < 0)
            return r;
        if (send(s->fd, text, size, MSG_NOSIGNAL) >= 0)
            return 0;
        if (errno == EAGAIN || errno == ENOBUFS)
            return -EAGAIN;
        cleanup_close(&s->fd);
    }
    return -errno;
}

unsigned syslogger_feed(struct syslogger *s, struct syslogger_lines *l, const char *ident, const char *prefix,
                        const char *data, size_t len)
{
    unsigned failed = 0;
    for (size_t i = 0; i < len; i++) {
        if (data[i] != '\n')
            l->data[l->len++] = data[i] == '\0' ? ' ' : data[i];
        if (data[i] != '\n' && l->len < SYSLOGGER_LINE)
            continue;
        if (l->len > 0 && send_line(s, ident, prefix, l->data, l->len) < 0)
            failed++;
        l->len = 0;
    }
    return failed;
}
