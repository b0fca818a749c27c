/* load.h - the parts of the loader, one for each sort of section.
 *
 * Private to config/.  Each evaluates its sections in supervisord's order, reports
 * what is wrong, and leaves in the loader's configuration what is right. */
#pragma once

#include "config/loader.h"
#include "config/setting.h"

struct config_holder {
    struct config c; /* first */
    struct arena arena;
};

/* A name without characters that addresses and URLs cannot have; NULL was reported. */
const char *checked_name(struct loader *l, const struct where *w, const char *name);

void load_daemon(struct loader *l, const struct ini_section *section, const struct config_override *overrides);
void load_daemon_user(struct loader *l, const struct ini_section *section);
void load_plugins(struct loader *l, const struct option_table *t, struct config_plugin **list, size_t *n);
bool check_plugin(struct loader *l, const struct where *w, const char *spec);
void load_groups(struct loader *l);
void load_servers(struct loader *l);
void load_client(struct loader *l);
size_t load_programs(struct loader *l, const struct ini_section *section, enum program_type type, const char *group,
                     struct program **ret);
void load_transient(struct loader *l, const struct config_transient *t);

/* pieces of load_program.c */
void finish_ladder(struct loader *l, struct draft *d);
void finish_common(struct loader *l, struct draft *d);
void load_detached(struct loader *l, const struct ini_section *section, struct program *p, bool first);
const char *const *file_variables(struct loader *l, const struct draft *d);
