/* groups.h - what supervisor.c and groups.c share; others use supervisor.h. */
#pragma once

#include "supervisor/supervisor.h"

/* How many children are in that state. */
size_t *supervisor_count_of(struct supervisor *s, enum process_state state);
void member_group_free(struct supervisor *s, struct member_group *g);
/* Keeps the children of a group sorted by name after some were added. */
void supervisor_sort_group(struct member_group *g);
