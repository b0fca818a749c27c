/* load_daemon.c - [supervisord] or [droverd], [rpcinterface:x], and the client's part. */
#include <string.h>

#include "base/cleanup.h"
#include "config/load.h"

static void take_environment(struct loader *l, struct daemon_draft *draft)
{
    for (const struct pair *p = draft->pairs; p != NULL; p = p->next)
        if (set_environ(l, p->name, p->value) < 0)
            l->scratch.failed = true;
    draft->d.environment = keep_environment(l, NULL, draft->pairs);
}

void load_daemon(struct loader *l, const struct ini_section *section, const struct config_override *overrides)
{
    struct scope scope = { .here = l->here };
    struct daemon_draft draft = { .d = { .childlogdir = keep_string(l, l->world->tmpdir) } };
    l->n_given = 0;
    set_options(l, section, &options_daemon, &draft, &scope, 0, 0);
    for (; overrides != NULL && overrides->option != NULL; overrides++)
        set_override(l, &options_daemon, overrides, &draft);
    take_environment(l, &draft);
    draft.d.given = keep_given(l, &draft.d.n_given);
    l->c->daemon = draft.d;
}

/* Last of all, as in supervisord: a missing user is told after bad programs. */
void load_daemon_user(struct loader *l, const struct ini_section *section)
{
    struct config_daemon *d = &l->c->daemon;
    struct config_user user;
    struct where w = {
        .section = section,
        .option = "user",
        .key = section != NULL ? ini_key(&l->ini, section, "user") : NULL,
    };
    if (d->user == NULL)
        return;
    if (l->world->user(l->world->ctx, d->user, &user) < 0) {
        bool number = d->user[0] != '\0' && d->user[strspn(d->user, "0123456789")] == '\0';
        report(l, DIAGNOSTIC_ERROR, &w, scratchf(l, "Invalid user %s %s", number ? "id" : "name", d->user),
               "there is no user \"%s\" on this system; create it, or name another", d->user);
        return;
    }
    d->uid = user.uid;
    d->gid = user.gid;
}

/* --- plug-ins --------------------------------------------------------------- */

/* What supervisord itself brings along, and Drover has built in. */
static const char *const built_in[] = {
    "supervisor.rpcinterface:make_main_rpcinterface",
    "supervisor.dispatchers:default_handler",
    "supervisor.supervisorctl:DefaultControllerPlugin",
};

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static const char *skip_blanks(const char *s)
{
    return s + strspn(s, " \t\n\r\v\f");
}

/* A run of words and dots. */
static size_t dotted(const char *s)
{
    size_t n = 0;
    while (is_word(s[n]) || s[n] == '.')
        n++;
    return n;
}

static bool is_module(const char *s, size_t len)
{
    bool word = false;
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '.' && !word)
            return false;
        word = s[i] != '.';
    }
    return word;
}

static void assume_plugin(struct loader *l, const char *spec)
{
    for (size_t i = 0; i < l->n_plugins; i++)
        if (strcmp(l->plugins[i], spec) == 0)
            return;
    const char **bigger = l->n_plugins < 256 ? arena_new_array(l->keep, l->n_plugins + 1, const char *) : NULL;
    if (bigger == NULL)
        return;
    if (l->n_plugins > 0)
        memcpy(bigger, l->plugins, l->n_plugins * sizeof *bigger);
    bigger[l->n_plugins++] = keep_string(l, spec);
    l->plugins = bigger;
}

/* module[:function][ [extras]] */
bool check_plugin(struct loader *l, const struct where *w, const char *spec)
{
    const char *equals = strrchr(spec, '='), *newline = strchr(spec, '\n');
    if (newline != NULL && newline < equals)
        equals = NULL;
    const char *module = skip_blanks(equals != NULL ? equals + 1 : spec);
    size_t module_len = dotted(module), name_len = 0;
    const char *p = skip_blanks(module + module_len), *name = p;
    if (*p == ':') {
        name = skip_blanks(p + 1);
        name_len = dotted(name);
        p = name_len > 0 ? skip_blanks(name + name_len) : p;
    }
    if (*p == '[' && p[strlen(p) - 1] == ']')
        p = "";
    const char *compat = NULL;
    if (module_len == 0 || *p != '\0')
        compat = scratchf(l, "(\"EntryPoint must be in 'name=module:attrs [extras]' format\", %s)",
                          python_repr(l, scratchf(l, "x=%s", spec)));
    else if (!is_module(module, module_len))
        compat =
            scratchf(l, "('Invalid module name', %s)", python_repr(l, arena_copy(&l->scratch, module, module_len)));
    if (compat != NULL) {
        report(l, DIAGNOSTIC_ERROR, w, compat, "\"%s\" is no name of Python code; write package.module:function", spec);
        return false;
    }
    const char *full = scratchf(l, "%.*s:%.*s", (int)module_len, module, (int)name_len, name);
    for (size_t i = 0; i < ELEMENTS(built_in); i++)
        if (strcmp(full, built_in[i]) == 0)
            return true;
    assume_plugin(l, spec);
    report(l, DIAGNOSTIC_WARNING, w, NULL, "the Python code \"%s\" is not run; what it does is missing here", spec);
    return true;
}

