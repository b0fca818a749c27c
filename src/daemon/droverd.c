/* droverd.c - main: what is asked for, and whether the configuration allows it. */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "config/config_load.h"
#include "config/option.h"
#include "config/print.h"
#include "daemon/daemon.h"
#include "daemon/loads.h"
#include "daemon/options.h"
#include "guardian/guardian.h"
#include "guardian/upgrade.h"
#include "os/world.h"
#include "supervisor/channel_keep.h"
#include "supervisor/kept.h"
#include "wire/config_json.h"

/* Buffers from this size on are mapped, and unmapped when they are freed; left to
 * itself malloc would learn to keep what clients have once made us hold. */
#define LARGE_BUFFER (128 * 1024)

static void print_diagnostics(const struct diagnostics *d, bool infos)
{
    static const char *const words[] = { "error", "warning", "info" };
    for (size_t i = 0; i < d->n; i++)
        if (infos || d->list[i].level != DIAGNOSTIC_INFO)
            fprintf(stderr, "droverd: %s: %s\n", words[d->list[i].level], d->list[i].text);
    if (d->dropped > 0)
        fprintf(stderr, "droverd: %zu more are not shown\n", d->dropped);
}

static void print_config(const struct config *config, bool as_json)
{
    if (!as_json) {
        config_print(stdout, config);
        return;
    }
    _cleanup_buf_ struct buf b = BUF_INIT(256U << 20);
    if (config_json(&b, config) == 0)
        printf("%s\n", b.data);
}

static int find_file(const struct options *o, char **ret)
{
    struct world world;
    const char *path = o->config;
    int r = world_open(&world);
    if (r == 0 && path == NULL)
        r = config_find_default(&world.config_world, &path);
    if (r == 0)
        *ret = strdup(path);
    else
        fprintf(stderr, "droverd: no configuration file was found; name one with -c (looked for: drover.conf, "
                        "/etc/drover/drover.conf, supervisord.conf, etc/supervisord.conf, /etc/supervisord.conf, "
                        "/etc/supervisor/supervisord.conf)\n");
    world_close(&world);
    return r;
}

static int check(const struct options *o)
{
    _cleanup_free_ char *path = NULL;
    _cleanup_(diagnostics_clear) struct diagnostics d = { 0 };
    struct config *config = NULL;
    if (find_file(o, &path) < 0)
        return 2;
    int r = daemon_load(o, path, &config, &d);
    if (r == 0)
        print_config(config, o->json);
    fflush(stdout); /* on a terminal the last lines are those that matter */
    print_diagnostics(&d, true);
    config_unref(config);
    if (r < 0) {
        fprintf(stderr, "droverd: %s: %zu error%s\n", path, d.n_errors, d.n_errors == 1 ? "" : "s");
        return 2;
    }
    if (o->strict && d.n_warnings > 0) {
        fprintf(stderr, "droverd: %s: %zu warning%s, and --strict\n", path, d.n_warnings, d.n_warnings == 1 ? "" : "s");
        return 2;
    }
    fprintf(stderr, "droverd: %s: the configuration is good", path);
    if (d.n_warnings > 0)
        fprintf(stderr, ", with %zu warning%s", d.n_warnings, d.n_warnings == 1 ? "" : "s");
    fputs("\n", stderr);
    return EXIT_SUCCESS;
}

/* A process whose channel could not be gone on with would be told that we are gone. */
static bool channels_fit(const struct roll *r)
{
    uint32_t at = 0;
    for (int memory; (memory = kept_look(r, &at)) >= 0;)
        if (!channel_keep_fits(memory))
            return false;
    return true;
}

/* Whether this program can go on where the one that asks leaves off: reads its state,
 * and what its groups run by as it will be handed over, whatever the files are now. */
