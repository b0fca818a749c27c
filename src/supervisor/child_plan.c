/* child_plan.c - from a program's definition to a struct spawn_plan: words,
 * variables, the file, the identity, pipes and logs.
 *
 * Owns what it makes until child_plan_done(); descriptors that outlive the start
 * are taken from it by child.c.  Asks no name service and starts nothing. */
#include "supervisor/child_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/argv.h"
#include "base/cleanup.h"
#include "os/cgroup.h"
#include "os/exec_lookup.h"
#include "os/spawn.h"
#include "supervisor/identities.h"
#include "supervisor/kept.h"
#include "supervisor/scope.h"
#include "supervisor/supervisor.h"

#define CHANNEL_SNDBUF (1024 * 1024)

void child_plan_init(struct child_plan *p)
{
    *p = (struct child_plan){
        .plan = { .umask = -1 }, .strings = BUF_INIT(1 << 20), .channel_fd = -1, .channel_memory = -1
    };
    for (int i = 0; i < SPAWN_FDS_MAX; i++)
        p->ends[i] = p->ours[i] = -1;
}

void child_plan_done(struct child_plan *p)
{
    free(p->argv);
    free(p->envp);
    free(p->file);
    buf_done(&p->strings);
    if (p->plan.cgroup_fd > 0) {
        if (!p->born)
            cgroups_unmake(p->plan.cgroup_fd);
        close(p->plan.cgroup_fd);
    }
    logfile_unref(p->logs[0]);
    logfile_unref(p->logs[1]);
    kept_close(&p->channel_memory);
    for (int i = 0; i < SPAWN_FDS_MAX; i++) {
        cleanup_close(&p->ends[i]);
        kept_close(&p->ours[i]);
    }
}

struct plan_source child_plan_source(struct child *c)
{
    return (struct plan_source){ .supervisor = c->supervisor,
                                 .program = c->process.program,
                                 .group = c->group->group->name,
                                 .own_path = c->group->config->kind == CONFIG_NATIVE,
                                 .child = c };
}

/* -- words and variables -------------------------------------------------------- */

/* The variables that tell a process where its channel is. */
static void name_channel(struct child_plan *p)
{
    snprintf(p->channel_names[0], sizeof(p->channel_names[0]), "NODE_CHANNEL_FD=%d", p->channel_fd);
    snprintf(p->channel_names[1], sizeof(p->channel_names[1]), "DROVER_CHANNEL_FD=%d", p->channel_fd);
    p->channel[0] = p->channel_names[0];
    p->channel[1] = p->channel_names[1];
    p->channel[2] = "NODE_CHANNEL_SERIALIZATION_MODE=json";
}

/* SUPERVISOR_ENABLED and its kin, as supervisord documents them for subprocesses. */
static int name_itself(const struct plan_source *from, struct child_plan *p)
{
    const char *own = from->program->common->serverurl;
    const char *url = own != NULL ? own : from->supervisor->config->daemon.serverurl;
    size_t at[4];
    size_t n = 0;
    buf_printf(&p->strings, "SUPERVISOR_ENABLED=1%c", 0);
    at[n++] = 0;
    if (url != NULL) {
        at[n++] = p->strings.len;
        buf_printf(&p->strings, "SUPERVISOR_SERVER_URL=%s%c", url, 0);
    }
    at[n++] = p->strings.len;
    buf_printf(&p->strings, "SUPERVISOR_PROCESS_NAME=%s%c", from->program->name, 0);
    at[n++] = p->strings.len;
    buf_printf(&p->strings, "SUPERVISOR_GROUP_NAME=%s%c", from->group, 0);
    for (size_t i = 0; p->strings.error == 0 && i < n; i++)
        p->extra[i] = p->strings.data + at[i];
    p->extra[n] = NULL;
    return p->strings.error;
}

static int make_variables(const struct plan_source *from, struct child_plan *p)
{
    int r = from->group != NULL ? name_itself(from, p) : 0;
    if (r < 0)
        return r;
    p->channel_fd = ipc_descriptor(from->program);
    if (p->channel_fd >= 0)
        name_channel(p);
    const struct spawn_variables v = { .base = from->supervisor->options.environ,
                                       .inherit = from->program->common->inherit_environment,
                                       .extra = p->extra,
                                       .own = from->program->environment,
                                       .files = from->program->file_variables,
                                       .channel = p->channel };
    p->envp = spawn_environment(&v);
    return p->envp == NULL ? -ENOMEM : 0;
}

/* A shell gets the command as it stands, as one word. */
static int shell_command(const struct program *program, struct child_plan *p)
{
    p->argv = calloc(4, sizeof(*p->argv));
    if (p->argv == NULL)
        return -ENOMEM;
    p->argv[0] = (char *)program->common->shell;
    p->argv[1] = (char *)"-c";
    p->argv[2] = (char *)program->command;
    p->argc = 3;
    return 0;
}

