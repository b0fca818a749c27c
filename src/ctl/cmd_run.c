/* cmd_run.c - `run`: a process under the daemon, as if it were started here.
 *
 * Its options become the members of a request, its words the command.  What is
 * said of the end goes to standard error, since standard output is the process's. */
#include "ctl/run_job.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "ctl/ask.h"
#include "wire/jsonw.h"

static void run_run(struct ctl *c, const struct ctl_words *words);

const struct ctl_command ctl_cmd_run = {
    .name = "run",
    .args = "[options] -- COMMAND [ARGUMENT...]",
    .summary = "runs a process under the daemon, once, with its output here",
    .help = "    --shell             the words are one line for /bin/sh\n"
            "    --timeout DURATION  the longest it may run; then it gets\n"
            "    --kill-signal NAME  this signal (else TERM), and KILL 10 seconds later\n"
            "    --max-buffer BYTES  ends it when one of its outputs is larger; 0: never\n"
            "    --uid USER, --gid GROUP, --cwd DIRECTORY, --argv0 WORD\n"
            "    --env NAME=VALUE    a variable; NAME alone is passed on from here\n"
            "    --input FILE        what it reads; - is our standard input\n"
            "    --stdio LIST        what its descriptors are, as the key stdio has it\n"
            "    --set KEY=VALUE     another key of a program: --set nice=10\n"
            "    --detached          leaves it to the daemon and prints its pid\n"
            "    --json              prints {pid, status, signal, stdout, stderr, error}\n"
            "    The exit status is the command's; 128+N signal N, 124 timeout, 125 it could\n"
            "    not be run, 126 it is no program, 127 it was not found\n",
    .flags = CTL_ARGV,
    .fn = run_run,
};

#define CAPTURED_DEFAULT (1024 * 1024) /* of each output, as in Node */
#define CAPTURED_MAX (256UL * 1024 * 1024)

struct order {
    struct ctl *ctl;
    json_t *request, *environment;
    const char *input;
    int64_t max_buffer; /* -1: not given */
    bool shell, detached;
};

/* -- options ----------------------------------------------------------------------- */

static int set_text(struct order *o, const char *key, const char *value)
{
    json_t *text = json_string(value);
    if (text == NULL) {
        ctl_note(o->ctl, "run: %s: is not UTF-8", key);
        return -EINVAL;
    }
    json_object_set_new(o->request, key, text);
    return 0;
}

static int set_cwd(struct order *o, const char *value)
{
    char here[PATH_MAX];
    _cleanup_free_ char *path = NULL;
    if (value[0] == '/' || getcwd(here, sizeof(here)) == NULL)
        return set_text(o, "directory", value);
    if (asprintf(&path, "%s/%s", here, value) < 0)
        path = NULL;
    return path != NULL ? set_text(o, "directory", path) : -ENOMEM;
}

static int set_variable(struct order *o, const char *value)
{
    size_t len = strcspn(value, "=");
    _cleanup_free_ char *name = strndup(value, len);
    const char *text = value[len] == '=' ? value + len + 1 : name != NULL ? getenv(name) : NULL;
    if (name == NULL || (value[len] != '=' && text == NULL))
        return 0; /* NAME alone, and we do not have it */
    json_t *element = json_string(text);
    if (len == 0 || element == NULL || json_object_set_new(o->environment, name, element) < 0) {
        ctl_note(o->ctl, "run: --env %s: is not NAME=VALUE in UTF-8", value);
        return -EINVAL;
    }
    return 0;
}

static int set_key(struct order *o, const char *value)
{
    size_t len = strcspn(value, "=");
    _cleanup_free_ char *key = strndup(value, len);
    if (key != NULL && len > 0 && value[len] == '=')
        return set_text(o, key, value + len + 1);
    ctl_note(o->ctl, "run: --set %s: is not KEY=VALUE", value);
    return -EINVAL;
}

static int set_max_buffer(struct order *o, const char *value)
{
    if (parse_size(value, &o->max_buffer) == 0 && o->max_buffer >= 0)
        return 0;
    ctl_note(o->ctl, "run: --max-buffer %s: is not a number of bytes, or of KB, MB, GB", value);
    return -EINVAL;
}

static int set_input(struct order *o, const char *value)
{
    o->input = value;
    return 0;
}

static const struct {
    const char *name;
    const char *key; /* of the request, or NULL */
    int (*set)(struct order *o, const char *value);
} options[] = {
    { "--timeout", "timeout", NULL }, { "--kill-signal", "timeout_signal", NULL },
    { "--uid", "uid", NULL },         { "--gid", "gid", NULL },
    { "--argv0", "argv0", NULL },     { "--stdio", "stdio", NULL },
    { "--cwd", NULL, set_cwd },       { "--env", NULL, set_variable },
    { "--set", NULL, set_key },       { "--max-buffer", NULL, set_max_buffer },
    { "--input", NULL, set_input },
};

