/* http_auth.h - may this request be answered at all?  Pure but for gethostname(). */
#pragma once

#include <stdbool.h>

#include "control/http.h"
#include "control/http_parse.h"

/* True when no password is asked for, or the Authorization header has it.  The
 * time this takes does not depend on how much of a guess is right. */
bool http_auth_is_right(const struct http_access *access, const char *authorization);

/* NULL, or why a request that came by TCP looks like a web page that reaches for
 * a server that is not its own:
 * - its Origin is not the Host that it speaks to;
 * - it came to a loopback address, no password protects it, and its Host is
 *   neither an address nor localhost nor this machine's name (DNS rebinding: a
 *   page's own name made to point here, which passes the first test). */
const char *http_origin_problem(const struct http_head *head, bool loopback, bool password);
