/* cmd_upgrade.c - another program takes the daemon's place; the main program knows how. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "control/control.h"

static void daemon_upgrade(struct control_call *call);

const struct command commands_upgrade[] = {
    { "POST", "/v1/daemon/upgrade", ROLE_ADMIN, daemon_upgrade },
    { 0 },
};

struct upgrade_wait {
    struct http_request *request; /* NULL: the client has gone; what was begun goes on */
};

static void on_client_gone(void *arg)
{
    struct upgrade_wait *w = arg;
    w->request = NULL;
}

static void on_done(const char *why, void *arg)
{
    struct upgrade_wait *w = arg;
    if (w->request != NULL) {
        http_request_on_close(w->request, NULL, NULL);
        if (why != NULL)
            control_fail(w->request, FAULT_UPGRADE, NULL, why);
        else
            control_ok(w->request);
    }
    free(w);
}

static void begin(struct control_call *call, const char *path)
{
    struct control *c = call->control;
    struct upgrade_wait *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        control_fail(call->request, FAULT_NO_MEMORY, NULL, NULL);
        return;
    }
    w->request = call->request;
    http_request_on_close(call->request, on_client_gone, w);
    int r = c->hooks.upgrade(path, on_done, w, c->hooks.arg);
    if (r == 0)
        return;
    http_request_on_close(call->request, NULL, NULL);
    control_fail(call->request, FAULT_UPGRADE, NULL, r == -EBUSY ? "another is asked just now" : strerror(-r));
    free(w);
}

static void daemon_upgrade(struct control_call *call)
{
    if (control_refuse_if_ending(call))
        return;
    size_t len;
    const char *body = http_request_body(call->request, &len);
    json_t *root = len > 0 ? json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL) : json_object();
    const json_t *path = json_object_get(root, "path");
    if (!json_is_object(root) || (path != NULL && json_string_value(path) == NULL) ||
        (path != NULL && json_string_value(path)[0] != '/'))
        control_fail(call->request, FAULT_BAD_ARGUMENTS, NULL, "the body is {\"path\":\"/...\"} or empty");
    else
        begin(call, json_string_value(path));
    json_decref(root);
}
