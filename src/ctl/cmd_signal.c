/* cmd_signal.c - `signal` and `clear`: deeds that leave the state alone. */
#include "ctl/ask.h"
#include "ctl/deed.h"

#include "base/cleanup.h"

static void signal_run(struct ctl *c, const struct ctl_words *words);
static void clear_run(struct ctl *c, const struct ctl_words *words);

const struct ctl_command ctl_cmd_signal = {
    .name = "signal",
    .args = "SIGNAL NAME...",
    .summary = "sends a signal to processes",
    .help = "    SIGNAL is a name with or without SIG, or a number\n"
            "    NAME is a process, GROUP:*, a pattern, or all\n",
    .flags = CTL_UPCHECK | CTL_PROCESSES,
    .fn = signal_run,
};

const struct ctl_command ctl_cmd_clear = {
    .name = "clear",
    .args = "NAME...",
    .summary = "empties the log files of processes",
    .help = "    NAME is a process, GROUP:*, a pattern, or all\n",
    .flags = CTL_UPCHECK | CTL_PROCESSES,
    .fn = clear_run,
};

static const struct deed deed_signal = { .verb = "signal", .done = "signalled", .no_group = CTL_GENERIC, .once = true };
static const struct deed deed_clear = { .verb = "clear", .done = "cleared", .no_group = CTL_GENERIC };

static void signal_run(struct ctl *c, const struct ctl_words *words)
{
    if (words->n < 2) {
        ctl_usage(c, CTL_GENERIC, "Error: signal requires a signal name and a process name");
        return;
    }
    json_t *body = json_pack("{s:s}", "signal", words->list[0]);
    _cleanup_free_ char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    json_decref(body);
    if (text == NULL) {
        ctl_fail(c, "%s: ERROR (bad signal name)", words->list[1]);
        ctl_status(c, CTL_GENERIC);
        return;
    }
    deed_do(c, &deed_signal, words->list + 1, words->n - 1, text);
    ctl_flush(c, "results");
}

static void clear_run(struct ctl *c, const struct ctl_words *words)
{
    if (words->n == 0) {
        ctl_usage(c, CTL_GENERIC, "Error: clear requires a process name");
        return;
    }
    deed_do(c, &deed_clear, words->list, words->n, NULL);
    ctl_flush(c, "results");
}