static int check_state(const struct options *o)
{
    struct loads *loads = NULL;
    struct holder h = { .fd = -1 };
    enum upgrade_answer answer = upgrade_check(DROVER_VERSION, &h.roll);
    if (answer != UPGRADE_FITS)
        return (int)answer;
    if (!channels_fit(h.roll))
        return UPGRADE_UNREADABLE;
    int r = loads_take(&h, o, &loads);
    loads_free(loads);
    if (r < 0)
        fprintf(stderr, "droverd: %s cannot use what another has loaded: %s\n", DROVER_VERSION, strerror(-r));
    return r < 0 ? 2 : EXIT_SUCCESS;
}

/* By the files, said to whoever starts us. */
static int load_files(struct holder *h, const struct options *o, struct loads **loads, struct config **ret)
{
    _cleanup_free_ char *path = NULL;
    _cleanup_(diagnostics_clear) struct diagnostics d = { 0 };
    if (find_file(o, &path) < 0)
        return -ENOENT;
    int r = loads_new(h, path, loads);
    if (r == 0)
        r = loads_load(*loads, o, ret, &d);
    if (r < 0 || !h->background)
        print_diagnostics(&d, false);
    if (r < 0)
        fprintf(stderr, "droverd: %s: cannot be loaded; nothing was started\n", path);
    return r;
}

/* As it was when the supervisor before us ended, whatever the files are like now. */
static int load(struct holder *h, const struct options *o, struct loads **loads, struct config **ret)
{
    int r = loads_take(h, o, loads);
    if (r < 0)
        fprintf(stderr, "droverd: what the supervisor before had loaded cannot be used (%s); the files are read anew\n",
                strerror(-r));
    if (r < 0 || *loads == NULL)
        return load_files(h, o, loads, ret);
    *ret = config_ref(loads_daemon(*loads));
    return 0;
}

/* The supervisor process.  That it is to be in the background is known only now:
 * then the guardian goes there first, and this is done again. */
static int run(struct holder *h, void *arg)
{
    const struct options *o = arg;
    struct loads *loads = NULL;
    struct config *config = NULL;
    int status = 2;
    if (load(h, o, &loads, &config) == 0) {
        status = EXIT_SUCCESS;
        bool stays = config->daemon.nodaemon || h->background;
        if (!stays && h->guardian == 1)
            fputs("droverd: warning: process 1 goes to the background, which ends its container; use -n, or set "
                  "nodaemon = true\n",
                  stderr);
        if (stays)
            status = daemon_run(h, o, loads, config);
        else if (holder_background(h) < 0)
            status = EXIT_FAILURE;
    }
    config_unref(config);
    loads_free(loads);
    return status;
}

static void no_such_key(const char *key)
{
    static const char *const sections[] = { "program:",       "droverd",       "unix_http_server",
                                            "eventlistener:", "fcgi-program:", "supervisorctl" };
    const char *nearest = NULL;
    for (size_t i = 0; i < ELEMENTS(sections) && nearest == NULL; i++)
        nearest = option_nearest_key(sections[i], key);
    fprintf(stderr, "droverd: %s: no such key; %s%s\n", key, nearest != NULL ? "did you mean " : "",
            nearest != NULL ? nearest : "droverd --help-config lists them all");
}

int main(int argc, char **argv)
{
    struct options o;
    mallopt(M_MMAP_THRESHOLD, LARGE_BUFFER);
    if (options_parse(&o, argc, argv) < 0)
        return 2;
    switch (o.mode) {
    case MODE_VERSION:
        puts(DROVER_VERSION);
        return EXIT_SUCCESS;
    case MODE_HELP:
        options_usage();
        return EXIT_SUCCESS;
    case MODE_HELP_CONFIG:
        if (config_help(stdout, o.help_key) == 0)
            return EXIT_SUCCESS;
        no_such_key(o.help_key);
        return 2;
    case MODE_CHECK:
        return check(&o);
    case MODE_CHECK_STATE:
        return check_state(&o);
    case MODE_RUN:
        break;
    }
    return guardian_run(argv, run, &o);
}
