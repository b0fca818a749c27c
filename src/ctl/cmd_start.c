/* cmd_start.c - `start`, `stop`, `restart`: the verbs that change what should run.
 *
 * `restart` is all stops, then all starts, as supervisorctl does it, and not the
 * daemon's restart of one process after the other; with --no-wait nobody looks
 * at the order and the daemon does it alone. */
#include "ctl/ask.h"
#include "ctl/deed.h"

static void start_run(struct ctl *c, const struct ctl_words *words);
static void stop_run(struct ctl *c, const struct ctl_words *words);
static void restart_run(struct ctl *c, const struct ctl_words *words);

#define START_NAMES "    NAME is a process, GROUP:*, a pattern such as web* or *:worker_0?, or all\n"
#define START_WAIT "    --no-wait returns at once, --wait=DURATION (10s, 2m) waits no longer\n"

const struct ctl_command ctl_cmd_start = {
    .name = "start",
    .args = "NAME...",
    .summary = "starts processes and waits until they run or have failed",
    .help = START_NAMES START_WAIT,
    .flags = CTL_UPCHECK | CTL_PROCESSES,
    .fn = start_run,
};

const struct ctl_command ctl_cmd_stop = {
    .name = "stop",
    .args = "NAME...",
    .summary = "stops processes and waits until they have ended",
    .help = START_NAMES START_WAIT,
    .flags = CTL_UPCHECK | CTL_PROCESSES,
    .fn = stop_run,
};

const struct ctl_command ctl_cmd_restart = {
    .name = "restart",
    .args = "NAME...",
    .summary = "stops all of the named processes, then starts them",
    .help = START_NAMES START_WAIT "    the configuration is not read again; reread and update do that\n",
    .flags = CTL_UPCHECK | CTL_PROCESSES,
    .fn = restart_run,
};

enum { STATE_STARTING = 10, STATE_RUNNING = 20, STATE_BACKOFF = 30, STATE_UNKNOWN = 1000 };

static bool is_up(long long state)
{
    return state == STATE_STARTING || state == STATE_RUNNING || state == STATE_BACKOFF;
}

static bool is_startable(long long state)
{
    return !is_up(state) && state != STATE_UNKNOWN;
}

static const struct deed deed_start = {
    .verb = "start",
    .applies = is_startable,
    .done = "started",
    .underway = "starting",
    .ignored = "ALREADY_STARTED",
    .no_group = CTL_INVALID_ARGS,
};

static const struct deed deed_stop = {
    .verb = "stop",
    .applies = is_up,
    .done = "stopped",
    .underway = "stopping",
    .ignored = "NOT_RUNNING",
    .no_group = CTL_GENERIC,
};

static const struct deed deed_restart = {
    .verb = "restart",
    .done = "restarted",
    .underway = "restarting",
    .no_group = CTL_INVALID_ARGS,
};

static void start_run(struct ctl *c, const struct ctl_words *words)
{
    if (words->n == 0) {
        ctl_usage(c, CTL_INVALID_ARGS, "Error: start requires a process name");
        return;
    }
    deed_do(c, &deed_start, words->list, words->n, NULL);
    ctl_flush(c, "results");
}

static void stop_run(struct ctl *c, const struct ctl_words *words)
{
    if (words->n == 0) {
        ctl_usage(c, CTL_GENERIC, "Error: stop requires a process name");
        return;
    }
    deed_do(c, &deed_stop, words->list, words->n, NULL);
    ctl_flush(c, "results");
}

static void restart_run(struct ctl *c, const struct ctl_words *words)
{
    if (words->n == 0) {
        ctl_usage(c, CTL_GENERIC, "Error: restart requires a process name");
        return;
    }
    if (c->no_wait) {
        deed_do(c, &deed_restart, words->list, words->n, NULL);
    } else {
        deed_do(c, &deed_stop, words->list, words->n, NULL);
        deed_do(c, &deed_start, words->list, words->n, NULL);
    }
    ctl_flush(c, "results");
}
