/* banned.h - functions that have no place in a supervisor.
 *
 * Included by the compiler's command line in front of every file, so that a
 * use is an error where it stands.  Unbounded copies, parsers that cannot
 * report an error, and calls that make a descriptor without CLOEXEC, touch the
 * process's signals for good or start a shell behind our back. */
#pragma once

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Under clang, glibc makes these two macros when FORTIFY_SOURCE is on. */
#undef sprintf
#undef vsprintf
#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets
#pragma GCC poison atoi atol atof atoll
#pragma GCC poison system popen mktemp tmpnam