static int make_words(const struct program *program, struct child_plan *p, struct exit_cause *cause)
{
    const char *why;
    int r = program->common->shell != NULL ? shell_command(program, p)
                                           : argv_split(program->command, &p->argv, &p->argc, &why);
    if (r < 0 || p->argc == 0) {
        *cause = exit_cause_from_spawn(SPAWN_STAGE_COMMAND, r == 0 ? ENODATA : -r);
        return -EINVAL;
    }
    p->word = p->argv[0];
    return 0;
}

/* supervisord looks along the daemon's PATH, a native file means the job's. */
static int find_program(const struct plan_source *from, struct child_plan *p, struct exit_cause *cause)
{
    const struct program *program = from->program;
    char *const *where = from->own_path ? p->envp : (char *const *)from->supervisor->options.environ;
    int r = exec_lookup(p->word, spawn_getenv(where, "PATH"), program->directory, &p->file);
    if (r < 0) {
        *cause = exit_cause_from_spawn(SPAWN_STAGE_LOOKUP, -r);
        return -EINVAL;
    }
    if (program->common->argv0 != NULL)
        p->argv[0] = (char *)program->common->argv0;
    return 0;
}

/* Only what is to be executed: .argv, .envp, .word, .file. */
static int make_program(const struct plan_source *from, struct child_plan *p, struct exit_cause *cause)
{
    int r = make_variables(from, p);
    if (r < 0) {
        *cause = exit_cause_from_spawn(SPAWN_STAGE_FORK, -r);
        return -EINVAL;
    }
    r = make_words(from->program, p, cause);
    return r < 0 ? r : find_program(from, p, cause);
}

int child_check_command(struct child *c, struct exit_cause *cause)
{
    _cleanup_(child_plan_done) struct child_plan p;
    child_plan_init(&p);
    const struct plan_source from = child_plan_source(c);
    int r = make_program(&from, &p, cause);
    return r < 0 && cause->stage == SPAWN_STAGE_FORK ? 0 : r; /* short of memory: the start itself will say so */
}

char *child_plan_explain(const struct plan_source *from, const struct exit_cause *cause, const char *culprit)
{
    const struct program *program = from->program;
    _cleanup_(child_plan_done) struct child_plan p;
    struct exit_cause ignored;
    child_plan_init(&p);
    const char *file = program->command;
    if (culprit != NULL && *culprit != '\0')
        file = culprit;
    else if (make_program(from, &p, &ignored) == 0)
        file = p.file;
    else if (p.word != NULL)
        file = p.word;
    char text[1024];
    const char *user = program->common->account != NULL ? program->common->account : program->common->uid_text;
    exec_explain(cause->stage, cause->value, file, program->directory, user, text, sizeof(text));
    const char *path = file;
    if (cause->stage == SPAWN_STAGE_DIRECTORY && program->directory != NULL)
        path = program->directory;
    else if (strncmp(file, "the log ", 8) == 0)
        path = file + 8;
    return event_error_text(text, path); /* two strings in one block, the other way round */
}

/* -- descriptors ---------------------------------------------------------------- */

