/* command.c - the table of verbs, and what becomes of a line.
 *
 * A line is cut as supervisorctl cuts it: the verb is its leading letters,
 * digits and underscores, the rest is words at white space, without quotes.
 * --json, --quiet, --wait and --no-wait may stand anywhere and hold for one line. */
#include "ctl/command.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/argv.h"
#include "base/cleanup.h"
#include "ctl/ctl.h"
#include "ctl/hint.h"

static const struct ctl_command *const commands[] = {
    &ctl_cmd_add,      &ctl_cmd_avail,   &ctl_cmd_clear,   &ctl_cmd_disconnect, &ctl_cmd_events,   &ctl_cmd_exit,
    &ctl_cmd_fg,       &ctl_cmd_help,    &ctl_cmd_ipc,     &ctl_cmd_logs,       &ctl_cmd_maintail, &ctl_cmd_messages,
    &ctl_cmd_open,     &ctl_cmd_pid,     &ctl_cmd_quit,    &ctl_cmd_reload,     &ctl_cmd_remove,   &ctl_cmd_reopen,
    &ctl_cmd_reread,   &ctl_cmd_restart, &ctl_cmd_run,     &ctl_cmd_runs,       &ctl_cmd_send,     &ctl_cmd_show,
    &ctl_cmd_shutdown, &ctl_cmd_signal,  &ctl_cmd_start,   &ctl_cmd_status,     &ctl_cmd_stop,     &ctl_cmd_tail,
    &ctl_cmd_update,   &ctl_cmd_upgrade, &ctl_cmd_version, &ctl_cmd_why,        &ctl_cmd_write,
};

const struct ctl_command *const *ctl_commands(size_t *n)
{
    *n = ELEMENTS(commands);
    return commands;
}

const struct ctl_command *ctl_command_find(const char *name, size_t len)
{
    for (size_t i = 0; i < ELEMENTS(commands); i++)
        if (strncmp(commands[i]->name, name, len) == 0 && commands[i]->name[len] == '\0')
            return commands[i];
    return NULL;
}

void ctl_command_help(struct ctl *ctl, const struct ctl_command *command)
{
    (void)ctl;
    printf("%s%s%s\n    %s\n", command->name, *command->args != '\0' ? " " : "", command->args, command->summary);
    if (command->help != NULL)
        printf("%s", command->help);
}

/* Takes the words that are options of all verbs out of the list. */
static bool command_option(struct ctl *c, const char *word)
{
    if (strcmp(word, "--json") == 0) {
        c->json = true;
    } else if (strcmp(word, "--quiet") == 0) {
        c->quiet = true;
    } else if (strcmp(word, "--no-wait") == 0) {
        c->no_wait = true;
    } else if (strcmp(word, "--wait") == 0) {
        c->no_wait = false;
        c->wait = 0;
    } else if (strncmp(word, "--wait=", 7) == 0 && ctl_duration(word + 7) > 0) {
        c->no_wait = false;
        c->wait = ctl_duration(word + 7);
    } else {
        return false;
    }
    return true;
}

/* Splits `text` in place.  The list has room for every second character of it. */
static size_t command_split(struct ctl *c, char *text, char **list)
{
    size_t n = 0;
    char *rest = text, *word;
    while ((word = strsep(&rest, " \t\r\n\v\f")) != NULL)
        if (*word != '\0' && !command_option(c, word))
            list[n++] = word;
    return n;
}

static char *command_join(char *const *list, size_t n)
{
    struct buf b = BUF_INIT(CTL_LINE_LIMIT);
    for (size_t i = 0; i < n; i++)
        buf_printf(&b, "%s%s", i > 0 ? " " : "", list[i]);
    return buf_steal(&b);
}

/* A mistyped option is no name: what is meant to hold for the others must not be done without it. */
static const char *command_unknown_option(const struct ctl_words *words)
{
    for (size_t i = 0; i < words->n; i++)
        if (strncmp(words->list[i], "--", 2) == 0)
            return words->list[i];
    return NULL;
}

