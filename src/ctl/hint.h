/* hint.h - what somebody may have meant who was told that there is no such thing. */
#pragma once

struct ctl;

/* Behind an error about the name of a process or a group; on standard error, once a verb. */
void hint_name(struct ctl *c, const char *name);
/* Behind an error about the daemon's address; a negative errno. */
void hint_connection(struct ctl *c, int error);
/* Behind an error about a verb. */
void hint_verb(struct ctl *c, const char *verb);
