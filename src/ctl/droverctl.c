/* droverctl.c - the command line of droverctl.
 *
 * Options come before the verb, as with supervisorctl, whose messages and exit
 * code for wrong ones are kept.  With a verb it is done and its status is ours;
 * without one the shell starts. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "ctl/ctl.h"

struct options {
    const char *program;
    const char *config, *url, *username, *password, *history;
    bool interactive, json, quiet, no_wait, help, version;
    double wait;
};

enum { OPTION_JSON = 256, OPTION_QUIET, OPTION_WAIT, OPTION_NO_WAIT, OPTION_VERSION };

static const struct option long_options[] = {
    { "configuration", required_argument, NULL, 'c' }, { "serverurl", required_argument, NULL, 's' },
    { "username", required_argument, NULL, 'u' },      { "password", required_argument, NULL, 'p' },
    { "history_file", required_argument, NULL, 'r' },  { "history-file", required_argument, NULL, 'r' },
    { "interactive", no_argument, NULL, 'i' },         { "help", no_argument, NULL, 'h' },
    { "json", no_argument, NULL, OPTION_JSON },        { "quiet", no_argument, NULL, OPTION_QUIET },
    { "wait", optional_argument, NULL, OPTION_WAIT },  { "no-wait", no_argument, NULL, OPTION_NO_WAIT },
    { "version", no_argument, NULL, OPTION_VERSION },  { NULL, 0, NULL, 0 },
};

static const char help_text[] = "usage: droverctl [options] [verb [argument...]]\n"
                                "\n"
                                "Talks to a running droverd.  Without a verb it starts a shell.\n"
                                "\n"
                                "  -c, --configuration FILE  where the daemon's address is; else the usual places\n"
                                "  -s, --serverurl URL       unix:///path or http://host:port\n"
                                "  -u, --username NAME       for a daemon that asks for a password\n"
                                "  -p, --password PASSWORD\n"
                                "  -r, --history-file FILE   what was typed in the shell is kept here\n"
                                "  -i, --interactive         ask before shutdown and reload\n"
                                "  -h, --help                this text\n"
                                "      --version             the version of droverctl\n"
                                "\n"
                                "  with any verb, before or after it:\n"
                                "      --json                prints what the daemon answers, as JSON\n"
                                "      --quiet               prints nothing but errors\n"
                                "      --no-wait             does not wait for processes to start or stop\n"
                                "      --wait[=DURATION]     waits, but no longer than 10s, 2m, 1h\n"
                                "\n"
                                "droverctl help shows the verbs, droverctl help VERB one of them.\n";

__attribute__((format(printf, 2, 3))) static int options_wrong(const struct options *o, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fputs("Error: ", stderr);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fprintf(stderr, "\nFor help, use %s -h\n", o->program);
    return -EINVAL;
}

static int options_once(const struct options *o, const char **where, const char *option, const char *value)
{
    if (*where != NULL)
        return options_wrong(o, "conflicting command line option '%s'", option);
    *where = value;
    return 0;
}

/* One option; `word` is as it was typed. */
static int options_take(struct options *o, int option, const char *word)
{
    const char *shown = strncmp(word, "--", 2) == 0 ? word : (char[]){ '-', (char)option, '\0' };
    switch (option) {
    case 'c':
        return options_once(o, &o->config, shown, optarg);
    case 's':
        if (!endpoint_is_url(optarg))
            return options_wrong(o, "invalid value for %s '%s': value '%s' is not a URL", shown, optarg, optarg);
        return options_once(o, &o->url, shown, optarg);
    case 'u':
        return options_once(o, &o->username, shown, optarg);
    case 'p':
        return options_once(o, &o->password, shown, optarg);
    case 'r':
        return options_once(o, &o->history, shown, optarg);
    case 'i':
        o->interactive = true;
        return 0;
    case 'h':
        o->help = true;
        return 0;
    case OPTION_VERSION:
        o->version = true;
        return 0;
    case OPTION_JSON:
        o->json = true;
        return 0;
    case OPTION_QUIET:
        o->quiet = true;
        return 0;
    case OPTION_NO_WAIT:
        o->no_wait = true;
        return 0;
    case OPTION_WAIT:
        o->no_wait = false;
        o->wait = optarg != NULL ? ctl_duration(optarg) : 0;
        if (o->wait < 0)
            return options_wrong(o, "invalid value for --wait '%s': a duration such as 10s or 2m", optarg);
        return 0;
    case ':':
        return options_wrong(o,
                             strncmp(word, "--", 2) == 0 ? "option %s requires argument"
                                                         : "option -%.0s%c requires argument",
                             word, optopt);
    default:
        if (strncmp(word, "--", 2) == 0)
            return options_wrong(o, "option %.*s not recognized", (int)strcspn(word, "="), word);
        if (optopt == '?')
            return options_take(o, 'h', word);
        return options_wrong(o, "option -%c not recognized", optopt);
    }
}