static bool take_flag(struct order *o, const char *word)
{
    if (strcmp(word, "--shell") == 0)
        o->shell = true;
    else if (strcmp(word, "--detached") == 0)
        o->detached = true;
    else if (strcmp(word, "--json") == 0)
        o->ctl->json = true;
    else if (strcmp(word, "--quiet") == 0)
        o->ctl->quiet = true;
    else
        return false;
    return true;
}

/* The option at words[i] with its value, behind a = or in the next word: how many
 * words it takes, or -EINVAL and the user was told. */
static int take_option(struct order *o, const struct ctl_words *words, size_t i)
{
    const char *word = words->list[i];
    size_t len = strcspn(word, "=");
    if (take_flag(o, word))
        return 1;
    for (size_t k = 0; k < ELEMENTS(options); k++) {
        if (strlen(options[k].name) != len || strncmp(word, options[k].name, len) != 0)
            continue;
        const char *value = word[len] == '=' ? word + len + 1 : i + 1 < words->n ? words->list[i + 1] : NULL;
        if (value == NULL)
            break;
        int e = options[k].set != NULL ? options[k].set(o, value) : set_text(o, options[k].key, value);
        return e < 0 ? e : word[len] == '=' ? 1 : 2;
    }
    ctl_usage(o->ctl, CTL_RUN_FAILED, "Error: bad argument %s", word);
    return -EINVAL;
}

static int take_words(struct order *o, const struct ctl_words *words)
{
    size_t i = 0;
    while (i < words->n && words->list[i][0] == '-' && strcmp(words->list[i], "--") != 0) {
        int n = take_option(o, words, i);
        if (n < 0)
            return n;
        i += (size_t)n;
    }
    i += i < words->n && strcmp(words->list[i], "--") == 0;
    json_t *command = json_array();
    json_object_set_new(o->request, "command", command);
    for (; i < words->n; i++) {
        json_t *word = json_string(words->list[i]);
        if (word == NULL) {
            ctl_note(o->ctl, "run: %s: is not UTF-8", words->list[i]);
            return -EINVAL;
        }
        json_array_append_new(command, word);
    }
    if (json_array_size(command) > 0)
        return 0;
    ctl_usage(o->ctl, CTL_RUN_FAILED, "Error: run requires a command");
    return -EINVAL;
}

