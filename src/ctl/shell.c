/* shell.c - droverctl without a verb: a prompt, a history, completion.
 *
 * On a terminal libedit reads the line, where it is installed; anywhere else lines
 * are read as they are, with the prompt between the answers, as supervisorctl does it.  Ctrl-C
 * drops the line, or ends what a verb waits for; Ctrl-D leaves.  No error ends
 * the shell, and its exit status is always 0. */
#include <errno.h>
#include <string.h>
#include <termios.h>

#include "base/cleanup.h"
#include "ctl/ask.h"
#include "ctl/complete.h"
#include "ctl/edit.h"
#include "ctl/render.h"

#define SHELL_HISTORY 1000
#define SHELL_COLUMNS 79

struct shell {
    struct ctl *ctl;
    char *prompt;
    const struct edit_library *library;
    EditLine *edit;
    History *history;
    struct termios running; /* the terminal while a verb runs */
    struct termios editing; /* while a line is edited: Ctrl-C is a key, no signal */
    struct complete complete;
};

static struct shell *shell_of(EditLine *edit)
{
    struct shell *s = NULL;
    edit_library()->get(edit, EL_CLIENTDATA, &s);
    return s;
}

static char *shell_prompt(EditLine *edit)
{
    return shell_of(edit)->prompt;
}

/* Ctrl-C while a line is edited: a new line, with nothing on it. */
static unsigned char shell_drop(EditLine *edit, int key)
{
    (void)key;
    const struct edit_library *lib = edit_library();
    const LineInfo *line = lib->line(edit);
    lib->cursor(edit, (int)(line->lastchar - line->cursor));
    lib->deletestr(edit, (int)(line->lastchar - line->buffer));
    fputs("^C\n", stdout);
    fflush(stdout);
    return CC_REDISPLAY;
}

/* What all words have in common beyond the first `from` bytes. */
static size_t shell_common(const struct complete *c, size_t from)
{
    size_t n = strlen(c->words[0]);
    for (size_t i = 1; i < c->n; i++)
        for (size_t k = from; k < n; k++)
            if (c->words[i][k] != c->words[0][k])
                n = k;
    return n;
}

static unsigned char shell_complete(EditLine *edit, int key)
{
    (void)key;
    struct shell *s = shell_of(edit);
    const LineInfo *line = s->library->line(edit);
    size_t start = complete_find(&s->complete, s->ctl, line->buffer, (size_t)(line->cursor - line->buffer));
    size_t typed = (size_t)(line->cursor - line->buffer) - start;
    if (s->complete.n == 0)
        return CC_ERROR;
    size_t common = shell_common(&s->complete, typed);
    _cleanup_buf_ struct buf more = BUF_INIT(CTL_LINE_LIMIT);
    buf_add(&more, s->complete.words[0] + typed, common - typed);
    if (s->complete.n == 1)
        buf_putc(&more, ' ');
    if (more.error == 0 && more.len > 0)
        return s->library->insertstr(edit, more.data) == 0 ? CC_REFRESH : CC_ERROR;
    putc('\n', stdout);
    render_columns(stdout, (const char *const *)s->complete.words, s->complete.n, SHELL_COLUMNS);
    fflush(stdout);
    return CC_REDISPLAY;
}

static int shell_history_load(struct shell *s)
{
    HistEvent event;
    s->history = s->library->history_init();
    if (s->history == NULL)
        return -ENOMEM;
    s->library->history(s->history, &event, H_SETSIZE, SHELL_HISTORY);
    s->library->history(s->history, &event, H_SETUNIQUE, 1);
    if (s->ctl->endpoint.history != NULL)
        s->library->history(s->history, &event, H_LOAD, s->ctl->endpoint.history);
    return 0;
}

static void shell_history_save(struct shell *s)
{
    HistEvent event;
    if (s->ctl->endpoint.history != NULL &&
        s->library->history(s->history, &event, H_SAVE, s->ctl->endpoint.history) < 0)
        ctl_note(s->ctl, "%s: the history cannot be written", s->ctl->endpoint.history);
}

static int shell_open(struct shell *s)
{
    s->library = edit_library();
    if (s->library == NULL)
        return -ENOENT;
    int e = shell_history_load(s);
    if (e < 0)
        return e;
    if (tcgetattr(STDIN_FILENO, &s->running) < 0)
        return -errno;
    s->editing = s->running;
    s->editing.c_cc[VINTR] = _POSIX_VDISABLE;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &s->editing); /* before libedit looks: it keeps a table of such keys */
    s->edit = s->library->init("droverctl", stdin, stdout, stderr);
    if (s->edit == NULL)
        return -ENOMEM;
    s->library->set(s->edit, EL_CLIENTDATA, s);
    s->library->set(s->edit, EL_PROMPT, shell_prompt);
    s->library->set(s->edit, EL_EDITOR, "emacs");
    s->library->set(s->edit, EL_HIST, s->library->history, s->history);
    s->library->set(s->edit, EL_ADDFN, "drover-complete", "completes verbs and names", shell_complete);
    s->library->set(s->edit, EL_ADDFN, "drover-drop", "drops the line", shell_drop);
    s->library->set(s->edit, EL_BIND, "^I", "drover-complete", NULL);
    s->library->set(s->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    s->library->set(s->edit, EL_BIND, "^C", "drover-drop", NULL);
    s->library->source(s->edit, NULL);
    return 0;
}

static void shell_close(struct shell *s)
{
    if (s->edit != NULL) {
        s->library->end(s->edit);
        tcsetattr(STDIN_FILENO, TCSADRAIN, &s->running);
    }
    if (s->history != NULL)
        s->library->history_end(s->history);
    complete_done(&s->complete);
    free(s->prompt);
}

static void shell_run_line(struct shell *s, const char *line)
{
    ctl_drain_interrupt(s->ctl);
    complete_forget(&s->complete);
    ctl_run_line(s->ctl, line);
    ctl_drain_interrupt(s->ctl);
}

static void shell_edit(struct shell *s)
{
    while (!s->ctl->leave) {
        int n;
        HistEvent event;
        s->library->resize(s->edit);
        tcsetattr(STDIN_FILENO, TCSADRAIN, &s->editing);
        const char *line = s->library->read_line(s->edit, &n);
        tcsetattr(STDIN_FILENO, TCSADRAIN, &s->running);
        if (line == NULL || n <= 0) {
            putc('\n', stdout);
            break;
        }
        if (line[strspn(line, " \t\r\n")] != '\0')
            s->library->history(s->history, &event, H_ENTER, line);
        shell_run_line(s, line);
    }
    shell_history_save(s);
}

static void shell_read(struct shell *s)
{
    while (!s->ctl->leave) {
        _cleanup_free_ char *line = ctl_read_line(s->ctl, s->prompt);
        if (line == NULL) {
            putc('\n', stdout);
            break;
        }
        shell_run_line(s, line);
    }
}

int ctl_shell(struct ctl *c)
{
    struct shell s = { .ctl = c };
    if (asprintf(&s.prompt, "%s> ", c->endpoint.prompt) < 0)
        return CTL_GENERIC;
    setvbuf(stdin, NULL, _IONBF, 0); /* poll and fg must see what is not read yet */
    ctl_catch_interrupt(c);
    ctl_run_line(c, "status");
    if (isatty(STDIN_FILENO) && c->terminal && shell_open(&s) == 0)
        shell_edit(&s);
    else
        shell_read(&s);
    shell_close(&s);
    return CTL_OK;
}