/* The index of the first word that is no option, or -EINVAL. */
static int options_parse(struct options *o, int argc, char **argv)
{
    opterr = 0;
    for (;;) {
        const char *word = optind < argc ? argv[optind] : "";
        int option = getopt_long(argc, argv, "+:c:s:u:p:r:ih", long_options, NULL);
        if (option < 0)
            return optind;
        int e = options_take(o, option, word);
        if (e < 0)
            return e;
    }
}

static int endpoint_from_options(struct endpoint *e, const struct options *o)
{
    const struct {
        char **to;
        const char *value;
    } given[] = {
        { &e->url, o->url }, { &e->username, o->username }, { &e->password, o->password }, { &e->history, o->history }
    };
    for (size_t i = 0; i < ELEMENTS(given); i++)
        if (given[i].value != NULL && (*given[i].to = strdup(given[i].value)) == NULL)
            return -ENOMEM;
    _cleanup_free_ char *why = NULL;
    int r = endpoint_load(e, o->config, &why);
    if (r < 0)
        options_wrong(o, "%s", why != NULL ? why : strerror(-r));
    return r;
}

/* Descriptors that we were started with, before we open any of our own. */
static uint64_t given_descriptors(void)
{
    uint64_t given = 0;
    for (int fd = 3; fd < 64; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            given |= 1ULL << fd;
    return given;
}

static int run(struct ctl *c, const struct options *o, char **words)
{
    if (endpoint_from_options(&c->endpoint, o) < 0)
        return CTL_INVALID_ARGS;
    if (client_new(&c->endpoint, &c->client) < 0)
        return CTL_GENERIC;
    c->interactive = o->interactive || words[0] == NULL;
    c->terminal = isatty(STDOUT_FILENO);
    c->json = o->json;
    c->quiet = o->quiet;
    c->no_wait = o->no_wait;
    c->wait = o->wait;
    if (words[0] != NULL)
        ctl_run_argv(c, words);
    int status = words[0] != NULL ? c->exit_status : ctl_shell(c);
    if (fflush(stdout) != 0 && status == 0)
        status = CTL_GENERIC;
    return status;
}

int main(int argc, char **argv)
{
    struct options o = { .program = argc > 0 ? argv[0] : "droverctl" };
    int first = options_parse(&o, argc, argv);
    if (first < 0)
        return CTL_INVALID_ARGS;
    if (o.help || o.version) {
        fputs(o.help ? help_text : "droverctl " DROVER_VERSION "\n", stdout);
        return CTL_OK;
    }
    setlocale(LC_CTYPE, "");
    struct ctl c = { .interrupt_fd = -1 };
    if (argv[first] != NULL && strcmp(argv[first], "run") == 0)
        c.given_fds = given_descriptors();
    int status = run(&c, &o, argv + first);
    client_free(c.client);
    endpoint_done(&c.endpoint);
    cleanup_close(&c.interrupt_fd);
    return status;
}
