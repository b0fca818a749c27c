/* options.h - droverd's command line: supervisord's flags with their meanings, and ours. */
#pragma once

#include <stdbool.h>

#include "config/config_load.h"

enum options_mode { MODE_RUN, MODE_CHECK, MODE_CHECK_STATE, MODE_HELP_CONFIG, MODE_HELP, MODE_VERSION };

struct options {
    enum options_mode mode;
    const char *config; /* NULL: the first default file */
    const char *help_key;
    bool json, strict;
    struct config_override overrides[20];
    unsigned n_overrides;
};

/* 0, or -EINVAL after a message on standard error. */
int options_parse(struct options *o, int argc, char **argv);
void options_usage(void);
