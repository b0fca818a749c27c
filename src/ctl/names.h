/* names.h - what users write where a process or a group is wanted. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "ctl/command.h"

/* "group:" and "group:*" mean a group. */
bool name_is_group(const char *name);
/* Of "group:*" only the group is shown. */
size_t name_shown_length(const char *name);
/* Does it hold a pattern beyond "group:*"? */
bool name_is_glob(const char *name);
/* Is the word `all` among them? */
bool names_have_all(const struct ctl_words *words);
