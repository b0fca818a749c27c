/* cmd_daemon.c - `reload`, `reopen`, `shutdown`, `version`, `open`: the daemon itself.
 *
 * In the shell the first two ask before they act; on the command line they were
 * typed by somebody who meant them. */
#include "ctl/ask.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

static void reload_run(struct ctl *c, const struct ctl_words *words);
static void reopen_run(struct ctl *c, const struct ctl_words *words);
static void shutdown_run(struct ctl *c, const struct ctl_words *words);
static void version_run(struct ctl *c, const struct ctl_words *words);
static void open_run(struct ctl *c, const struct ctl_words *words);

const struct ctl_command ctl_cmd_reload = {
    .name = "reload",
    .args = "",
    .summary = "restarts the daemon: all stop, the configuration is read, all start",
    .flags = CTL_NO_ARGS,
    .fn = reload_run,
};

const struct ctl_command ctl_cmd_reopen = {
    .name = "reopen",
    .args = "",
    .summary = "opens all log files again under their names, for those who have renamed them",
    .flags = CTL_NO_ARGS | CTL_UPCHECK,
    .fn = reopen_run,
};

const struct ctl_command ctl_cmd_shutdown = {
    .name = "shutdown",
    .args = "",
    .summary = "stops all processes and ends the daemon",
    .flags = CTL_NO_ARGS,
    .fn = shutdown_run,
};

const struct ctl_command ctl_cmd_version = {
    .name = "version",
    .args = "",
    .summary = "shows the version of the daemon",
    .flags = CTL_NO_ARGS | CTL_UPCHECK,
    .fn = version_run,
};

const struct ctl_command ctl_cmd_open = {
    .name = "open",
    .args = "URL",
    .summary = "talks to another daemon from now on: unix:///path or http://host:port",
    .fn = open_run,
};

/* True when the daemon has taken the order. */
static bool daemon_order(struct ctl *c, const char *path, unsigned flags)
{
    _cleanup_answer_ struct answer a = { 0 };
    if (ask(c, "POST", path, NULL, ASK_WAIT | flags, &a) < 0)
        return false;
    if (c->json)
        ctl_print_json(c, a.json);
    if (a.status == 200)
        return true;
    if (answer_is_end(&a))
        ctl_fail(c, "ERROR: already shutting down");
    else
        answer_complain(c, &a, c->command->name);
    /* shutting down twice comes to the same, reloading what ends does not */
    if (c->command == &ctl_cmd_reload)
        ctl_status(c, CTL_GENERIC);
    return false;
}

static void reload_run(struct ctl *c, const struct ctl_words *words)
{
    (void)words;
    if (ctl_confirm(c, "Really restart the remote supervisord process y/N? ") &&
        daemon_order(c, "/v1/daemon/reload", 0))
        ctl_say(c, "Restarted supervisord");
}

static void reopen_run(struct ctl *c, const struct ctl_words *words)
{
    (void)words;
    _cleanup_answer_ struct answer a = { 0 };
    if (ask(c, "POST", "/v1/logs/reopen", NULL, ASK_AGAIN, &a) < 0)
        return;
    if (a.status != 200)
        answer_complain(c, &a, "reopen");
    else if (c->json)
        ctl_print_json(c, a.json);
    else
        ctl_say(c, "Reopened the logs");
}

static void shutdown_run(struct ctl *c, const struct ctl_words *words)
{
    (void)words;
    if (!ctl_confirm(c, "Really shut the remote supervisord process down y/N? "))
        return;
    int e = client_connect(c->client);
    if (!c->json && (e == -ECONNREFUSED || e == -ENOENT)) {
        ctl_fail(c, "ERROR: %s %s (already shut down?)", c->endpoint.url,
                 e == -ENOENT ? "no such file" : "refused connection");
        ctl_status(c, CTL_GENERIC);
    } else if (daemon_order(c, "/v1/daemon/shutdown", ASK_AGAIN)) {
        ctl_say(c, "Shut down");
    }
}

static void version_run(struct ctl *c, const struct ctl_words *words)
{
    (void)words;
    _cleanup_answer_ struct answer a = { 0 };
    if (ask(c, "GET", "/v1/daemon", NULL, 0, &a) < 0)
        return;
    if (a.status != 200)
        answer_complain(c, &a, "version");
    else if (c->json)
        ctl_print_json(c, a.json);
    else
        ctl_say(c, "%s", ask_string(a.json, "version", "unknown"));
}

static void open_run(struct ctl *c, const struct ctl_words *words)
{
    const char *url = words->text;
    if (strncmp(url, "unix:", 5) != 0 && strncmp(url, "http:", 5) != 0) {
        ctl_fail(c, "ERROR: url must be http:// or unix://");
        ctl_status(c, CTL_GENERIC);
        return;
    }
    char *copy = strdup(url);
    if (copy == NULL)
        return;
    free(c->endpoint.url);
    c->endpoint.url = copy;
    client_close(c->client);
    int before = c->exit_status;
    ctl_cmd_status.fn(c, &(struct ctl_words){ .text = "" });
    c->exit_status = before;
}