static bool add_setting(struct loader *l, const struct ini_section *section, const struct ini_key *key,
                        struct config_plugin *plugin, struct config_pair *settings)
{
    struct scope scope = { 0 };
    struct where w = { .section = section, .key = key, .option = key->name };
    const char *value = expand(l, &scope, key->value, scratchf(l, "%s.%s", section->name, key->name), &w);
    if (value == NULL)
        return false;
    settings[plugin->n_settings++] = (struct config_pair){ keep_string(l, key->name), keep_string(l, value) };
    return true;
}

static void load_settings(struct loader *l, const struct ini_section *section, const char *factory,
                          struct config_plugin *plugin)
{
    const struct ini_key *defaults = l->ini.defaults != NULL ? l->ini.defaults->keys : NULL;
    size_t n = 0;
    for (const struct ini_key *k = section->keys; k != NULL; k = k->next)
        n++;
    for (const struct ini_key *k = defaults; k != NULL; k = k->next)
        n++;
    struct config_pair *settings = arena_new_array(l->keep, n, struct config_pair);
    if (settings == NULL)
        return;
    for (const struct ini_key *k = section->keys; k != NULL; k = k->next)
        if (strcmp(k->name, factory) != 0)
            add_setting(l, section, k, plugin, settings);
    for (const struct ini_key *k = defaults; k != NULL; k = k->next)
        if (ini_own_key(&l->ini, section, k->name) == NULL && strcmp(k->name, factory) != 0)
            add_setting(l, section, k, plugin, settings);
    plugin->settings = settings;
}

static void load_plugin(struct loader *l, const struct ini_section *section, const char *factory,
                        struct config_plugin *plugin)
{
    struct scope scope = { 0 };
    const struct ini_key *key = ini_key(&l->ini, section, factory);
    struct where w = { .section = section, .key = key, .option = factory };
    if (key == NULL) {
        report(l, DIAGNOSTIC_ERROR, &w, scratchf(l, "section [%s] does not specify a %s", section->name, factory),
               "is missing; name the plug-in's code");
        return;
    }
    const char *spec = expand(l, &scope, key->value, scratchf(l, "%s.%s", section->name, factory), &w);
    if (spec == NULL || !check_plugin(l, &w, spec))
        return;
    plugin->name = keep_string(l, strchr(section->name, ':') + 1);
    plugin->factory = keep_string(l, spec);
    load_settings(l, section, factory, plugin);
}

void load_plugins(struct loader *l, const struct option_table *t, struct config_plugin **list, size_t *n)
{
    size_t len = strlen(t->section), count = 0;
    for (const struct ini_section *s = l->ini.sections; s != NULL; s = s->next)
        count += strncmp(s->name, t->section, len) == 0;
    struct config_plugin *plugins = arena_new_array(l->keep, count, struct config_plugin);
    if (plugins == NULL)
        return;
    *list = plugins;
    for (const struct ini_section *s = l->ini.sections; s != NULL; s = s->next)
        if (strncmp(s->name, t->section, len) == 0)
            load_plugin(l, s, t->options[0].name, &plugins[(*n)++]);
}

/* --- [supervisorctl] --------------------------------------------------------- */

/* Servers are only a help to find the daemon: one that the daemon would refuse is
 * none, and no reason for the client to give up. */
static void load_reachable(struct loader *l)
{
    struct diagnostics ignored = { 0 }, *told = l->d;
    size_t n = 0;
    l->d = &ignored;
    load_servers(l);
    l->d = told;
    diagnostics_clear(&ignored);
    for (size_t i = 0; i < l->c->n_servers; i++)
        if (l->c->servers[i].file != NULL || l->c->servers[i].host != NULL)
            l->c->servers[n++] = l->c->servers[i];
    l->c->n_servers = n;
}

void load_client(struct loader *l)
{
    const struct ini_section *section = ini_section(&l->ini, "supervisorctl");
    struct scope scope = { .here = l->here };
    l->c->client.present = section != NULL;
    set_options(l, section, &options_client, &l->c->client, &scope, 0, 0);
    if (section != NULL)
        load_plugins(l, &options_ctlplugin, &l->c->ctlplugins, &l->c->n_ctlplugins);
    load_reachable(l);
}