static int make_pipe(struct child_plan *p, unsigned i)
{
    int fds[2];
    int r = i < 3 ? pipe2(fds, O_CLOEXEC) : socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
    if (r < 0)
        return -errno;
    p->ends[i] = fds[i == 0 ? 0 : 1];
    p->ours[i] = spawn_raise_fd(fds[i == 0 ? 1 : 0]);
    p->plan.fds[i] = p->ends[i];
    return fcntl(p->ours[i], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* How much a process may write before we read it is up to the buffer of its end, and
 * the other way round; the kernel gives what net.core.wmem_max allows. */
static int make_channel(const struct plan_source *from, struct child_plan *p, unsigned i)
{
    int fds[2];
    int wish = CHANNEL_SNDBUF;
    if (from->supervisor->options.holder != NULL) { /* somebody who keeps it when we die */
        p->channel_memory = spawn_raise_fd(memfd_create("channel", MFD_CLOEXEC));
        if (p->channel_memory < 0)
            return -errno;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    for (int end = 0; end < 2; end++)
        setsockopt(fds[end], SOL_SOCKET, SO_SNDBUF, &wish, sizeof(wish));
    p->ends[i] = fds[1];
    p->ours[i] = spawn_raise_fd(fds[0]);
    p->plan.fds[i] = p->ends[i];
    return fcntl(p->ours[i], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static void blame_log(const struct child *c, struct child_plan *p, unsigned i)
{
    const char *path = child_log_path(c, (int)i);
    snprintf(p->culprit, sizeof(p->culprit), "the log %s",
             path != NULL ? path : c->supervisor->config->daemon.childlogdir);
}

static int make_captured(struct child *c, struct child_plan *p, unsigned i)
{
    int r = child_log_open(c, (int)i, &p->logs[i - 1]);
    if (r == 0)
        return make_pipe(p, i);
    blame_log(c, p, i);
    return r;
}

/* Only what whoever started the daemon gave it is passed on, never what it has opened
 * since. */
static int pass_on(const struct plan_source *from, struct child_plan *p, unsigned i, int number)
{
    if ((from->supervisor->options.given_fds >> number & 1) == 0) {
        snprintf(p->culprit, sizeof(p->culprit), "descriptor %d, which the daemon was not started with", number);
        return -EBADF;
    }
    p->plan.fds[i] = number;
    return 0;
}

static void add_open(struct child_plan *p, unsigned i, const char *path, int flags)
{
    p->opens[p->plan.n_opens++] = (struct spawn_open){ .index = (int)i, .flags = flags, .path = path };
}

/* Opened by us, with the rights that logs are opened with; written by the process alone. */
static int make_direct(const struct plan_source *from, struct child_plan *p, unsigned i)
{
    int fd = from->child != NULL ? child_log_direct(from->child, (int)i) : -ENOENT;
    if (fd == -ENOENT && (from->child == NULL || child_log_path(from->child, (int)i) == NULL)) {
        add_open(p, i, "/dev/null", O_RDWR);
        return 0;
    }
    if (fd < 0) {
        blame_log(from->child, p, i);
        return fd;
    }
    p->plan.fds[i] = p->ends[i] = fd;
    return 0;
}

static int make_descriptor(const struct plan_source *from, struct child_plan *p, unsigned i)
{
    struct stdio_entry e = stdio_entry(from->program->stdio, i);
    switch (e.kind) {
    case STDIO_PIPE:
        return from->child != NULL && (i == 1 || i == 2) ? make_captured(from->child, p, i) : make_pipe(p, i);
    case STDIO_IGNORE:
        if (i < 3)
            add_open(p, i, "/dev/null", O_RDWR);
        return 0;
    case STDIO_IPC: /* is made before anybody asks */
        break;
    case STDIO_INHERIT:
        return pass_on(from, p, i, (int)i);
    case STDIO_NUMBER:
        return pass_on(from, p, i, e.number);
    case STDIO_READ:
        add_open(p, i, e.path, O_RDONLY);
        return 0;
    case STDIO_WRITE:
        add_open(p, i, e.path, O_WRONLY | O_CREAT | O_TRUNC);
        return 0;
    case STDIO_APPEND:
        add_open(p, i, e.path, O_WRONLY | O_CREAT | O_APPEND);
        return 0;
    case STDIO_LOG:
        return make_direct(from, p, i);
    }
    return -EINVAL;
}

/* redirect_stderr: whatever 1 is. */
static void copy_output(struct child_plan *p)
{
    p->plan.fds[2] = p->plan.fds[1];
    if (p->plan.fds[1] < 0)
        p->opens[p->plan.n_opens++] = (struct spawn_open){ .index = 2, .same_as = 1 };
}

static int make_stdio(const struct plan_source *from, struct child_plan *p)
{
    const struct program *program = from->program;
    int r = 0;
    p->plan.n_fds = stdio_length(program->stdio);
    if (p->channel_fd >= (int)p->plan.n_fds)
        p->plan.n_fds = (unsigned)p->channel_fd + 1;
    p->plan.opens = p->opens;
    for (unsigned i = 0; r == 0 && i < p->plan.n_fds; i++) {
        p->plan.fds[i] = -1;
        if (i == 2 && program->redirect_stderr)
            copy_output(p);
        else if ((int)i == p->channel_fd)
            r = make_channel(from, p, i);
        else
            r = make_descriptor(from, p, i);
    }
    return r;
}

/* -- the whole ------------------------------------------------------------------ */

int child_plan_make(const struct plan_source *from, struct child_plan *p, struct exit_cause *cause)
{
    const struct program *program = from->program;
    int r = make_program(from, p, cause);
    if (r < 0)
        return r;
    enum spawn_stage stage = SPAWN_STAGE_USER;
    p->plan.identity = from->identity;
    if (from->child != NULL)
        r = identities_get(from->supervisor->identities, program, &p->plan.identity);
    if (r == 0) {
        stage = SPAWN_STAGE_STDIO;
        r = make_stdio(from, p);
    }
    if (r < 0) {
        *cause = exit_cause_from_spawn(stage, -r);
        return -EINVAL;
    }
    if (from->child != NULL)
        p->plan.cgroup_fd = scope_make(from->child);
    p->plan.file = p->file;
    p->plan.argv = p->argv;
    p->plan.envp = p->envp;
    p->plan.directory = program->directory;
    p->plan.new_session = program->detached;
    p->plan.umask = program->common->umask;
    p->plan.confinement = program->confinement;
    p->plan.restore_nofile = from->supervisor->options.restore_nofile;
    p->plan.nofile_soft = from->supervisor->options.nofile.rlim_cur;
    p->plan.nofile_hard = from->supervisor->options.nofile.rlim_max;
    return 0;
}