static void command_dispatch(struct ctl *c, const struct ctl_command *command, char *text)
{
    _cleanup_free_ char **list = calloc(strlen(text) / 2 + 2, sizeof(*list));
    size_t n = list != NULL ? command_split(c, text, list) : 0;
    _cleanup_free_ char *joined = list != NULL ? command_join(list, n) : NULL;
    if (joined == NULL)
        return;
    struct ctl_words words = { .text = joined, .list = list, .n = n };
    c->command = command;
    const char *option = command->flags & CTL_OPTIONS ? NULL : command_unknown_option(&words);
    if ((command->flags & CTL_NO_ARGS) && n > 0)
        ctl_usage(c, CTL_GENERIC, "Error: %s accepts no arguments", command->name);
    else if (option != NULL)
        ctl_usage(c, CTL_INVALID_ARGS, "Error: bad argument %s", option);
    else if (!(command->flags & CTL_UPCHECK) || ctl_upcheck(c))
        command->fn(c, &words);
}

static void command_dispatch_argv(struct ctl *c, const struct ctl_command *command, char **argv)
{
    struct ctl_words words = { .text = "", .list = argv };
    while (argv[words.n] != NULL)
        words.n++;
    c->command = command;
    if (!(command->flags & CTL_UPCHECK) || ctl_upcheck(c))
        command->fn(c, &words);
}

/* In the shell such a verb is given words by the quotes that it knows. */
static void command_split_quoted(struct ctl *c, const struct ctl_command *command, const char *text)
{
    _cleanup_free_ char **argv = NULL;
    size_t n;
    const char *why = "out of memory";
    int r = argv_split(text, &argv, &n, &why);
    if (r == 0) {
        command_dispatch_argv(c, command, argv);
        return;
    }
    ctl_fail(c, "Error: %s", why);
    ctl_status(c, CTL_GENERIC);
}

/* "?" and what follows is `help`. */
static char *command_prepare(const char *line)
{
    line += strspn(line, " \t\r\n\v\f");
    size_t len = strlen(line);
    while (len > 0 && strchr(" \t\r\n\v\f", line[len - 1]) != NULL)
        len--;
    struct buf b = BUF_INIT(CTL_LINE_LIMIT);
    if (*line == '?') {
        buf_puts(&b, "help ");
        line++;
        len--;
    }
    buf_add(&b, line, len);
    char *s = buf_steal(&b);
    if (s == NULL)
        buf_done(&b);
    return s;
}

/* What a verb changes of the options holds for that verb. */
static void command_run(struct ctl *c, const struct ctl_command *command, char *text, char **argv)
{
    bool json = c->json, quiet = c->quiet, no_wait = c->no_wait;
    double wait = c->wait;
    c->hinted = false;
    if (argv != NULL)
        command_dispatch_argv(c, command, argv);
    else if (text != NULL && (command->flags & CTL_ARGV))
        command_split_quoted(c, command, text);
    else if (text != NULL)
        command_dispatch(c, command, text);
    c->json = json;
    c->quiet = quiet;
    c->no_wait = no_wait;
    c->wait = wait;
    json_decref(c->results);
    c->results = NULL;
    fflush(stdout);
}

void ctl_run_argv(struct ctl *c, char **words)
{
    const struct ctl_command *command = ctl_command_find(words[0], strlen(words[0]));
    if (command != NULL && (command->flags & CTL_ARGV)) {
        command_run(c, command, NULL, words + 1);
        return;
    }
    _cleanup_buf_ struct buf line = BUF_INIT(CTL_LINE_LIMIT);
    for (size_t i = 0; words[i] != NULL; i++)
        buf_printf(&line, "%s%s", i > 0 ? " " : "", words[i]);
    if (line.error == 0) {
        ctl_run_line(c, line.data);
        return;
    }
    ctl_note(c, "the command line is too long");
    ctl_status(c, CTL_GENERIC);
}

void ctl_run_line(struct ctl *c, const char *line)
{
    _cleanup_free_ char *text = command_prepare(line);
    if (text == NULL || *text == '\0')
        return;
    size_t verb = 0;
    while (isalnum((unsigned char)text[verb]) || text[verb] == '_')
        verb++;
    const struct ctl_command *command = verb > 0 ? ctl_command_find(text, verb) : NULL;
    if (command == NULL) {
        ctl_fail(c, "*** Unknown syntax: %s", text);
        text[verb] = '\0';
        hint_verb(c, text);
        ctl_status(c, CTL_GENERIC);
        return;
    }
    command_run(c, command, text + verb, NULL);
}
