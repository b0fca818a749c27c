/* call.c - what a call says: its numbers, a time, a descriptor, a signal; and whether
 * it comes too late.  Whatever a client writes there, what is returned is in
 * range.  Owns nothing. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "base/parse.h"
#include "control/control.h"

enum fault control_ending(const struct supervisor *s)
{
    static const enum fault faults[] = { FAULT_SHUTDOWN_STATE, FAULT_RESTARTING, FAULT_NONE };
    return faults[s->state - SUPERVISOR_SHUTDOWN];
}

bool control_refuse_if_ending(struct control_call *call)
{
    enum fault f = control_ending(call->control->supervisor);
    if (f != FAULT_NONE)
        control_fail(call->request, f, NULL, NULL);
    return f != FAULT_NONE;
}

long long control_number(struct http_request *r, const char *parameter, long long otherwise)
{
    const char *text = http_request_query(r, parameter, 0);
    if (text == NULL || *text == '\0')
        return otherwise;
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    return errno != 0 || *end != '\0' ? otherwise : n;
}

int control_descriptor(struct http_request *r, int otherwise)
{
    long long fd = control_number(r, "fd", otherwise);
    return fd >= 0 && fd < STDIO_MAX ? (int)fd : -1;
}

usec_t control_timeout(struct http_request *r, long long otherwise)
{
    long long seconds = control_number(r, "timeout", otherwise);
    usec_t t;
    return seconds <= 0 || __builtin_mul_overflow((usec_t)seconds, USEC_PER_SEC, &t) ? USEC_INFINITY : t;
}

int control_read_signal(struct http_request *r)
{
    size_t len;
    const char *body = http_request_body(r, &len);
    json_t *root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    const char *text = json_string_value(json_object_get(root, "signal"));
    int signal;
    if (text == NULL || parse_signal(text, &signal) < 0)
        signal = -EINVAL;
    json_decref(root);
    return signal;
}
