/* child_stdin.h - our end of a process's standard input. */
#pragma once

struct child;

/* Closes it and forgets what it has not read; for the end of the process. */
void child_stdin_end(struct child *c);
