/* log_files.c - see log_files.h.
 *
 * Owns nothing.  Files are known by their number (st_ino), since their names change
 * at each rotation. */
#include "control/log_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/lognames.h"

#define FILES_MAX 1000     /* of one answer */
#define ROTATED_LOOKS 1000 /* for a file that is rotated further while it is read */
#define ROTATED_MAX 1000000

static int open_regular(const char *path, int flags, struct stat *st)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags);
    if (fd < 0 || fstat(fd, st) < 0)
        return -errno;
    return S_ISREG(st->st_mode) ? TAKE_FD(fd) : -ENOENT;
}

/* ?rotated=N: the log that was rotated N times since.  With file=NUMBER the one of this
 * number, which may have been rotated further since the client heard of it.  Rotation
 * makes no links: what is one there was made by somebody else. */
int log_files_open(struct http_request *r, const char *path, struct stat *st)
{
    long long n = control_number(r, "rotated", 0), file = control_number(r, "file", 0);
    if (n <= 0 && file == 0)
        return open_regular(path, 0, st);
    _cleanup_free_ char *real = realpath(path, NULL);
    for (int looks = file != 0 ? ROTATED_LOOKS : 1; looks > 0 && n >= 0 && n < ROTATED_MAX; looks--, n++) {
        _cleanup_free_ char *name = lognames_name(real != NULL ? real : path, (unsigned)n);
        if (name != NULL && (file == 0 || (lstat(name, st) == 0 && st->st_ino == (ino_t)file)))
            return open_regular(name, O_NOFOLLOW, st);
    }
    return -ENOENT;
}

void log_files_list(struct control_call *call, const char *path)
{
    _cleanup_buf_ struct buf b = BUF_INIT(FILES_MAX * 64);
    _cleanup_free_ char *real = realpath(path, NULL);
    long long n = control_number(call->request, "rotated", 0);
    const char *separator = "{\"files\":[";
    for (int i = 0; real != NULL && i < FILES_MAX && n >= 0 && n < ROTATED_MAX; i++, n++) {
        _cleanup_free_ char *name = lognames_name(real, (unsigned)n);
        struct stat st;
        if (name == NULL || lstat(name, &st) < 0 || !S_ISREG(st.st_mode))
            break;
        buf_printf(&b, "%s{\"file\":%llu,\"size\":%lld}", separator, (unsigned long long)st.st_ino,
                   (long long)st.st_size);
        separator = ",";
    }
    buf_printf(&b, "%s]}\n", *separator == '{' ? separator : "");
    http_reply_json(call->request, 200, &b);
}

/* Has what comes from that descriptor a reader: its log, or, above 2, the memory of a pipe? */
static bool is_kept(const struct child *c, int number)
{
    enum stdio_kind kind = stdio_entry(c->process.program->stdio, (unsigned)number).kind;
    return kind == STDIO_PIPE || (kind == STDIO_LOG && number <= 2);
}

/* "1, 2, 5" */
static void put_kept(const struct child *c, struct buf *b)
{
    const char *separator = "";
    for (unsigned i = 1; i < stdio_length(c->process.program->stdio); i++)
        if (is_kept(c, (int)i)) {
            buf_printf(b, "%s%u", separator, i);
            separator = ", ";
        }
    if (*separator == '\0')
        buf_puts(b, "none");
}

void log_files_none(struct control_call *call, const struct child *c, int number)
{
    static const char *const keys[] = { "", "stdout_logfile", "stderr_logfile" };
    const struct program *p = c->process.program;
    _cleanup_buf_ struct buf why = BUF_INIT(1024);
    if (!is_kept(c, number)) {
        buf_printf(&why, "descriptor %d is no pipe of its stdio, these are: ", number);
        put_kept(c, &why);
    } else if (number == 2 && p->redirect_stderr) {
        buf_puts(&why, "redirect_stderr sends it to stdout");
    } else if (number <= 2) {
        enum log_target target = (number == 1 ? p->out : p->err).target;
        if (target == LOG_TARGET_NONE || target == LOG_TARGET_SYSLOG)
            buf_printf(&why, "its %s is %s", keys[number], target == LOG_TARGET_NONE ? "NONE" : "syslog");
    }
    control_fail(call->request, FAULT_NO_LOG_FILE, call->name, why.len > 0 ? why.data : NULL);
}
