/* present.c - a process as its clients see it: one table of fields.
 *
 * Field names are those of supervisord's getProcessInfo where it has the thing. */
#include "control/present.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "supervisor/child_ipc.h"
#include "supervisor/supervisor.h"

void present_time(usec_t wall, char buf[32])
{
    time_t t = (time_t)(wall / USEC_PER_SEC);
    struct tm tm;
    if (localtime_r(&t, &tm) == NULL || strftime(buf, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
        buf[0] = '\0';
}

/* supervisord's way: "Nov 21 11:24 PM" */
static void format_stop_time(usec_t wall, char *buf, size_t size)
{
    time_t t = (time_t)(wall / USEC_PER_SEC);
    struct tm tm;
    if (localtime_r(&t, &tm) == NULL || strftime(buf, size, "%b %d %I:%M %p", &tm) == 0)
        buf[0] = '\0';
}

/* As Python prints a timedelta of whole seconds. */
static void format_uptime(usec_t wall, const struct process *p, char *buf, size_t size)
{
    uint64_t now = wall / USEC_PER_SEC, start = p->started_wall / USEC_PER_SEC;
    uint64_t s = now > start ? now - start : 0;
    uint64_t days = s / 86400;
    int n = 0;
    if (days > 0)
        n = snprintf(buf, size, "%llu day%s, ", (unsigned long long)days, days == 1 ? "" : "s");
    snprintf(buf + n, size - (size_t)n, "%llu:%02llu:%02llu", (unsigned long long)(s % 86400 / 3600),
             (unsigned long long)(s % 3600 / 60), (unsigned long long)(s % 60));
}

/* supervisord's third column of `status`. */
static void describe(const struct child *c, usec_t wall, char *buf, size_t size)
{
    const struct process *p = &c->process;
    char uptime[64];
    switch (p->state) {
    case PROCESS_RUNNING:
        format_uptime(wall, p, uptime, sizeof(uptime));
        snprintf(buf, size, "pid %d, uptime %s", p->pid, uptime);
        break;
    case PROCESS_FATAL:
    case PROCESS_BACKOFF:
        process_spawnerr(p, buf, size);
        break;
    case PROCESS_STOPPED:
    case PROCESS_EXITED:
        if (p->started_wall == 0)
            snprintf(buf, size, "Not started");
        else
            format_stop_time(p->stopped_wall, buf, size);
        break;
    default:
        buf[0] = '\0';
    }
}

/* A reader that is behind for a moment is no trouble. */
#define SLOW_AFTER USEC_PER_SEC

bool present_log_trouble(const struct child *c, struct child_log_trouble *t, char *buf, size_t size)
{
    if (!child_log_trouble(c, t))
        return false;
    bool slow = t->error == -EAGAIN, full = t->error == -ENOSPC || t->error == -EDQUOT || t->error == -EFBIG;
    if (slow && usec_sub(loop_now(c->supervisor->loop), t->since) < SLOW_AFTER)
        return false;
    snprintf(buf, size, "log %s, %s %s: %s",
             slow   ? "slow"
             : full ? "full"
                    : "failing",
             t->number == 1 ? "stdout" : "stderr", t->dropping ? "is dropped" : "waits",
             slow ? "its reader is behind" : strerror(-t->error));
    return true;
}

/* -- fields ----------------------------------------------------------------- */

struct view {
    struct jsonw *j;
    const struct child *c;
    const struct process *p;
    usec_t wall;
};

static void put_name(const struct view *v, const char *f)
{
    jsonw_string(v->j, f, v->p->program->name);
}

static void put_group(const struct view *v, const char *f)
{
    jsonw_string(v->j, f, v->c->group->group->name);
}

static void put_program(const struct view *v, const char *f)
{
    jsonw_string(v->j, f, v->p->program->section);
}

static void put_state(const struct view *v, const char *f)
{
    jsonw_int(v->j, f, v->p->state);
}

static void put_statename(const struct view *v, const char *f)
{
    jsonw_string(v->j, f, process_state_name(v->p->state));
}

static void put_pid(const struct view *v, const char *f)
{
    jsonw_int(v->j, f, v->p->pid);
}

static void put_start(const struct view *v, const char *f)
{
    jsonw_seconds(v->j, f, v->p->started_wall);
}

static void put_stop(const struct view *v, const char *f)
{
    jsonw_seconds(v->j, f, v->p->stopped_wall);
}

static void put_now(const struct view *v, const char *f)
{
    jsonw_seconds(v->j, f, v->wall);
}

static void put_description(const struct view *v, const char *f)
{
    char text[1024];
    describe(v->c, v->wall, text, sizeof(text));
    jsonw_string(v->j, f, text);
}

static void put_comment(const struct view *v, const char *f)
{
    jsonw_string(v->j, f, v->p->program->common->description);
}

static void put_uptime(const struct view *v, const char *f)
{
    jsonw_seconds(v->j, f, v->p->pid != 0 ? usec_sub(v->wall, v->p->started_wall) : 0);
}

static void put_ready(const struct view *v, const char *f)
{
    jsonw_bool(v->j, f, v->p->state == PROCESS_RUNNING);
}

static void put_exit(const struct view *v, const char *f)
{
    const struct exit_cause *cause = &v->p->cause;
    char name[16];
    if (cause->kind == EXIT_NONE || cause->kind == EXIT_SPAWN) {
        jsonw_null(v->j, f);
        return;
    }
    jsonw_object(v->j, f);
    if (cause->kind == EXIT_STATUS)
        jsonw_int(v->j, "status", cause->value);
    else
        jsonw_null(v->j, "status");
    jsonw_string(v->j, "signal", cause->kind == EXIT_SIGNAL ? exit_signal_name(cause->value, name) : NULL);
    jsonw_bool(v->j, "core", cause->core);
    jsonw_bool(v->j, "timeout", cause->timed_out);
    jsonw_bool(v->j, "expected", exit_cause_expected(cause, v->p->program));
    jsonw_seconds(v->j, "at", v->p->stopped_wall);
    jsonw_object(v->j, "rusage");
    jsonw_seconds(v->j, "utime", (usec_t)v->c->cpu_user_ms * USEC_PER_MSEC);
    jsonw_seconds(v->j, "stime", (usec_t)v->c->cpu_system_ms * USEC_PER_MSEC);
    jsonw_int(v->j, "maxrss", (int64_t)v->c->maxrss_kib * 1024);
    jsonw_object_end(v->j);
    jsonw_object_end(v->j);
}

/* the number that supervisord's clients know: -1 for a death by signal */
static void put_exitstatus(const struct view *v, const char *f)
{
    const struct exit_cause *cause = &v->p->cause;
    jsonw_int(v->j, f, cause->kind == EXIT_STATUS ? cause->value : cause->kind == EXIT_NONE ? 0 : -1);
}

static void put_spawnerr(const struct view *v, const char *f)
{
    const struct exit_cause *cause = &v->p->cause;
    char message[512];
    if (cause->kind != EXIT_SPAWN) {
        jsonw_null(v->j, f);
        return;
    }
    process_spawnerr(v->p, message, sizeof(message));
    jsonw_object(v->j, f);
    jsonw_string(v->j, "stage", spawn_stage_name(cause->stage));
    jsonw_string(v->j, "code", strerrorname_np(cause->value) ?: "EIO");
    jsonw_string(v->j, "path", child_failed_path(v->c) != NULL ? child_failed_path(v->c) : v->p->program->command);
    jsonw_string(v->j, "message", v->c->detail != NULL ? v->c->detail : message);
    jsonw_object_end(v->j);
}

static void put_detached(const struct view *v, const char *f)
{
    jsonw_bool(v->j, f, v->p->program->detached);
}

static void put_restarts(const struct view *v, const char *f)
{
    jsonw_int(v->j, f, v->p->restarts);
}

static void put_tries(const struct view *v, const char *f)
{
    jsonw_int(v->j, f, v->p->tries);
}

/* Deadlines are monotonic inside, the wall clock's outside. */
static void put_next_start(const struct view *v, const char *f)
{
    const struct process *p = v->p;
    if (p->deadline == 0 || (p->state != PROCESS_BACKOFF && p->state != PROCESS_EXITED)) {
        jsonw_null(v->j, f);
        return;
    }
    jsonw_seconds(v->j, f, v->wall + usec_sub(p->deadline, usec_now(CLOCK_MONOTONIC)));
}

static void put_stdout_logfile(const struct view *v, const char *f)
{
    jsonw_string(v->j, f, child_log_path(v->c, 1));
}

static void put_stderr_logfile(const struct view *v, const char *f)
{
    jsonw_string(v->j, f, child_log_path(v->c, 2));
}

static void put_syslog_lost(const struct view *v, const char *f)
{
    jsonw_int(v->j, f, v->c->syslog_lost);
}

static void put_log_dropped(const struct view *v, const char *f)
{
    jsonw_int(v->j, f, (int64_t)v->c->log_dropped);
}

static void put_log_trouble(const struct view *v, const char *f)
{
    struct child_log_trouble t;
    char words[256];
    if (!present_log_trouble(v->c, &t, words, sizeof(words))) {
        jsonw_null(v->j, f);
        return;
    }
    usec_t age = usec_sub(loop_now(v->c->supervisor->loop), t.since);
    jsonw_object(v->j, f);
    jsonw_string(v->j, "stream", t.number == 1 ? "stdout" : "stderr");
    jsonw_string(v->j, "code", strerrorname_np(-t.error) ?: "EIO");
    jsonw_string(v->j, "path", child_log_path(v->c, t.number));
    jsonw_string(v->j, "message", words);
    jsonw_bool(v->j, "dropping", t.dropping);
    jsonw_seconds(v->j, "since", usec_sub(v->wall, age));
    jsonw_object_end(v->j);
}

/* Null for a process that takes no part in the relay. */
static void put_relay(const struct view *v, const char *f)
{
    const struct relay_lane *lane = child_lane(v->c);
    struct relay_state s;
    if (lane == NULL) {
        jsonw_null(v->j, f);
        return;
    }
    relay_state(lane, &s);
    jsonw_object(v->j, f);
    jsonw_int(v->j, "routed", (int64_t)s.counters.routed);
    jsonw_int(v->j, "delivered", (int64_t)s.counters.delivered);
    jsonw_int(v->j, "refused", (int64_t)s.counters.refused);
    jsonw_int(v->j, "stale", (int64_t)s.counters.stale);
    jsonw_int(v->j, "waited", (int64_t)s.counters.waited);
    jsonw_int(v->j, "asked", s.asked);
    jsonw_int(v->j, "open", s.open);
    jsonw_bool(v->j, "waiting", s.waiting);
    jsonw_object_end(v->j);
}

static void put_channel(const struct view *v, const char *f)
{
    struct child_ipc_state s;
    if (!child_ipc_state(v->c, &s)) {
        jsonw_null(v->j, f);
        return;
    }
    jsonw_object(v->j, f);
    jsonw_bool(v->j, "open", s.open);
    jsonw_int(v->j, "fd", s.fd);
    jsonw_int(v->j, "received", (int64_t)s.counters.received);
    jsonw_int(v->j, "sent", (int64_t)s.counters.sent);
    jsonw_int(v->j, "queued", s.queued);
    jsonw_int(v->j, "bounced", (int64_t)s.counters.bounced);
    jsonw_int(v->j, "lost", (int64_t)s.counters.lost);
    jsonw_int(v->j, "malformed", (int64_t)s.counters.malformed);
    jsonw_int(v->j, "oversized", (int64_t)s.counters.oversized);
    jsonw_int(v->j, "cut", (int64_t)s.counters.cut);
    jsonw_int(v->j, "handles_received", (int64_t)s.counters.handles_received);
    jsonw_int(v->j, "handles_sent", (int64_t)s.counters.handles_sent);
    jsonw_int(v->j, "handles_lost", (int64_t)s.counters.handles_lost);
    put_relay(v, "relay");
    jsonw_object_end(v->j);
}

static void put_wanted(const struct view *v, const char *f)
{
    jsonw_bool(v->j, f, v->p->wanted);
}

static const struct {
    const char *name;
    void (*put)(const struct view *v, const char *name);
} fields[] = {
    { "name", put_name },
    { "group", put_group },
    { "state", put_state },
    { "statename", put_statename },
    { "pid", put_pid },
    { "start", put_start },
    { "stop", put_stop },
    { "now", put_now },
    { "description", put_description },
    { "uptime", put_uptime },
    { "ready", put_ready },
    { "wanted", put_wanted },
    { "exit", put_exit },
    { "exitstatus", put_exitstatus },
    { "spawnerr", put_spawnerr },
    { "restarts", put_restarts },
    { "tries", put_tries },
    { "next_start", put_next_start },
    { "detached", put_detached },
    { "stdout_logfile", put_stdout_logfile },
    { "stderr_logfile", put_stderr_logfile },
    { "syslog_lost", put_syslog_lost },
    { "log_dropped", put_log_dropped },
    { "log_trouble", put_log_trouble },
    { "channel", put_channel },
    { "program", put_program },
    { "comment", put_comment },
};

uint64_t present_fields(const char *list)
{
    uint64_t mask = 0;
    if (list == NULL || *list == '\0')
        return UINT64_MAX;
    while (*list != '\0') {
        size_t length = strcspn(list, ",");
        for (size_t i = 0; i < ELEMENTS(fields); i++)
            if (strlen(fields[i].name) == length && memcmp(fields[i].name, list, length) == 0)
                mask |= 1ULL << i;
        list += length + (list[length] == ',');
    }
    return mask;
}

void present_process(struct jsonw *j, const char *name, const struct child *c, uint64_t mask, usec_t wall)
{
    struct view v = { .j = j, .c = c, .p = &c->process, .wall = wall };
    jsonw_object(j, name);
    for (size_t i = 0; i < ELEMENTS(fields); i++)
        if ((mask >> i & 1) != 0)
            fields[i].put(&v, fields[i].name);
    jsonw_object_end(j);
}