/* Where the input comes from: a descriptor in *fd, -1 for none. */
static int open_input(const struct order *o, int *fd)
{
    if (o->input == NULL)
        return 0;
    *fd = strcmp(o->input, "-") == 0 ? STDIN_FILENO : open(o->input, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (*fd >= 0)
        return 0;
    ctl_note(o->ctl, "run: %s: %s", o->input, strerror(errno));
    return -EINVAL;
}

static void finish_request(struct order *o)
{
    if (o->shell)
        json_object_set_new(o->request, "shell", json_true());
    if (o->detached)
        json_object_set_new(o->request, "detached", json_true());
    if (o->input != NULL)
        json_object_set_new(o->request, "input", json_true());
    if (json_object_size(o->environment) > 0)
        json_object_set(o->request, "environment", o->environment);
    if (o->ctl->json && o->max_buffer < 0)
        o->max_buffer = CAPTURED_DEFAULT;
    if (o->max_buffer >= 0)
        json_object_set_new(o->request, "max_buffer", json_integer(o->max_buffer));
}

/* -- its end ------------------------------------------------------------------------- */

/* The names of signals as Node has them are "SIGTERM"; what has no name is "SIG42". */
static int signal_number(const char *name)
{
    int signal;
    int64_t number;
    if (parse_signal(name, &signal) == 0)
        return signal;
    return strncmp(name, "SIG", 3) == 0 && parse_int(name + 3, &number) == 0 ? (int)number : 0;
}

static int exit_status(const json_t *end)
{
    const json_t *error = json_object_get(end, "error");
    const char *code = ask_string(error, "code", ""), *stage = ask_string(error, "stage", "");
    const char *signal = ask_string(end, "signal", NULL);
    bool search = strcmp(stage, "lookup") == 0 || strcmp(stage, "exec") == 0;
    if (strcmp(code, "ETIMEDOUT") == 0 && *stage == '\0')
        return CTL_RUN_TIMEOUT;
    if (json_is_object(error))
        return !search ? CTL_RUN_FAILED : strcmp(code, "ENOENT") == 0 ? CTL_RUN_NOT_FOUND : CTL_RUN_NOT_EXECUTABLE;
    if (signal != NULL)
        return 128 + signal_number(signal);
    return (int)ask_integer(end, "status", 0);
}

/* An end of our own making, for what the daemon has refused or not told. */
static json_t *failed_end(const char *code, const char *message)
{
    return json_pack("{s:i, s:n, s:n, s:{s:s, s:s, s:s}}", "pid", 0, "status", "signal", "error", "code", code,
                     "syscall", "spawn", "message", message);
}

static json_t *unconnected_end(const struct ctl *c, int error)
{
    _cleanup_buf_ struct buf message = BUF_INIT(CTL_LINE_LIMIT);
    buf_printf(&message, "%s: %s", c->endpoint.url, ctl_explain(error));
    return failed_end(strerrorname_np(-error), message.error == 0 ? message.data : "");
}

static void write_output(struct jsonw *w, const struct run_job *j, const char *name, int number)
{
    const struct buf *b = &j->output[number];
    if (ask_integer(j->end, "pid", 0) == 0 || (j->pipes >> number & 1) == 0)
        jsonw_null(w, name);
    else
        jsonw_bytes(w, name, b->data != NULL ? b->data : "", b->len);
}

static void write_others(struct jsonw *w, const struct run_job *j)
{
    char name[16];
    bool any = false;
    for (int i = 3; i < 64; i++) {
        if ((j->pipes >> i & 1) == 0)
            continue;
        if (!any)
            jsonw_object(w, "output");
        any = true;
        snprintf(name, sizeof(name), "%d", i);
        write_output(w, j, name, i);
    }
    if (any)
        jsonw_object_end(w);
}

static void print_end(struct ctl *c, const struct run_job *j)
{
    _cleanup_buf_ struct buf b = BUF_INIT(4 * CAPTURED_MAX);
    struct jsonw w = JSONW_INIT(&b);
    _cleanup_free_ char *error = json_dumps(json_object_get(j->end, "error"), JSON_COMPACT | JSON_ENCODE_ANY);
    const json_t *status = json_object_get(j->end, "status");
    jsonw_object(&w, NULL);
    jsonw_int(&w, "pid", ask_integer(j->end, "pid", 0));
    if (json_is_integer(status))
        jsonw_int(&w, "status", json_integer_value(status));
    else
        jsonw_null(&w, "status");
    jsonw_string(&w, "signal", ask_string(j->end, "signal", NULL));
    write_output(&w, j, "stdout", 1);
    write_output(&w, j, "stderr", 2);
    write_others(&w, j);
    jsonw_raw(&w, "error", error != NULL ? error : "null", strlen(error != NULL ? error : "null"));
    jsonw_object_end(&w);
    buf_putc(&b, '\n');
    if (b.error == 0)
        fwrite(b.data, 1, b.len, stdout);
    else
        ctl_note(c, "run: the output is too large to be shown as JSON");
}

static void tell_end(const struct order *o, const struct run_job *j)
{
    struct ctl *c = o->ctl;
    const char *message = ask_string(json_object_get(j->end, "error"), "message", NULL);
    ctl_status(c, exit_status(j->end));
    if (c->json)
        print_end(c, j);
    else if (message != NULL)
        ctl_note(c, "%s%s", strncmp(message, "run: ", 5) == 0 ? "" : "run: ", message); /* the daemon's may say it */
    else if (o->detached)
        printf("%lld\n", ask_integer(j->end, "pid", 0));
}

/* -- the whole ------------------------------------------------------------------------- */

static void run_request(struct order *o, int input)
{
    struct ctl *c = o->ctl;
    struct run_job *j = calloc(1, sizeof(*j));
    _cleanup_free_ char *body = json_dumps(o->request, JSON_COMPACT);
    json_t *refusal = NULL;
    if (j == NULL || body == NULL) {
        free(j);
        return;
    }
    j->ctl = c;
    j->input_fd = input;
    j->captured = c->json;
    for (size_t i = 0; i < ELEMENTS(j->output); i++)
        j->output[i] = BUF_INIT(CAPTURED_MAX);
    fflush(stdout);
    int e = run_job(j, body, &refusal);
    const json_t *error = json_object_get(refusal, "error");
    if (e == -EREMOTEIO)
        j->end = failed_end(ask_string(error, "code", "EIO"), ask_string(error, "message", "the daemon refuses"));
    else if (j->end == NULL && j->signal == 0)
        j->end = unconnected_end(c, e < 0 ? e : -ECONNRESET);
    if (j->end != NULL)
        tell_end(o, j);
    else
        ctl_status(c, 128 + j->signal);
    json_decref(refusal);
    run_job_done(j);
    free(j);
}

static void run_run(struct ctl *c, const struct ctl_words *words)
{
    struct order o = { .ctl = c, .request = json_object(), .environment = json_object(), .max_buffer = -1 };
    int input = -1;
    ctl_status(c, CTL_RUN_FAILED);
    if (take_words(&o, words) == 0 && open_input(&o, &input) == 0) {
        finish_request(&o);
        run_request(&o, input);
    }
    if (input > STDIN_FILENO)
        close(input);
    json_decref(o.environment);
    json_decref(o.request);
}
