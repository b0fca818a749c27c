/* cmd_upgrade.c - `upgrade`: another droverd takes the place of the one that runs.
 *
 * Done when a supervisor answers that is not the one before. */
#include "ctl/ask.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "wire/jsonw.h"

#define LOOK_EVERY (10 * 1000 * 1000L) /* nanoseconds */
#define LOOKS 1000

static void upgrade_run(struct ctl *c, const struct ctl_words *words);

const struct ctl_command ctl_cmd_upgrade = {
    .name = "upgrade",
    .args = "[FILE]",
    .summary = "lets another droverd take the place of the running one, processes go on",
    .help = "    FILE: the program; without it the one at the place of the running one\n"
            "    it is asked first whether it can go on; if not, nothing changes\n",
    .flags = CTL_UPCHECK,
    .fn = upgrade_run,
};

static int body_of(struct ctl *c, const char *file, struct buf *body)
{
    _cleanup_free_ char *path = realpath(file, NULL);
    if (path == NULL) {
        ctl_fail(c, "ERROR: %s: %s", file, strerror(errno));
        ctl_status(c, CTL_GENERIC);
        return -EINVAL;
    }
    struct jsonw j = JSONW_INIT(body);
    jsonw_object(&j, NULL);
    jsonw_string(&j, "path", path);
    jsonw_object_end(&j);
    return 0;
}

/* What the daemon is when the supervisor is another one. */
static int wait_for_other(struct ctl *c, long long before, struct answer *a)
{
    const struct timespec pause = { .tv_nsec = LOOK_EVERY };
    for (int i = 0; i < LOOKS; i++) {
        if (ask(c, "GET", "/v1/daemon", NULL, 0, a) < 0)
            return -EPIPE;
        if (a->status == 200 && ask_integer(a->json, "supervisor_pid", before) != before)
            return 0;
        answer_done(a);
        *a = (struct answer){ 0 };
        nanosleep(&pause, NULL);
    }
    ctl_fail(c, "ERROR: no other supervisor has come");
    ctl_status(c, CTL_GENERIC);
    return -ETIMEDOUT;
}

static void tell(struct ctl *c, const char *before, const json_t *daemon)
{
    const char *error = ask_string(daemon, "upgrade_error", "");
    if (*error != '\0') {
        ctl_fail(c, "ERROR: the old program goes on: %s", error);
        ctl_status(c, CTL_GENERIC);
    } else if (c->json) {
        ctl_print_json(c, (json_t *)daemon);
    } else {
        ctl_say(c, "Upgraded from %s to %s", before, ask_string(daemon, "version", "unknown"));
    }
}

static void upgrade_run(struct ctl *c, const struct ctl_words *words)
{
    _cleanup_answer_ struct answer was = { 0 }, a = { 0 }, is = { 0 };
    _cleanup_buf_ struct buf body = BUF_INIT(2 * PATH_MAX + 64);
    if (words->n > 1) {
        ctl_usage(c, CTL_INVALID_ARGS, "Error: upgrade accepts one program");
        return;
    }
    if (words->n > 0 && body_of(c, words->list[0], &body) < 0)
        return;
    if (ask(c, "GET", "/v1/daemon", NULL, 0, &was) < 0)
        return;
    if (ask(c, "POST", "/v1/daemon/upgrade", words->n > 0 ? body.data : NULL, ASK_WAIT, &a) < 0)
        return;
    if (a.status != 200)
        answer_complain(c, &a, "upgrade");
    else if (wait_for_other(c, ask_integer(was.json, "supervisor_pid", 0), &is) == 0)
        tell(c, ask_string(was.json, "version", "unknown"), is.json);
}
