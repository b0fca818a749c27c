/* load_program.c - one program section to its processes.
 *
 * What all processes of the section share is evaluated once, the rest for every
 * process_num, as supervisord does, down to what it forgets to take back in
 * between: names that one process's environment has set are known to the next. */
#include <stdlib.h>
#include <string.h>

#include "base/argv.h"
#include "base/cleanup.h"
#include "config/load.h"

/* Times that were left out are stopwaitsecs, and the end is KILL.  Most programs
 * have the same ladder, so the last one made is looked at before another is kept. */
void finish_ladder(struct loader *l, struct draft *d)
{
    struct program *p = &d->p;
    struct stop_step steps[STOP_LADDER_MAX];
    unsigned n = p->n_ladder;
    memcpy(steps, p->ladder, n * sizeof(*steps));
    for (unsigned i = 0; i < n; i++)
        if (steps[i].wait == USEC_INFINITY)
            steps[i].wait = d->common.stopwaitsecs;
    if (steps[n - 1].signal != SIGKILL && n < STOP_LADDER_MAX)
        steps[n++] = (struct stop_step){ SIGKILL, d->common.stopwaitsecs };
    bool same = n == l->n_last_ladder;
    for (unsigned i = 0; same && i < n; i++)
        same = steps[i].signal == l->last_ladder[i].signal && steps[i].wait == l->last_ladder[i].wait;
    if (!same) {
        struct stop_step *kept = arena_new_array(l->keep, n, struct stop_step);
        if (kept == NULL)
            return;
        l->last_ladder = memcpy(kept, steps, n * sizeof(*steps));
        l->n_last_ladder = n;
    }
    p->ladder = l->last_ladder;
    p->n_ladder = (uint16_t)n;
}

static bool check_shared(struct loader *l, const struct ini_section *section, struct draft *d)
{
    struct where w = { .section = section, .option = "process_name" };
    bool ok = true;
    if (d->numprocs > 1 && strstr(d->process_name, "%(process_num)") == NULL) {
        report(l, DIAGNOSTIC_ERROR, &w, "%(process_num) must be present within process_name when numprocs > 1",
               "must have %%(process_num)s in it when numprocs is above 1; write %%(program_name)s_%%(process_num)02d");
        ok = false;
    }
    w.option = "kill_mode";
    if (d->common.kill_mode != KILL_MODE_UNSET && (d->p.stopasgroup || d->killasgroup_set)) {
        report(l, DIAGNOSTIC_ERROR, &w, NULL, "says what stopasgroup and killasgroup say; keep the one or the others");
        ok = false;
    }
    if (d->common.kill_mode == KILL_MODE_GROUP || d->common.kill_mode == KILL_MODE_CGROUP)
        d->p.stopasgroup = true;
    if (!d->killasgroup_set)
        d->p.killasgroup = d->p.stopasgroup;
    w.option = "killasgroup";
    if (d->p.stopasgroup && !d->p.killasgroup) {
        report(l, DIAGNOSTIC_ERROR, &w, "Cannot set stopasgroup=true and killasgroup=false",
               "cannot be false when stopasgroup is true; leave it out");
        ok = false;
    }
    w.option = "numprocs";
    if (d->numprocs > CONFIG_NUMPROCS_MAX) {
        report(l, DIAGNOSTIC_ERROR, &w, NULL, "%lld processes of one program; at most %d", (long long)d->numprocs,
               CONFIG_NUMPROCS_MAX);
        ok = false;
    }
    if (!d->restart_reset_set)
        d->common.restart_reset = d->p.startsecs;
    w.option = "uid";
    if (d->gid_missing) {
        report(l, DIAGNOSTIC_ERROR, &w, NULL, "user %s is in no database, so its group is unknown; give gid too",
               d->common.uid_text);
        ok = false;
    }
    return ok;
}

/* Takes the values that were gathered in the draft out of it. */
void finish_common(struct loader *l, struct draft *d)
{
    /* a difference in the bytes alone (0.0 and -0.0) only costs a value of its own */
    if (l->last_common == NULL || /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-*) */
        memcmp(l->last_common, &d->common, sizeof(d->common)) != 0) {
        struct program_common *common = arena_new(l->keep, struct program_common);
        if (common == NULL)
            return;
        *common = d->common;
        l->last_common = common;
    }
    d->p.common = l->last_common;
}

