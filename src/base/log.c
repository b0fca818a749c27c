/* log.c - the daemon's log: formats a line, writes it to the sinks, rotates the file.
 *
 * The one module with state of its own (`sink`), since every layer above
 * must be able to log without being handed a logger.  It owns the descriptor of
 * the file.  Where standard output or error is the journal's (systemd says so in
 * JOURNAL_STREAM), lines go there with their priority and without a time, which
 * the journal has itself.  Nothing it meets ends or holds up the daemon: a line that
 * cannot be written (a full disk, a pipe that nobody reads) is lost, and counted for
 * the next line that gets through. */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <syslog.h>
#include <time.h>

#include "base/buf.h"
#include "base/cleanup.h"

#define LOG_MESSAGE_MAX 16384
#define LOG_LINE_MAX (4 * LOG_MESSAGE_MAX + 256) /* every byte escaped, and what surrounds it */

#define HELD_MAX (32 * 1024)

static const struct {
    const char *mark; /* in lines */
    int syslog_priority;
} levels[] = {
    [LOG_LEVEL_CRITICAL] = { "CRIT", LOG_CRIT }, [LOG_LEVEL_ERROR] = { "ERRO", LOG_ERR },
    [LOG_LEVEL_WARN] = { "WARN", LOG_WARNING },  [LOG_LEVEL_INFO] = { "INFO", LOG_INFO },
    [LOG_LEVEL_DEBUG] = { "DEBG", LOG_DEBUG },   [LOG_LEVEL_TRACE] = { "TRAC", LOG_DEBUG },
    [LOG_LEVEL_BLATHER] = { "BLAT", LOG_DEBUG },
};

static struct {
    char *path;
    int fd;
    bool regular; /* writing to it does not wait for a reader */
    bool journal; /* it is the journal's */
    bool syslog;
    bool echo;
    bool echo_journal;
    bool opened;    /* false: early messages go to standard error */
    char ident[64]; /* openlog() keeps the pointer */
    enum log_level level;
    uint64_t size;
    uint64_t max_bytes;
    unsigned backups;
    unsigned lost; /* lines since the last one that was written */
    struct buf line;
    bool holding;
    struct buf held; /* lines that go out together */
    struct buf for_journal, held_for_journal;
} sink = { .fd = -1,
           .level = LOG_LEVEL_INFO,
           .line = { .max = LOG_LINE_MAX },
           .held = { .max = HELD_MAX },
           .for_journal = { .max = LOG_LINE_MAX },
           .held_for_journal = { .max = HELD_MAX } };

const char *log_path(void)
{
    return sink.path;
}

enum log_level log_get_level(void)
{
    return sink.level;
}

/* --- the file ----------------------------------------------------------- */

int log_own_descriptor(const char *path)
{
    if (strcmp(path, "/dev/stdout") == 0)
        return STDOUT_FILENO;
    if (strcmp(path, "/dev/stderr") == 0)
        return STDERR_FILENO;
    if (strncmp(path, "/dev/fd/", 8) != 0)
        return -1;
    char *end;
    errno = 0;
    long fd = strtol(path + 8, &end, 10);
    return errno == 0 && end != path + 8 && *end == '\0' && fd >= 0 && fd <= INT_MAX ? (int)fd : -1;
}

/* O_NONBLOCK so that a FIFO without a reader is an error and not a wait.  Our own
 * descriptors are duplicated: opening /dev/stdout fails when it is a socket, which is
 * what services have. */
static int file_open(const char *path, int flags)
{
    int own = log_own_descriptor(path);
    int fd = own >= 0 ? fcntl(own, F_DUPFD_CLOEXEC, 3)
                      : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags, 0644);
    return fd >= 0 ? fd : -errno;
}

/* JOURNAL_STREAM is "DEVICE:INODE" of what we were born with, which may have been
 * redirected since (systemd.exec(5)). */
