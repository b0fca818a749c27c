/* upgrade.h - the guardian becomes another program, and stays the same process.
 *
 * What it knows is written into a file in memory; every held descriptor stays open
 * at its number; then it executes the new program, which reads the file and goes on.
 * The new one is asked first, with the real file: `droverd --check-state`. */
#pragma once

#include <stddef.h>

#include "guardian/mail.h"

#define UPGRADE_ASK_WAIT (10 * USEC_PER_SEC) /* for its answer */

/* What --check-state exits with. */
enum upgrade_answer { UPGRADE_FITS = 0, UPGRADE_UNREADABLE = 1, UPGRADE_OLDER = 3 };

/* Starts to ask the program that the supervisor has sent; its end is the answer. */
void upgrade_ask(struct guardian *g);
/* Does it; only a failure returns, with everything as it was: a negative errno. */
int upgrade_exec(struct guardian *g);

/* In the new program: what is in the file that was passed, if one was, becomes
 * ours.  1, 0 when none was passed, -EBADMSG. */
int upgrade_resume(struct guardian *g);

/* For --check-state.  *ret: the tables that were passed (static), where they can be read;
 * what they hold is open at its number. */
enum upgrade_answer upgrade_check(const char *version, struct roll **ret);
