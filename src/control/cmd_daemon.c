/* cmd_daemon.c - the daemon itself: what it is, and its end. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "control/control.h"
#include "control/present.h"
#include "guardian/holder.h"
#include "os/features.h"
#include "wire/jsonw.h"

static void daemon_get(struct control_call *call);
static void daemon_shutdown(struct control_call *call);
static void daemon_reload(struct control_call *call);

const struct command commands_daemon[] = {
    { "GET", "/v1/daemon", ROLE_READ, daemon_get },
    { "POST", "/v1/daemon/shutdown", ROLE_ADMIN, daemon_shutdown },
    { "POST", "/v1/daemon/reload", ROLE_ADMIN, daemon_reload },
    { 0 },
};

static int64_t count_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int64_t n = -3; /* ".", ".." and the directory's own descriptor */
    if (dir == NULL)
        return -1;
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static int64_t resident_bytes(void)
{
    char text[128];
    long long size, resident;
    _cleanup_close_ int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
    text[n > 0 ? n : 0] = '\0';
    return sscanf(text, "%lld %lld", &size, &resident) == 2 ? resident * sysconf(_SC_PAGESIZE) : -1;
}

static const char *state_name(enum supervisor_state state)
{
    return state == SUPERVISOR_RUNNING ? "RUNNING" : state == SUPERVISOR_RESTARTING ? "RESTARTING" : "SHUTDOWN";
}

static void json_counts(struct jsonw *j, const struct supervisor *s)
{
    static const enum process_state states[] = { PROCESS_STOPPED,  PROCESS_STARTING, PROCESS_RUNNING, PROCESS_BACKOFF,
                                                 PROCESS_STOPPING, PROCESS_EXITED,   PROCESS_FATAL,   PROCESS_UNKNOWN };
    jsonw_object(j, "states");
    for (size_t i = 0; i < ELEMENTS(states); i++)
        jsonw_int(j, process_state_name(states[i]), (int64_t)supervisor_count(s, states[i]));
    jsonw_object_end(j);
}

static void json_lacks(struct jsonw *j)
{
    const struct feature *f;
    jsonw_array(j, "lacks");
    for (size_t i = 0; (f = features_lacking(i)) != NULL; i++)
        jsonw_string(j, NULL, f->name);
    jsonw_array_end(j);
}

static void daemon_get(struct control_call *call)
{
    const struct supervisor *s = call->control->supervisor;
    const struct holder *h = s->options.holder;
    _cleanup_buf_ struct buf b = BUF_INIT(64 * 1024);
    struct jsonw j = JSONW_INIT(&b);
    jsonw_object(&j, NULL);
    jsonw_string(&j, "name", "droverd");
    jsonw_string(&j, "version", DROVER_VERSION);
    jsonw_int(&j, "pid", h != NULL ? h->guardian : getpid());
    jsonw_int(&j, "supervisor_pid", getpid());
    jsonw_int(&j, "recoveries", h != NULL ? h->recoveries : 0);
    jsonw_int(&j, "upgrades", h != NULL ? h->upgrades : 0);
    if (h != NULL && h->upgrade_error != 0)
        jsonw_string(&j, "upgrade_error", strerror(h->upgrade_error));
    jsonw_int(&j, "state", s->state);
    jsonw_string(&j, "statename", state_name(s->state));
    jsonw_seconds(&j, "start", s->started_wall);
    jsonw_seconds(&j, "now", usec_now(CLOCK_REALTIME));
    jsonw_string(&j, "identifier", s->config->daemon.identifier);
    jsonw_string(&j, "config", s->config->path);
    jsonw_string(&j, "serverurl", s->config->daemon.serverurl);
    jsonw_string(&j, "logfile", log_path());
    jsonw_int(&j, "processes", (int64_t)s->n_children);
    json_counts(&j, s);
    jsonw_int(&j, "starts", (int64_t)s->starts);
    jsonw_seconds(&j, "loop_lag_max", loop_lag_max(s->loop));
    jsonw_int(&j, "loop_turns", (int64_t)loop_turns(s->loop));
    jsonw_int(&j, "memory", resident_bytes());
    jsonw_int(&j, "descriptors", count_descriptors());
    json_lacks(&j);
    jsonw_int(&j, "connections", (int64_t)http_server_connections(call->control->http));
    jsonw_object_end(&j);
    buf_putc(&b, '\n');
    http_reply_json(call->request, 200, &b);
}

static void daemon_shutdown(struct control_call *call)
{
    struct control *c = call->control;
    if (c->supervisor->state == SUPERVISOR_SHUTDOWN) {
        control_fail(call->request, FAULT_SHUTDOWN_STATE, NULL, NULL);
        return;
    }
    c->hooks.shutdown(c->hooks.arg); /* first: it will be done even if we are killed behind the answer */
    control_ok(call->request);
}

static void daemon_reload(struct control_call *call)
{
    struct control *c = call->control;
    if (control_refuse_if_ending(call))
        return;
    c->hooks.reload(c->hooks.arg);
    control_ok(call->request);
}
