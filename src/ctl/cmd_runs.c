/* cmd_runs.c - `runs`: the transient processes that there are, and their end. */
#include "ctl/ask.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/parse.h"
#include "ctl/render.h"

static void runs_run(struct ctl *c, const struct ctl_words *words);

const struct ctl_command ctl_cmd_runs = {
    .name = "runs",
    .args = "[stop ID...|signal SIGNAL ID...]",
    .summary = "shows the processes that `run` has started, or ends them",
    .help = "    without words a line for each: its id, pid, age, whether its client is\n"
            "    there, its command\n"
            "    stop ends it as its timeout would: --kill-signal, and later KILL\n"
            "    signal sends a signal to its process group\n"
            "    ID is the number, or run:NUMBER\n",
    .flags = CTL_UPCHECK | CTL_OPTIONS,
    .fn = runs_run,
};

static const char *runs_state(const json_t *run)
{
    if (ask_integer(run, "pid", 0) == 0)
        return "ended";
    if (ask_true(run, "ending"))
        return "ending";
    return ask_true(run, "detached") ? "detached" : ask_true(run, "attached") ? "attached" : "awaits its client";
}

static void runs_line(struct ctl *c, const json_t *run)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double start = json_number_value(json_object_get(run, "start"));
    long long age = (long long)((double)now.tv_sec - start);
    age = age < 0 ? 0 : age;
    ctl_say(c, "%-10s pid %-8lld %lld:%02lld:%02lld  %-9s  %s", ask_string(run, "process", ""),
            ask_integer(run, "pid", 0), age / 3600, age / 60 % 60, age % 60, runs_state(run),
            ask_string(run, "command", ""));
}

static void runs_list(struct ctl *c)
{
    size_t i;
    const json_t *run;
    _cleanup_answer_ struct answer a = { 0 };
    if (ask(c, "GET", "/v1/run", NULL, 0, &a) < 0)
        return;
    const json_t *list = a.status == 200 ? answer_list(c, &a, "runs") : NULL;
    if (a.status != 200)
        answer_complain(c, &a, "runs");
    else if (c->json)
        ctl_print_json(c, a.json);
    json_array_foreach((json_t *)list, i, run) runs_line(c, run);
}

/* "run:7" or "7"; false when it is neither. */
static bool runs_id(const char *word, int64_t *id)
{
    return parse_int(strncmp(word, "run:", 4) == 0 ? word + 4 : word, id) == 0 && *id > 0;
}

static void runs_deed(struct ctl *c, const char *word, const char *verb, const char *body, const char *done)
{
    int64_t id;
    if (!runs_id(word, &id)) {
        ctl_fail(c, "%s: ERROR (no such process)", word);
        ctl_status(c, CTL_GENERIC);
        return;
    }
    _cleanup_buf_ struct buf path = BUF_INIT(256);
    buf_printf(&path, "/v1/run/%lld/%s", (long long)id, verb);
    _cleanup_answer_ struct answer a = { 0 };
    if (path.error < 0 || ask(c, "POST", path.data, body, 0, &a) < 0)
        return;
    if (a.status == 200)
        ctl_say(c, "run:%lld: %s", (long long)id, done);
    else if (a.status == 404 || strcmp(answer_fault(&a), "NOT_RUNNING") == 0)
        ctl_fail(c, "run:%lld: ERROR (not running)", (long long)id);
    else
        answer_complain(c, &a, word);
    if (a.status != 200)
        ctl_status(c, CTL_GENERIC);
}

static void runs_run(struct ctl *c, const struct ctl_words *words)
{
    bool stops = words->n > 1 && strcmp(words->list[0], "stop") == 0;
    bool signals = words->n > 2 && strcmp(words->list[0], "signal") == 0;
    if (words->n == 0) {
        runs_list(c);
        return;
    }
    if (!stops && !signals) {
        ctl_usage(c, CTL_INVALID_ARGS, "Error: bad argument %s", words->list[0]);
        return;
    }
    _cleanup_buf_ struct buf body = BUF_INIT(256);
    int number;
    if (signals && parse_signal(words->list[1], &number) < 0) {
        ctl_fail(c, "%s: ERROR (bad signal name)", words->list[1]);
        ctl_status(c, CTL_GENERIC);
        return;
    }
    buf_printf(&body, "{\"signal\":\"%s\"}", signals ? words->list[1] : "");
    for (size_t i = stops ? 1 : 2; i < words->n && body.error == 0; i++)
        runs_deed(c, words->list[i], stops ? "stop" : "signal", stops ? NULL : body.data,
                  stops ? "told to end" : "signalled");
}
