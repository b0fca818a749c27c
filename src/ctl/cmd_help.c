/* cmd_help.c - `help`, and the two ways out of the shell. */
#include <string.h>

#include "base/cleanup.h"
#include "ctl/ctl.h"
#include "ctl/render.h"

static void help_run(struct ctl *c, const struct ctl_words *words);
static void quit_run(struct ctl *c, const struct ctl_words *words);

const struct ctl_command ctl_cmd_help = {
    .name = "help",
    .args = "[VERB]",
    .summary = "shows the verbs, or what one of them does",
    .flags = CTL_VERBS,
    .fn = help_run,
};

const struct ctl_command ctl_cmd_quit = {
    .name = "quit",
    .args = "",
    .summary = "leaves the shell",
    .fn = quit_run,
};

const struct ctl_command ctl_cmd_exit = {
    .name = "exit",
    .args = "",
    .summary = "leaves the shell",
    .fn = quit_run,
};

#define HELP_WIDTH 79

static void help_list(void)
{
    static const char title[] = "default commands (type help <topic>):";
    size_t n, shown = 0;
    const struct ctl_command *const *all = ctl_commands(&n);
    const char *names[64];
    for (size_t i = 0; i < n && shown < ELEMENTS(names); i++)
        if (all[i] != &ctl_cmd_help)
            names[shown++] = all[i]->name;
    printf("\n%s\n", title);
    for (size_t i = 0; i < sizeof(title) - 1; i++)
        putchar('=');
    putchar('\n');
    render_columns(stdout, names, shown, HELP_WIDTH);
    putchar('\n');
}

static void help_run(struct ctl *c, const struct ctl_words *words)
{
    const struct ctl_command *command = ctl_command_find(words->text, strlen(words->text));
    if (words->n == 0)
        help_list();
    else if (command != NULL)
        ctl_command_help(c, command);
    else
        ctl_fail(c, "*** No help on %s", words->text);
}

static void quit_run(struct ctl *c, const struct ctl_words *words)
{
    (void)words;
    ctl_say(c, "%s", "");
    c->leave = true;
}
