/* print.h - a loaded configuration as text for people. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/buf.h"
#include "config/config.h"
#include "config/option.h"

/* The fully expanded result as an INI file whose comments say where things were
 * written; passwords are not shown. */
int config_print(FILE *out, const struct config *c);

/* All keys with their values and defaults, or the one; 0, or -ENOENT: no such key. */
int config_help(FILE *out, const char *key);