/* A negative size is taken as 0, but is not 0 for supervisord, which does not warn. */
static bool below_zero(const struct loader *l, const char *option)
{
    size_t number = (size_t)(option_find(&options_program, option) - options_program.options);
    for (size_t i = 0; i < l->n_given; i++)
        if (l->given[i].option == number && l->given[i].value < 0)
            return true;
    return false;
}

static void finish_log(struct loader *l, const struct ini_section *section, struct log_settings *log,
                       const char *stream)
{
    struct where w = { .section = section, .option = scratchf(l, "%s_logfile", stream) };
    if (log->target == LOG_TARGET_SYSLOG) {
        report(l, DIAGNOSTIC_WARNING, &w,
               scratchf(l,
                        "For [%s], %s_logfile=syslog but this is deprecated and will be removed.  Use %s_syslog=true "
                        "to enable syslog instead.",
                        section->name, stream, stream),
               "syslog as a file name is old; write %s_syslog = true", stream);
        log->target = LOG_TARGET_NONE;
        log->syslog = true;
    }
    if (log->target == LOG_TARGET_AUTO && log->max_bytes == 0 &&
        !below_zero(l, scratchf(l, "%s_logfile_maxbytes", stream)))
        report(
            l, DIAGNOSTIC_WARNING, &w,
            scratchf(l,
                     "For [%s], AUTO logging used for %s_logfile without rollover, set maxbytes > 0 to avoid filling "
                     "up filesystem unintentionally",
                     section->name, stream),
            "an AUTO log that is never rotated can fill the disk; set %s_logfile_maxbytes", stream);
}

static bool has_log(const struct program *p, unsigned number)
{
    enum stdio_kind kind = stdio_entry(p->stdio, number).kind;
    return kind == STDIO_PIPE || kind == STDIO_LOG;
}

static void finish_logs(struct loader *l, const struct ini_section *section, struct program *p)
{
    finish_log(l, section, &p->out, "stdout");
    finish_log(l, section, &p->err, "stderr");
    if (p->out.path != NULL && !has_log(p, 1))
        report(l, DIAGNOSTIC_WARNING, &(struct where){ .section = section, .option = "stdout_logfile" }, NULL,
               "is not written, since stdio sends standard output elsewhere");
    if (p->err.path != NULL && !has_log(p, 2))
        report(l, DIAGNOSTIC_WARNING, &(struct where){ .section = section, .option = "stderr_logfile" }, NULL,
               "is not written, since stdio sends standard error elsewhere");
    if (!p->redirect_stderr)
        return;
    if (p->err.path != NULL)
        report(l, DIAGNOSTIC_WARNING, &(struct where){ .section = section, .option = "stderr_logfile" },
               scratchf(l,
                        "For [%s], redirect_stderr=true but stderr_logfile has also been set to a filename, the "
                        "filename has been ignored",
                        section->name),
               "is ignored, since redirect_stderr is true; take one of the two away");
    p->err.target = LOG_TARGET_NONE;
    p->err.path = NULL;
}

/* The variables of environment_file, less those that the program's own environment has. */
const char *const *file_variables(struct loader *l, const struct draft *d)
{
    struct pair *left = NULL;
    for (const struct pair *p = d->file_pairs; p != NULL && d->p.environment_file != NULL; p = p->next) {
        const struct pair *own = d->pairs;
        while (own != NULL && strcmp(own->name, p->name) != 0)
            own = own->next;
        struct pair *copy = own == NULL ? arena_new(&l->scratch, struct pair) : NULL;
        if (copy == NULL)
            continue;
        *copy = (struct pair){ .next = left, .name = p->name, .value = p->value };
        left = copy;
    }
    return left != NULL ? keep_environment(l, NULL, left) : NULL;
}

