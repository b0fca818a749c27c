/* desk.h - what processes ask of the supervisor over their channels: messages to "$". */
#pragma once

#include "supervisor/supervisor.h"

/* From now on such questions are answered, as far as each program's `control` allows. */
void desk_open(struct supervisor *s);
