/* ctl.c - see ctl.h: how verbs speak to people, and what they say when the
 * daemon is not there.  Lines that supervisorctl prints on standard output stay
 * there, since scripts read them; everything of our own goes to standard error,
 * so that standard output holds nothing that supervisorctl would not print. */
#include "ctl/ctl.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "ctl/ask.h"
#include "ctl/hint.h"
#include "ctl/render.h"

__attribute__((format(printf, 3, 0))) static void ctl_line(FILE *out, bool terminal, const char *format, va_list ap)
{
    _cleanup_buf_ struct buf line = BUF_INIT(CTL_LINE_LIMIT);
    buf_vprintf(&line, format, ap);
    buf_putc(&line, '\n');
    if (line.error == 0)
        render_text(out, terminal, line.data, line.len);
}

void ctl_say(struct ctl *c, const char *format, ...)
{
    if (c->quiet || c->json)
        return;
    va_list ap;
    va_start(ap, format);
    ctl_line(stdout, c->terminal, format, ap);
    va_end(ap);
}

void ctl_fail(struct ctl *c, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    if (c->json)
        ctl_line(stderr, isatty(STDERR_FILENO), format, ap);
    else
        ctl_line(stdout, c->terminal, format, ap);
    va_end(ap);
}

void ctl_note(struct ctl *c, const char *format, ...)
{
    (void)c;
    fflush(stdout);
    va_list ap;
    va_start(ap, format);
    ctl_line(stderr, isatty(STDERR_FILENO), format, ap);
    va_end(ap);
}

void ctl_status(struct ctl *c, int status)
{
    c->exit_status = status;
}

void ctl_usage(struct ctl *c, int status, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    ctl_line(c->json ? stderr : stdout, c->terminal, format, ap);
    va_end(ap);
    if (!c->json)
        ctl_command_help(c, c->command);
    ctl_status(c, status);
}

void ctl_print_json(struct ctl *c, const json_t *value)
{
    _cleanup_free_ char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (text == NULL)
        return;
    render_text(stdout, c->terminal, text, strlen(text));
    putc('\n', stdout);
}

void ctl_collect(struct ctl *c, json_t *element)
{
    if (c->results == NULL)
        c->results = json_array();
    json_array_append_new(c->results, element);
}

void ctl_flush(struct ctl *c, const char *name)
{
    if (!c->json)
        return;
    json_t *all = json_object();
    json_object_set_new(all, name, c->results != NULL ? c->results : json_array());
    c->results = NULL;
    ctl_print_json(c, all);
    json_decref(all);
}

void ctl_catch_interrupt(struct ctl *c)
{
    if (c->interrupt_fd >= 0)
        return;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    c->interrupt_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    client_interrupt_on(c->client, c->interrupt_fd);
}

void ctl_drain_interrupt(struct ctl *c)
{
    struct signalfd_siginfo info;
    while (c->interrupt_fd >= 0 && read(c->interrupt_fd, &info, sizeof(info)) > 0) {
    }
}

/* stdin is unbuffered (see shell.c), so poll sees what getline would read. */
char *ctl_read_line(struct ctl *c, const char *prompt)
{
    fputs(prompt, stdout);
    fflush(stdout);
    struct pollfd p[2] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = c->interrupt_fd, .events = POLLIN } };
    while (poll(p, 2, -1) < 0 && errno == EINTR) {
    }
    if (p[1].revents != 0)
        return NULL;
    char *line = NULL;
    size_t size = 0;
    ssize_t n = getline(&line, &size, stdin);
    if (n < 0) {
        free(line);
        return NULL;
    }
    if (n > 0 && line[n - 1] == '\n')
        line[n - 1] = '\0';
    return line;
}

ssize_t ctl_read_input(struct ctl *c, char *data, size_t size)
{
    ssize_t n;
    do
        n = read(STDIN_FILENO, data, size);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        ctl_note(c, "%s: standard input: %s", c->command->name, strerror(errno));
        ctl_status(c, CTL_GENERIC);
    }
    return n;
}

char *ctl_read_password(const char *prompt)
{
    char *typed = getpass(prompt);
    return typed != NULL ? strdup(typed) : NULL;
}

bool ctl_confirm(struct ctl *c, const char *question)
{
    if (!c->interactive)
        return true;
    _cleanup_free_ char *answer = ctl_read_line(c, question);
    return answer != NULL && (*answer == 'y' || *answer == 'Y');
}

const char *ctl_explain(int error)
{
    switch (error) {
    case -ECONNREFUSED:
        return "refused connection";
    case -ENOENT:
        return "no such file";
    case -ETIMEDOUT:
        return "no answer in 10 seconds";
    case -ECONNABORTED:
        return "closed the connection before it had read the request";
    case -ECONNRESET:
        return "closed the connection before its answer was complete";
    case -EPROTO:
        return "does not answer in HTTP";
    case -EMSGSIZE:
        return "the answer is larger than any that droverd gives";
    case -EPROTONOSUPPORT:
        return "unknown protocol; the URL must begin with unix:// or http://";
    case -EHOSTUNREACH:
        return "no such host";
    default:
        return strerror(-error);
    }
}

void ctl_connection_failed(struct ctl *c, int error)
{
    if (error == -EINTR) {
        ctl_status(c, CTL_GENERIC);
        return;
    }
    const char *text = ctl_explain(error);
    ctl_status(c, error == -ECONNREFUSED ? CTL_REFUSED : error == -ENOENT ? CTL_NOT_RUNNING : CTL_GENERIC);
    if (c->json) {
        json_t *e = json_pack("{s{s:s, s:s, s:s}}", "error", "code", strerrorname_np(-error), "message", text, "url",
                              c->endpoint.url);
        ctl_print_json(c, e);
        json_decref(e);
    } else if (error == -ECONNREFUSED || error == -ENOENT) {
        ctl_fail(c, "%s %s", c->endpoint.url, text);
    } else {
        ctl_note(c, "%s: %s", c->endpoint.url, text);
    }
    hint_connection(c, error);
}

bool ctl_upcheck(struct ctl *c)
{
    int e = client_connect(c->client);
    if (e < 0)
        ctl_connection_failed(c, e);
    return e == 0;
}

const char *ctl_namespec(struct buf *out, const json_t *process)
{
    const char *group = ask_string(process, "group", ""), *name = ask_string(process, "name", "");
    buf_reset(out);
    if (strcmp(group, name) == 0)
        buf_puts(out, name);
    else
        buf_printf(out, "%s:%s", group, name);
    return out->error == 0 ? out->data : name;
}

int ctl_name_width(const json_t *processes, size_t least)
{
    size_t i, width = least;
    const json_t *process;
    _cleanup_buf_ struct buf name = BUF_INIT(CTL_LINE_LIMIT);
    json_array_foreach(processes, i, process)
    {
        size_t w = render_width(ctl_namespec(&name, process));
        width = w > width ? w : width;
    }
    return (int)(width < 4096 ? width : 4096);
}

/* %-*s counts bytes, columns are characters: the difference is made up for. */
void ctl_put_name(struct buf *out, const json_t *process, int width)
{
    _cleanup_buf_ struct buf name = BUF_INIT(CTL_LINE_LIMIT);
    const char *spec = ctl_namespec(&name, process);
    buf_printf(out, "%-*s", width + (int)(strlen(spec) - render_width(spec)), spec);
}

double ctl_duration(const char *text)
{
    usec_t duration;
    if (parse_duration(text, &duration) < 0 || duration == USEC_INFINITY)
        return -1;
    return (double)duration / USEC_PER_SEC;
}