/* False: an error was reported. */
static bool check_channel(struct loader *l, const struct ini_section *section, const struct draft *d)
{
    struct where w = { .section = section, .option = "ipc" };
    int number = ipc_descriptor(&d->p);
    if (number < 0 && ipc_wanted(&d->p)) {
        report(l, DIAGNOSTIC_ERROR, &w, NULL, "finds no descriptor; stdio names all 64, so one of them has to be ipc");
        return false;
    }
    if (number == 1 && d->p.redirect_stderr) {
        w.option = "stdio";
        report(l, DIAGNOSTIC_ERROR, &w, NULL,
               "makes descriptor 1 the channel, and redirect_stderr would write into it; take one of the two away");
        return false;
    }
    if (number < 0 && d->ipc != NULL && d->scope.number == d->numprocs_start) {
        w.option = "ipc_max_message";
        report(l, DIAGNOSTIC_WARNING, &w, NULL, "and the other limits of a channel do nothing without ipc = true");
    }
    return true;
}

/* One that can never be started is told where it is written.  supervisord finds out at
 * the start, and what says so then is FATAL. */
static bool check_command(struct loader *l, const struct ini_section *section, const struct draft *d)
{
    struct where w = { .section = section, .key = ini_key(&l->ini, section, "command"), .option = "command" };
    _cleanup_free_ char **words = NULL;
    size_t n = 1;
    const char *why;
    bool native = l->c->kind == CONFIG_NATIVE;
    int r = d->p.common->shell == NULL ? argv_split(d->p.command, &words, &n, &why) : 0;
    if (r == 0 && n > 0)
        return true;
    report(l, native ? DIAGNOSTIC_ERROR : DIAGNOSTIC_WARNING, &w, NULL, "%s%s; %s",
           r < 0 ? "a quotation is not closed, or a backslash ends it" : "is empty",
           native ? "" : ", so that it cannot be started", r < 0 ? "see what is quoted" : "say what to run");
    return !native;
}

/* The process with the number in d->scope. */
static bool load_process(struct loader *l, const struct ini_section *section, struct draft *d)
{
    struct where w = { .section = section, .option = "command" };
    d->p.command = d->p.directory = d->p.environment_file = NULL;
    d->pairs = NULL;
    if (!set_options(l, section, &options_program, d, &d->scope, OPTION_PROCESS, 0))
        return false;
    load_detached(l, section, &d->p, d->scope.number == d->numprocs_start);
    finish_logs(l, section, &d->p);
    if (!check_channel(l, section, d))
        return false;
    if (d->p.redirect_stderr && !has_log(&d->p, 2)) {
        w.option = "stdio";
        report(l, DIAGNOSTIC_ERROR, &w, NULL,
               "says what descriptor 2 is, and redirect_stderr says that it is 1; take "
               "one of the two away");
        return false;
    }
    if (d->p.command == NULL) {
        report(l, DIAGNOSTIC_ERROR, &w, scratchf(l, "program section %s does not specify a command", section->name),
               "is missing; say what to run");
        return false;
    }
    if (d->scope.number == d->numprocs_start && !check_command(l, section, d))
        return false;
    w.option = "process_name";
    w.key = ini_key(&l->ini, section, "process_name");
    const char *name = expand(l, &d->scope, d->process_name, "process_name", &w);
    if (name == NULL)
        return false;
    d->p.name = keep_string(l, name);
    d->p.number = (unsigned)d->scope.number;
    d->p.environment = keep_environment(l, l->c->daemon.environment, d->pairs);
    d->p.file_variables = file_variables(l, d);
    return true;
}

/* Keys whose protocols are still to come are said to do nothing, once each section. */
static void warn_unserved(struct loader *l, const struct ini_section *section, const struct program *p)
{
    struct where w = { .section = section };
    const char *what = "what stands between capture marks is not captured yet, and stays in the log";
    if (p->common->out_capture_max_bytes > 0)
        w.option = "stdout_capture_maxbytes";
    else if (p->common->err_capture_max_bytes > 0)
        w.option = "stderr_capture_maxbytes";
    else if (p->out.events_enabled || p->err.events_enabled) {
        w.option = p->out.events_enabled ? "stdout_events_enabled" : "stderr_events_enabled";
        what = "event listeners are not told of output yet; follow it with droverctl logs -f";
    } else
        return;
    w.key = ini_key(&l->ini, section, w.option);
    report(l, DIAGNOSTIC_WARNING, &w, NULL, "%s", what);
}

