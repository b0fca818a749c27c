/* option.c - finding rows and tables by name, and what was probably meant. */
#include "config/option.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/strtab.h"

const struct option_table *const option_tables[] = {
    &options_daemon,        &options_unix_server,  &options_inet_server, &options_client,
    &options_include,       &options_program,      &options_group,       &options_fcgi,
    &options_eventlistener, &options_rpcinterface, &options_ctlplugin,   NULL,
};

const struct option *option_find(const struct option_table *t, const char *name)
{
    for (size_t i = 0; i < t->n; i++)
        if (t->options[i].name[0] == name[0] && strcmp(t->options[i].name, name) == 0)
            return &t->options[i];
    return NULL;
}

static bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool has_section(const struct option_table *t, const char *section)
{
    size_t len = strlen(t->section);
    if (t == &options_daemon && strcmp(section, "droverd") == 0)
        return true;
    /* servers may have a name: any section that begins so is one, for supervisord */
    if (t->section[len - 1] == ':' || t == &options_unix_server || t == &options_inet_server)
        return starts_with(section, t->section);
    return strcmp(section, t->section) == 0;
}

size_t option_tables_of(const char *section, const struct option_table *ret[2])
{
    for (size_t i = 0; option_tables[i] != NULL; i++) {
        if (!has_section(option_tables[i], section))
            continue;
        ret[0] = option_tables[i];
        ret[1] = &options_program;
        return ret[0] == &options_eventlistener || ret[0] == &options_fcgi ? 2 : 1;
    }
    return 0;
}

const char *option_nearest_section(const char *section)
{
    static const char *const names[] = {
        "droverd", "supervisord",   "unix_http_server", "inet_http_server", "supervisorctl", "include", "program",
        "group",   "eventlistener", "fcgi-program",     "rpcinterface",     "ctlplugin",     NULL,
    };
    char word[32];
    size_t len = strcspn(section, ": ");
    if (len >= sizeof word)
        return NULL;
    memcpy(word, section, len);
    word[len] = '\0';
    return strtab_nearest(names, word);
}

const char *option_nearest_key(const char *section, const char *key)
{
    const struct option_table *tables[2];
    const char *names[96];
    size_t n = 0, n_tables = option_tables_of(section, tables);
    for (size_t t = 0; t < n_tables; t++)
        for (size_t i = 0; i < tables[t]->n && n < ELEMENTS(names) - 1; i++)
            names[n++] = tables[t]->options[i].name;
    names[n] = NULL;
    return strtab_nearest(names, key);
}
