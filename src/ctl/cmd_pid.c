/* cmd_pid.c - `pid`: of the daemon, of a process, of all. */
#include "ctl/ask.h"

#include <string.h>

#include "ctl/hint.h"
#include "ctl/names.h"

static void pid_run(struct ctl *c, const struct ctl_words *words);

const struct ctl_command ctl_cmd_pid = {
    .name = "pid",
    .args = "[NAME...]",
    .summary = "shows the pid of the daemon, or of processes",
    .help = "    pid all shows one pid a line in the order of status; what does not run has 0\n",
    .flags = CTL_UPCHECK | CTL_PROCESSES | CTL_ONE_PROCESS,
    .fn = pid_run,
};

static void pid_of_daemon(struct ctl *c)
{
    _cleanup_answer_ struct answer a = { 0 };
    if (ask(c, "GET", "/v1/daemon", NULL, 0, &a) < 0)
        return;
    if (a.status != 200)
        answer_complain(c, &a, "pid");
    else if (c->json)
        ctl_print_json(c, a.json);
    else
        ctl_say(c, "%lld", ask_integer(a.json, "pid", 0));
}

static void pid_show(struct ctl *c, const json_t *process)
{
    ctl_say(c, "%lld", ask_integer(process, "pid", 0));
    if (c->json)
        ctl_collect(c, json_incref((json_t *)process));
}

static int pid_ask(struct ctl *c, const char *name, struct answer *a)
{
    _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
    buf_puts(&path, "/v1/processes?fields=name,group,pid");
    if (name != NULL)
        ask_path(&path, "&match=", name, "");
    return path.error < 0 ? path.error : ask(c, "GET", path.data, NULL, 0, a);
}

static void pid_of_all(struct ctl *c)
{
    _cleanup_answer_ struct answer a = { 0 };
    if (pid_ask(c, NULL, &a) < 0)
        return;
    if (a.status != 200)
        answer_complain(c, &a, "pid");
    size_t i;
    const json_t *process;
    json_array_foreach(json_object_get(a.json, "processes"), i, process) pid_show(c, process);
}

/* A name that is no pattern must be one process: supervisorctl knows no groups here. */
static int pid_of_name(struct ctl *c, const char *name)
{
    _cleanup_answer_ struct answer a = { 0 };
    int e = pid_ask(c, name, &a);
    if (e < 0)
        return e;
    const json_t *list = json_object_get(a.json, "processes"), *process;
    if ((a.status == 200 && (json_array_size(list) == 0 || name_is_group(name))) ||
        strcmp(answer_fault(&a), "BAD_NAME") == 0) {
        ctl_fail(c, "No such process %s", name);
        ctl_status(c, CTL_GENERIC);
        hint_name(c, name);
        return 0;
    }
    if (a.status != 200)
        answer_complain(c, &a, name);
    size_t i;
    json_array_foreach(list, i, process)
    {
        pid_show(c, process);
        if (ask_integer(process, "pid", 0) == 0)
            ctl_status(c, CTL_NOT_RUNNING);
    }
    return 0;
}

static void pid_run(struct ctl *c, const struct ctl_words *words)
{
    if (words->n == 0) {
        pid_of_daemon(c);
        return;
    }
    if (names_have_all(words))
        pid_of_all(c);
    else
        for (size_t i = 0; i < words->n && pid_of_name(c, words->list[i]) >= 0; i++) {
        }
    ctl_flush(c, "processes");
}