static void keep_sources(struct loader *l, const struct ini_section *section, struct program *p)
{
    struct program_source found[128] = { 0 };
    uint16_t n = 0;
    for (uint16_t i = 0; i < options_program.n && n < sizeof found / sizeof *found; i++) {
        const struct ini_key *key = ini_key(&l->ini, section, options_program.options[i].name);
        if (key != NULL)
            found[n++] = (struct program_source){ i, key->file, key->line - p->line };
    }
    if (n == 0)
        return;
    if (n != l->n_last_sources || memcmp(l->last_sources, found, n * sizeof *found) != 0) {
        struct program_source *sources = arena_new_array(l->keep, n, struct program_source);
        if (sources == NULL)
            return;
        l->last_sources = memcpy(sources, found, n * sizeof *found);
        l->n_last_sources = n;
    }
    p->sources = l->last_sources;
    p->n_sources = n;
}

static int by_name(const void *a, const void *b)
{
    const struct program *p = a, *q = b;
    return strcmp(p->name, q->name);
}

/* All numbers; stops at the first that fails, since the next would say the same. */
static size_t load_numbers(struct loader *l, const struct ini_section *section, struct draft *d, struct program *list)
{
    size_t given = l->n_given;
    for (int64_t i = 0; i < d->numprocs; i++) {
        l->n_given = given;
        d->scope.number = d->numprocs_start + i;
        if (!load_process(l, section, d) || l->keep->failed || l->scratch.failed)
            return 0;
        d->p.given = keep_given(l, &d->p.n_given);
        list[i] = d->p;
    }
    return d->numprocs > 0 ? (size_t)d->numprocs : 0;
}

static size_t load_section(struct loader *l, const struct ini_section *section, struct draft *d, struct program **ret)
{
    struct where w = { .section = section };
    const char *name = checked_name(l, &w, strchr(section->name, ':') + 1);
    bool ok = name != NULL;
    d->p.section = d->scope.program = ok ? name : section->name;
    ok = set_options(l, section, &options_program, d, &d->scope, 0, OPTION_PROCESS) && ok;
    ok = ok && check_shared(l, section, d);
    d->scope.numbered = true;
    d->scope.numprocs = d->numprocs;
    if (!ok) { /* for what else there is to say */
        d->scope.number = d->numprocs_start;
        d->process_name = d->process_name != NULL ? d->process_name : "";
        load_process(l, section, d);
        return 0;
    }
    finish_ladder(l, d);
    finish_common(l, d);
    warn_unserved(l, section, &d->p);
    l->n_processes += d->numprocs > 0 ? (size_t)d->numprocs : 0;
    if (l->n_processes > CONFIG_PROCESSES_MAX) {
        report(l, DIAGNOSTIC_ERROR, &w, NULL, "more than %d processes in all", CONFIG_PROCESSES_MAX);
        return 0;
    }
    keep_sources(l, section, &d->p);
    struct program *list = arena_new_array(&l->scratch, d->numprocs > 0 ? (size_t)d->numprocs : 0, struct program);
    size_t n = list != NULL ? load_numbers(l, section, d, list) : 0;
    if (n > 1)
        qsort(list, n, sizeof *list, by_name);
    *ret = list;
    return n;
}

size_t load_programs(struct loader *l, const struct ini_section *section, enum program_type type, const char *group,
                     struct program **ret)
{
    struct draft d = {
        .p = { .type = type, .file = section->file, .line = section->line },
        .common = { .umask = -1 },
        .scope = { .here = l->here, .host = l->world->host, .group = group, .own_map = ++l->n_scopes },
    };
    d.p.common = &d.common;
    l->n_given = 0;
    l->process_section = section;
    size_t n = load_section(l, section, &d, ret);
    l->process_section = NULL;
    return n;
}
