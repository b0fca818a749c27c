/* options.c - see options.h.  Every flag is a row: most are a key of the daemon's
 * section that wins over the file, and the loader checks their values. */
#include "daemon/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

enum { OPT_MINPROCS = 256, OPT_JSON, OPT_STRICT, OPT_HELP_CONFIG, OPT_CHECK_STATE, OPT_STRIP_ANSI };

static const struct flag {
    int letter;
    const char *name;
    int has_arg;
    const char *key;   /* of the configuration, or NULL */
    const char *value; /* of a flag without an argument */
    const char *arg, *help;
} flags[] = {
    { 'c', "configuration", required_argument, NULL, NULL, "FILE", "configuration file" },
    { 'n', "nodaemon", no_argument, "nodaemon", "true", NULL, "stay in the foreground" },
    { 's', "silent", no_argument, "silent", "true", NULL, "do not log to standard output" },
    { 't', "test", no_argument, NULL, NULL, NULL, "check the configuration, print it, start nothing" },
    { OPT_JSON, "json", no_argument, NULL, NULL, NULL, "with -t: print it as JSON" },
    { OPT_STRICT, "strict", no_argument, NULL, NULL, NULL, "with -t: warnings are errors" },
    { OPT_CHECK_STATE, "check-state", no_argument, NULL, NULL, NULL, "asked by a running droverd before an upgrade" },
    { OPT_HELP_CONFIG, "help-config", optional_argument, NULL, NULL, "[=KEY]", "explain the configuration's keys" },
    { 'u', "user", required_argument, "user", NULL, "USER", "run as this user" },
    { 'm', "umask", required_argument, "umask", NULL, "OCTAL", "umask of the daemon" },
    { 'd', "directory", required_argument, "directory", NULL, "DIR", "working directory" },
    { 'l', "logfile", required_argument, "logfile", NULL, "FILE", "the daemon's log" },
    { 'y', "logfile_maxbytes", required_argument, "logfile_maxbytes", NULL, "SIZE", "size at which it is rotated" },
    { 'z', "logfile_backups", required_argument, "logfile_backups", NULL, "N", "rotated logs that are kept" },
    { 'e', "loglevel", required_argument, "loglevel", NULL, "LEVEL", "critical, error, warn, info, debug, trace" },
    { 'j', "pidfile", required_argument, "pidfile", NULL, "FILE", "where the pid is written" },
    { 'i', "identifier", required_argument, "identifier", NULL, "NAME", "name of this daemon" },
    { 'q', "childlogdir", required_argument, "childlogdir", NULL, "DIR", "where AUTO logs go" },
    { 'k', "nocleanup", no_argument, "nocleanup", "true", NULL, "keep old AUTO logs at the start" },
    { OPT_STRIP_ANSI, "strip_ansi", no_argument, "strip_ansi", "true", NULL, "log without colours and their like" },
    { 'a', "minfds", required_argument, "minfds", NULL, "N", "descriptors that the daemon needs" },
    { OPT_MINPROCS, "minprocs", required_argument, "minprocs", NULL, "N", "processes that its user may have" },
    { 'v', "version", no_argument, NULL, NULL, NULL, "print the version" },
    { 'h', "help", no_argument, NULL, NULL, NULL, "print this" },
};

void options_usage(void)
{
    printf("usage: droverd [options]\n\nstarts the programs of a configuration file and keeps them running\n\n");
    for (size_t i = 0; i < ELEMENTS(flags); i++) {
        char letter[8] = "   ", name[48];
        if (flags[i].letter < 256)
            snprintf(letter, sizeof(letter), "-%c,", flags[i].letter);
        const char *arg = flags[i].arg != NULL ? flags[i].arg : "";
        snprintf(name, sizeof(name), "--%s%s%s", flags[i].name, *arg == '\0' || *arg == '[' ? "" : " ", arg);
        printf("  %s %-28s %s\n", letter, name, flags[i].help);
    }
    printf("\nsee droverd(8), drover.conf(5)\n");
}

static const struct flag *find_flag(int letter)
{
    for (size_t i = 0; i < ELEMENTS(flags); i++)
        if (flags[i].letter == letter)
            return &flags[i];
    return NULL;
}

static void make_getopt(struct option *longs, char *shorts)
{
    for (size_t i = 0; i < ELEMENTS(flags); i++) {
        longs[i] = (struct option){ flags[i].name, flags[i].has_arg, NULL, flags[i].letter };
        if (flags[i].letter >= 256)
            continue;
        *shorts++ = (char)flags[i].letter;
        if (flags[i].has_arg == required_argument)
            *shorts++ = ':';
    }
    longs[ELEMENTS(flags)] = (struct option){ 0 };
    *shorts = '\0';
}

static void take(struct options *o, const struct flag *f, const char *arg)
{
    switch (f->letter) {
    case 'c':
        o->config = arg;
        return;
    case 't':
        o->mode = MODE_CHECK;
        return;
    case OPT_JSON:
        o->json = true;
        return;
    case OPT_STRICT:
        o->strict = true;
        return;
    case OPT_CHECK_STATE:
        o->mode = MODE_CHECK_STATE;
        return;
    case OPT_HELP_CONFIG:
        o->mode = MODE_HELP_CONFIG;
        o->help_key = arg;
        return;
    case 'v':
        o->mode = MODE_VERSION;
        return;
    case 'h':
        o->mode = MODE_HELP;
        return;
    default:
        break;
    }
    unsigned i = 0; /* a flag given twice: the last one counts */
    while (i < o->n_overrides && strcmp(o->overrides[i].option, f->key) != 0)
        i++;
    if (i == o->n_overrides)
        o->n_overrides++;
    o->overrides[i] = (struct config_override){ f->key, f->value != NULL ? f->value : arg, f->name };
}

/* What getopt cannot know is wrong: nothing that is asked for is passed over in silence. */
static int refuse(const struct options *o, const char *word)
{
    if (word != NULL)
        fprintf(stderr, "droverd: %s: positional arguments are not supported; see droverd -h\n", word);
    else if (o->mode == MODE_RUN && (o->json || o->strict))
        fprintf(stderr, "droverd: %s only goes with -t\n", o->json ? "--json" : "--strict");
    else
        return 0;
    return -EINVAL;
}

int options_parse(struct options *o, int argc, char **argv)
{
    struct option longs[ELEMENTS(flags) + 1];
    char shorts[2 * ELEMENTS(flags) + 1];
    make_getopt(longs, shorts);
    *o = (struct options){ .mode = MODE_RUN };
    int letter;
    while ((letter = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        const struct flag *f = find_flag(letter);
        if (f == NULL) { /* getopt has said what is wrong */
            fputs("droverd: droverd -h lists the options\n", stderr);
            return -EINVAL;
        }
        take(o, f, optarg);
    }
    if (o->mode == MODE_HELP_CONFIG && o->help_key == NULL && optind < argc)
        o->help_key = argv[optind++];
    return refuse(o, optind < argc ? argv[optind] : NULL);
}
