/* cmd_status.c - `status`: one line a process, and an exit status that says
 * whether all of them are up.
 *
 * Without names it is one request for the few fields that the lines need, so
 * that a thousand processes cost what a dozen cost. */
#include "ctl/ask.h"

#include <errno.h>
#include <string.h>

#include "ctl/names.h"
#include "ctl/render.h"

static void status_run(struct ctl *c, const struct ctl_words *words);

const struct ctl_command ctl_cmd_status = {
    .name = "status",
    .args = "[NAME...]",
    .summary = "shows the state of processes, of all when there is no name",
    .help = "    NAME is a process, GROUP:*, a pattern such as web* or *:worker_0?, or all\n"
            "    exit status: 0 when all are up, 3 when one is stopped, exited or fatal,\n"
            "    4 for an unknown name or without a daemon\n",
    .flags = CTL_PROCESSES,
    .fn = status_run,
};

#define STATUS_FIELDS "name,group,statename,state,description,comment,log_trouble"
#define STATUS_NAME_MIN 30

static bool status_is_down(const json_t *process)
{
    switch (ask_integer(process, "state", 1000)) {
    case 0:    /* STOPPED */
    case 100:  /* EXITED */
    case 200:  /* FATAL */
    case 1000: /* UNKNOWN */
        return true;
    default:
        return false;
    }
}

static void status_line(struct buf *out, const json_t *process, int width)
{
    const char *comment = ask_string(process, "comment", NULL);
    ctl_put_name(out, process, width);
    buf_printf(out, "%-10s%s", ask_string(process, "statename", "UNKNOWN"), ask_string(process, "description", ""));
    const char *trouble = ask_string(json_object_get(process, "log_trouble"), "message", NULL);
    if (trouble != NULL)
        buf_printf(out, "  (%s)", trouble);
    if (comment != NULL)
        buf_printf(out, "  (%s)", comment);
    buf_putc(out, '\n');
}

static void status_show(struct ctl *c, const json_t *processes)
{
    size_t i;
    const json_t *process;
    if (!c->quiet && !c->json) {
        int width = ctl_name_width(processes, STATUS_NAME_MIN) + 3;
        _cleanup_buf_ struct buf line = BUF_INIT(3 * CTL_LINE_LIMIT);
        json_array_foreach(processes, i, process)
        {
            buf_reset(&line);
            status_line(&line, process, width);
            if (line.error == 0)
                render_text(stdout, c->terminal, line.data, line.len);
        }
    }
    json_array_foreach(processes, i, process) if (status_is_down(process)) ctl_status(c, CTL_STATUS_NOT_RUNNING);
}

static int status_ask(struct ctl *c, const char *name, json_t *all)
{
    return ask_processes(c, name, c->json ? NULL : STATUS_FIELDS, CTL_STATUS_UNKNOWN, all);
}

static void status_run(struct ctl *c, const struct ctl_words *words)
{
    if (!ctl_upcheck(c)) {
        ctl_status(c, CTL_STATUS_UNKNOWN);
        return;
    }
    json_t *all = json_array();
    int e = 0;
    if (words->n == 0 || names_have_all(words))
        e = status_ask(c, NULL, all);
    else
        for (size_t i = 0; i < words->n && e >= 0; i++)
            e = status_ask(c, words->list[i], all);
    if (e >= 0) {
        status_show(c, all);
        c->results = json_incref(all);
        ctl_flush(c, "processes");
    } else if (e != -EACCES) { /* supervisorctl: a wrong password is no statement about processes */
        ctl_status(c, CTL_STATUS_UNKNOWN);
    }
    json_decref(all);
}