static bool is_journal(int fd)
{
    struct stat st;
    char name[64];
    const char *stream = getenv("JOURNAL_STREAM");
    if (stream == NULL || fd < 0 || fstat(fd, &st) < 0)
        return false;
    snprintf(name, sizeof(name), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    return strcmp(stream, name) == 0;
}

static void file_use(int fd)
{
    struct stat st;
    cleanup_close(&sink.fd);
    sink.fd = fd;
    sink.journal = is_journal(fd);
    sink.regular = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    sink.size = sink.regular ? (uint64_t)st.st_size : 0;
}

int log_reopen(void)
{
    log_flush();
    if (sink.path == NULL)
        return 0;
    int fd = file_open(sink.path, 0);
    if (fd < 0)
        return fd;
    file_use(fd);
    return 0;
}

static void backup_name(char *out, size_t size, unsigned n)
{
    snprintf(out, size, n == 0 ? "%s" : "%s.%u", sink.path, n);
}

/* path.1 becomes path.2 and so on; the oldest is overwritten.  A missing number
 * is no error, any other failure leaves the rest as it is. */
static int shift_backups(void)
{
    char from[PATH_MAX], to[PATH_MAX];
    for (unsigned n = sink.backups; n > 0; n--) {
        backup_name(from, sizeof(from), n - 1);
        backup_name(to, sizeof(to), n);
        if (rename(from, to) < 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

/* Whatever fails, the log goes on in the file that is open, and the next try
 * comes when it has grown by max_bytes once more.  /dev/stdout is no name of ours. */
static void rotate_when_full(void)
{
    if (!sink.regular || sink.max_bytes == 0 || sink.size < sink.max_bytes || log_own_descriptor(sink.path) >= 0)
        return;
    sink.size = 0;
    if (shift_backups() < 0)
        return;
    int fd = file_open(sink.path, sink.backups == 0 ? O_TRUNC : 0);
    if (fd >= 0)
        file_use(fd);
}

/* --- open and close ----------------------------------------------------- */

static void syslog_use(bool on, const char *ident)
{
    if (sink.syslog)
        closelog();
    sink.syslog = on;
    if (!on)
        return;
    snprintf(sink.ident, sizeof(sink.ident), "%s", ident != NULL ? ident : "droverd");
    openlog(sink.ident, LOG_PID | LOG_NDELAY, LOG_DAEMON);
}

int log_open(const struct log_options *o)
{
    log_flush();
    bool to_syslog = o->path != NULL && strcmp(o->path, "syslog") == 0;
    _cleanup_free_ char *path = NULL;
    int fd = -1;
    if (o->path != NULL && !to_syslog) {
        path = strdup(o->path);
        if (path == NULL)
            return -ENOMEM;
        fd = file_open(path, 0);
        if (fd < 0)
            return fd;
    }
    free(sink.path);
    sink.path = TAKE_PTR(path);
    file_use(fd);
    syslog_use(to_syslog, o->ident);
    sink.level = o->level;
    sink.max_bytes = o->max_bytes;
    sink.backups = o->backups;
    sink.echo = o->echo;
    sink.echo_journal = o->echo && is_journal(STDOUT_FILENO);
    sink.opened = true;
    return 0;
}

void log_close(void)
{
    log_flush();
    file_use(-1);
    syslog_use(false, NULL);
    free(sink.path);
    sink.path = NULL;
    buf_done(&sink.line);
    buf_done(&sink.for_journal);
    sink.level = LOG_LEVEL_INFO;
    sink.echo = sink.echo_journal = sink.opened = false;
}

/* --- lines -------------------------------------------------------------- */

/* Bytes that could start a new line or steer a terminal: C0, DEL, and C1 in its
 * UTF-8 form. */
static size_t control_length(const unsigned char *s)
{
    if (s[0] < 0x20 || s[0] == 0x7f)
        return 1;
    return s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0 ? 2 : 0;
}

static void add_escape(struct buf *out, const unsigned char *s, size_t n)
{
    static const char *const names[] = { ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t" };
    if (s[0] < ELEMENTS(names) && names[s[0]] != NULL) {
        buf_puts(out, names[s[0]]);
        return;
    }
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "\\x%02x", s[i]);
}

static void add_escaped(struct buf *out, const char *message)
{
    const unsigned char *s = (const unsigned char *)message, *start = s;
    while (*s != '\0') {
        size_t n = control_length(s);
        if (n == 0) {
            s++;
            continue;
        }
        buf_add(out, start, (size_t)(s - start));
        add_escape(out, s, n);
        s += n;
        start = s;
    }
    buf_add(out, start, (size_t)(s - start));
}

static void add_stamp(struct buf *out, enum log_level level)
{
    static time_t second = -1; /* the calendar is asked once a second: a fleet that starts writes thousands of lines */
    static char text[32];
    struct timeval now;
    gettimeofday(&now, NULL);
    if (now.tv_sec != second) {
        struct tm tm;
        localtime_r(&now.tv_sec, &tm);
        snprintf(text, sizeof(text), "%04d-%02d-%02d %02d:%02d:%02d", (tm.tm_year + 1900) % 10000,
                 (tm.tm_mon + 1) % 100, tm.tm_mday % 100, tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
        second = now.tv_sec;
    }
    buf_printf(out, "%s,%03d %s ", text, (int)(now.tv_usec / 1000), levels[level].mark);
}

/* One write for the line.  What is not a regular file may have a reader that has
 * stopped: then the line is dropped rather than waited for, and cut to what a
 * pipe takes at once when poll(2) says that it takes something. */
static bool write_line(int fd, bool regular, char *line, size_t len)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    if (!regular && (poll(&p, 1, 0) <= 0 || (p.revents & POLLOUT) == 0))
        return false;
    size_t n = !regular && len > PIPE_BUF ? PIPE_BUF - 1 : len - 1;
    char newline[] = "\n";
    struct iovec parts[] = { { .iov_base = line, .iov_len = n }, { .iov_base = newline, .iov_len = 1 } };
    ssize_t r;
    do
        r = writev(fd, parts, 2);
    while (r < 0 && errno == EINTR);
    return r > 0;
}

/* False when there is no memory even for a line: the message is lost then. */
static bool compose(enum log_level level, const char *message)
{
    struct buf *b = &sink.line;
    buf_reset(b);
    add_stamp(b, level);
    if (sink.lost > 0)
        buf_printf(b, "(%u lines before this one could not be written) ", sink.lost);
    add_escaped(b, message);
    buf_putc(b, '\n');
    return b->error == 0;
}

/* The same for the journal, if it is to have it. */
static void compose_for_journal(enum log_level level, bool wanted)
{
    struct buf *b = &sink.for_journal;
    buf_reset(b);
    if (wanted)
        buf_printf(b, "<%d>%s", levels[level].syslog_priority, strstr(sink.line.data, levels[level].mark));
}

static const struct buf *line_for(bool journal)
{
    return journal ? &sink.for_journal : &sink.line;
}

static const struct buf *held_for(bool journal)
{
    return journal ? &sink.held_for_journal : &sink.held;
}

/* -- several lines in one write ------------------------------------------------ */

/* As many whole lines as go into one write: all of them, or what a pipe takes. */
static size_t piece_of(const char *data, size_t len, bool regular)
{
    if (regular || len <= PIPE_BUF)
        return len;
    const char *last = memrchr(data, '\n', PIPE_BUF);
    return last != NULL ? (size_t)(last - data) + 1 : PIPE_BUF;
}

static unsigned count_lines(const char *data, size_t len)
{
    unsigned n = 0;
    for (size_t i = 0; i < len; i++)
        n += data[i] == '\n';
    return n;
}

/* The number of lines that could not be written. */
static unsigned write_block(int fd, bool regular, const char *data, size_t len)
{
    while (len > 0) {
        struct pollfd p = { .fd = fd, .events = POLLOUT };
        if (!regular && (poll(&p, 1, 0) <= 0 || (p.revents & POLLOUT) == 0))
            break;
        ssize_t n = write(fd, data, piece_of(data, len, regular));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        data += n;
        len -= (size_t)n;
    }
    return count_lines(data, len);
}

static void drop_held(struct buf *b)
{
    if (b->capacity > 4096)
        buf_done(b);
    else
        buf_reset(b);
}

void log_flush(void)
{
    if (sink.held.len == 0)
        return;
    int saved = errno;
    if (sink.fd >= 0) {
        const struct buf *b = held_for(sink.journal);
        sink.lost += write_block(sink.fd, sink.regular, b->data, b->len);
        sink.size += sink.held.len;
        rotate_when_full();
    }
    if (sink.echo) {
        const struct buf *b = held_for(sink.echo_journal);
        write_block(STDOUT_FILENO, false, b->data, b->len);
    }
    drop_held(&sink.held);
    drop_held(&sink.held_for_journal);
    errno = saved;
}

void log_hold(bool on)
{
    sink.holding = on;
    if (!on)
        log_flush();
}

/* An error goes out at once, with all that came before it: what follows may be
 * the end. */
static bool hold(enum log_level level)
{
    const struct buf *line = &sink.line, *other = &sink.for_journal;
    if (sink.holding && level > LOG_LEVEL_ERROR && !sink.syslog &&
        sink.held_for_journal.len + other->len <= sink.held_for_journal.max &&
        buf_add(&sink.held, line->data, line->len) == 0) {
        buf_add(&sink.held_for_journal, other->data, other->len);
        return true;
    }
    sink.held.error = 0;
    log_flush();
    return false;
}

static void write_sinks(enum log_level level)
{
    static int early_journal = -1; /* of standard error, looked up once */
    if (!sink.opened && early_journal < 0)
        early_journal = is_journal(STDERR_FILENO);
    compose_for_journal(level, sink.journal || sink.echo_journal || (!sink.opened && early_journal));
    const struct buf *line = line_for(sink.journal);
    if (hold(level)) {
        sink.lost = 0; /* the line says how many there were */
        return;
    }
    if (sink.fd >= 0) {
        sink.lost = write_line(sink.fd, sink.regular, line->data, line->len) ? 0 : sink.lost + 1;
        sink.size += line->len;
        rotate_when_full();
    }
    if (sink.syslog) {
        const char *text = strstr(sink.line.data, levels[level].mark); /* syslog has a time of its own */
        syslog(levels[level].syslog_priority, "%.*s", (int)strcspn(text, "\n"), text);
    }
    if (sink.echo)
        write_line(STDOUT_FILENO, false, line_for(sink.echo_journal)->data, line_for(sink.echo_journal)->len);
    if (!sink.opened)
        write_line(STDERR_FILENO, false, line_for(early_journal)->data, line_for(early_journal)->len);
}

/* The text of the message, in `small` or in memory of its own; what is longer
 * than LOG_MESSAGE_MAX is cut. */
__attribute__((format(printf, 3, 0))) static char *format_message(char *small, size_t size, const char *format,
                                                                  va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int saved = errno; /* for %m */
    int n = vsnprintf(small, size, format, ap);
    size_t need = n > LOG_MESSAGE_MAX ? LOG_MESSAGE_MAX : n < 0 ? 0 : (size_t)n + 1;
    char *large = need > size ? malloc(need) : NULL;
    if (large != NULL) {
        errno = saved;
        vsnprintf(large, need, format, again);
    }
    va_end(again);
    return large;
}

void log_write(enum log_level level, const char *format, ...)
{
    if (level > sink.level)
        return;
    int saved = errno;
    char small[1024] = "";
    va_list ap;
    va_start(ap, format);
    _cleanup_free_ char *large = format_message(small, sizeof(small), format, ap);
    va_end(ap);
    if (compose(level, large != NULL ? large : small))
        write_sinks(level);
    if (sink.line.capacity > 4096)
        buf_done(&sink.line), buf_done(&sink.for_journal); /* a long line was an exception; its memory is not kept */
    errno = saved;
}
