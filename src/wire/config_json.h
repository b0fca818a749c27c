/* config_json.h - a loaded configuration as JSON, for `droverd -t --json` and
 * GET /v1/config.  Passwords are not in it. */
#pragma once

#include "base/buf.h"
#include "config/config.h"
#include "wire/jsonw.h"

/* The whole as one object; 0 or the buffer's error. */
int config_json(struct buf *out, const struct config *c);

/* Parts: an object each. */
void config_json_daemon(struct jsonw *j, const char *name, const struct config *c);
void config_json_program(struct jsonw *j, const char *name, const struct config *c, const struct program *p);
/* An object whose names come from files: {"A":"1"}. */
void config_json_environment(struct jsonw *j, const char *name, const char *const *environment);
void config_json_member(struct jsonw *j, const char *name, const char *value); /* any text as a name */
