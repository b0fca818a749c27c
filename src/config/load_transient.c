/* load_transient.c - settings of a process that no file defines to its definition.
 *
 * The same options and kinds as for a section of a file, so that a limit, a user
 * or a list of descriptors means the same; without expansion, since whoever asks
 * has said what they mean.  Only keys that say how a process is run are taken. */
#include <string.h>

#include "config/load.h"

/* Is the key about how a process is run, rather than about its life as a job? */
static bool is_of_transients(const struct option *o)
{
    static const char *const keys[] = { "directory",
                                        "umask",
                                        "user",
                                        "uid",
                                        "gid",
                                        "groups",
                                        "stdio",
                                        "timeout",
                                        "stopsignal",
                                        "stopwaitsecs",
                                        "argv0",
                                        "shell",
                                        "nice",
                                        "ionice",
                                        "timeout_signal",
                                        "kill_mode",
                                        "oom_score_adj",
                                        "cpu_affinity",
                                        "no_new_privileges",
                                        "capabilities",
                                        "inherit_environment",
                                        "environment_file" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(o->name, keys[i]) == 0)
            return true;
    return strncmp(o->name, "limit_", 6) == 0;
}

static bool check_transient(struct loader *l, const struct config_transient *t)
{
    bool ok = true;
    for (const struct config_override *s = t->settings; s != NULL && s->option != NULL; s++) {
        const struct option *o = option_find(&options_program, s->option);
        if (o != NULL && is_of_transients(o))
            continue;
        report(l, DIAGNOSTIC_ERROR, &(struct where){ .file = t->name, .option = s->option }, NULL,
               o != NULL ? "is a key of programs, and says nothing of a process that runs once"
                         : "there is no such key; see drover.conf(5)");
        ok = false;
    }
    return ok;
}

/* Keys that were not given have their defaults, as in a native file. */
static bool set_transient(struct loader *l, const struct config_transient *t, struct draft *d)
{
    bool ok = true;
    for (size_t i = 0; i < options_program.n; i++) {
        const struct option *o = &options_program.options[i];
        const char *text = o->flags & (OPTION_LOADING | OPTION_RAW) ? NULL : option_default(l, o);
        for (const struct config_override *s = t->settings; s != NULL && s->option != NULL; s++)
            if (strcmp(s->option, o->name) == 0)
                text = s->value;
        struct setting setting = { .l = l,
                                   .table = &options_program,
                                   .option = o,
                                   .base = d,
                                   .scope = &d->scope,
                                   .where = { .file = t->name, .option = o->name } };
        ok = (text == NULL || o->kind->set(&setting, text) == 0) && ok;
    }
    return ok;
}

static const char *const *keep_list(struct loader *l, const char *const *list)
{
    size_t n = 0;
    while (list != NULL && list[n] != NULL)
        n++;
    const char **copy = arena_new_array(l->keep, n + 1, const char *);
    for (size_t i = 0; copy != NULL && i < n; i++)
        copy[i] = keep_string(l, list[i]);
    return (const char *const *)copy;
}

void load_transient(struct loader *l, const struct config_transient *t)
{
    struct draft d = { .common = { .umask = -1 }, .scope = { .here = l->here, .host = l->world->host } };
    d.p.common = &d.common;
    if (!check_transient(l, t) || !set_transient(l, t, &d))
        return;
    if (d.gid_missing) {
        report(l, DIAGNOSTIC_ERROR, &(struct where){ .file = t->name, .option = "uid" }, NULL,
               "user %s is in no database, so its group is unknown; give gid too", d.common.uid_text);
        return;
    }
    finish_ladder(l, &d);
    finish_common(l, &d);
    d.p.name = d.p.section = keep_string(l, t->name);
    d.p.command = keep_string(l, t->command);
    d.p.environment = keep_list(l, t->environment);
    d.p.file_variables = file_variables(l, &d);
    struct program *program = arena_new(l->keep, struct program);
    struct program_group *group = arena_new(l->keep, struct program_group);
    if (program == NULL || group == NULL)
        return;
    *program = d.p;
    *group = (struct program_group){ .name = d.p.name, .programs = program, .n_programs = 1 };
    l->c->groups = group;
    l->c->n_groups = 1;
}
