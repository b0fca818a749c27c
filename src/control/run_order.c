/* run_order.c - see run_order.h.
 *
 * Members of the body are keys of [program:x], read by the loader that reads files,
 * and a few of our own.  Nothing is looked up on behalf of a client that it could
 * not see itself: whoever is neither root nor the daemon's user runs things as
 * themselves, with next to nothing of the daemon's environment, and with those keys
 * alone that ask for no privilege. */
#include "control/run_order.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/argv.h"
#include "base/cleanup.h"
#include "os/world.h"

#define SETTINGS_MAX 64
#define VARIABLES_MAX 4096

/* What is made of a body on its way to an order; the lists borrow from `text`. */
struct reading {
    struct http_request *request;
    json_t *root;
    struct config_override settings[SETTINGS_MAX + 4]; /* two of ours, and the end */
    size_t n_settings;
    char *texts[SETTINGS_MAX + 4];
    size_t n_texts;
    struct buf command;
    char **environment;
    bool own; /* of root or the daemon's user */
};

static int refuse(struct reading *rd, const char *what, const char *why)
{
    http_reply_error(rd->request, 400, "EINVAL", "run: %s: %s", what, why);
    return -EINVAL;
}

static int out_of_memory(struct reading *rd)
{
    http_reply_error(rd->request, 503, "ENOMEM", "out of memory");
    return -EINVAL;
}

static void reading_done(struct reading *rd)
{
    json_decref(rd->root);
    for (size_t i = 0; i < rd->n_texts; i++)
        free(rd->texts[i]);
    for (size_t i = 0; rd->environment != NULL && rd->environment[i] != NULL; i++)
        free(rd->environment[i]);
    free(rd->environment);
    buf_done(&rd->command);
}

/* -- the command ------------------------------------------------------------------ */

static bool is_through_shell(const json_t *root)
{
    const json_t *shell = json_object_get(root, "shell");
    return json_is_true(shell) || (json_is_string(shell) && json_string_value(shell)[0] == '/');
}

/* A list of words is quoted so that it is read again as the same words, and only put
 * together where a shell is to read it. */
static int read_command(struct reading *rd)
{
    const json_t *command = json_object_get(rd->root, "command"), *word;
    bool shell = is_through_shell(rd->root);
    size_t i;
    if (json_is_string(command))
        buf_puts(&rd->command, json_string_value(command));
    json_array_foreach((json_t *)command, i, word)
    {
        if (!json_is_string(word))
            return refuse(rd, "command", "is to be a text, or a list of words");
        buf_puts(&rd->command, i > 0 ? " " : "");
        if (shell)
            buf_puts(&rd->command, json_string_value(word));
        else
            argv_quote(&rd->command, json_string_value(word));
    }
    if (rd->command.error != 0)
        return out_of_memory(rd);
    return rd->command.len > 0 ? 0 : refuse(rd, "command", "is missing; say what to run");
}

/* -- variables -------------------------------------------------------------------- */

static int read_environment(struct reading *rd, const json_t *object)
{
    const char *name;
    json_t *value;
    size_t n = 0;
    if (!json_is_object(object) || json_object_size(object) > VARIABLES_MAX)
        return refuse(rd, "environment", "is to be an object of names and texts, 4096 at most");
    rd->environment = calloc(json_object_size(object) + 1, sizeof(char *));
    if (rd->environment == NULL)
        return out_of_memory(rd);
    json_object_foreach((json_t *)object, name, value)
    {
        if (*name == '\0' || strchr(name, '=') != NULL || !json_is_string(value))
            return refuse(rd, "environment", "a name has no = and is not empty, and a value is a text");
        if (asprintf(&rd->environment[n], "%s=%s", name, json_string_value(value)) < 0) {
            rd->environment[n] = NULL;
            return out_of_memory(rd);
        }
        n++;
    }
    return 0;
}

/* -- keys ------------------------------------------------------------------------- */

/* A value as a file would have it; NULL for what has no such form. */
static char *value_text(const json_t *value)
{
    struct buf b = BUF_INIT(HTTP_BODY_MAX);
    const json_t *element;
    size_t i;
    if (json_is_string(value))
        buf_puts(&b, json_string_value(value));
    else if (json_is_integer(value))
        buf_printf(&b, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        buf_printf(&b, "%.6f", json_real_value(value));
    else if (json_is_boolean(value))
        buf_puts(&b, json_is_true(value) ? "true" : "false");
    else if (!json_is_array(value))
        return NULL;
    json_array_foreach((json_t *)value, i, element)
    {
        if (!json_is_string(element) && !json_is_integer(element))
            b.error = -EINVAL;
        else if (json_is_string(element))
            buf_printf(&b, "%s%s", i > 0 ? ", " : "", json_string_value(element));
        else
            buf_printf(&b, "%s%" JSON_INTEGER_FORMAT, i > 0 ? ", " : "", json_integer_value(element));
    }
    if (b.error == 0 && b.len == 0)
        buf_add(&b, "", 0);
    if (b.error != 0) {
        buf_done(&b);
        return NULL;
    }
    return b.data != NULL ? buf_steal(&b) : strdup("");
}

static int add_setting(struct reading *rd, const char *key, char *text)
{
    if (text == NULL)
        return refuse(rd, key, "is to be a text, a number, true, false, or a list of texts");
    rd->texts[rd->n_texts++] = text;
    rd->settings[rd->n_settings++] = (struct config_override){ .option = key, .value = text };
    return 0;
}

/* For those who are not root and not the daemon's user. */
static bool needs_no_privilege(const char *key)
{
    static const char *const keys[] = { "directory",  "umask",        "stdio", "timeout", "timeout_signal",
                                        "stopsignal", "stopwaitsecs", "argv0", "shell" };
    for (size_t i = 0; i < ELEMENTS(keys); i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

static int read_key(struct reading *rd, const char *key, const json_t *value)
{
    if (!rd->own && !needs_no_privilege(key)) {
        http_reply_error(rd->request, 403, "EPERM", "run: %s: only root and the daemon's own user may say this", key);
        return -EINVAL;
    }
    if (rd->n_settings >= SETTINGS_MAX)
        return refuse(rd, key, "is one key too many");
    return add_setting(rd, key, value_text(value));
}

static int read_own_member(struct reading *rd, struct run_order *o, const char *name, json_t *value)
{
    if (strcmp(name, "environment") == 0)
        return read_environment(rd, value);
    if (strcmp(name, "detached") == 0) {
        o->detached = json_is_true(value);
        return json_is_boolean(value) ? 0 : refuse(rd, name, "is true or false");
    }
    if (strcmp(name, "max_buffer") == 0) {
        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return refuse(rd, name, "is a number of bytes");
        if (json_integer_value(value) > 0)
            o->max_buffer = (uint64_t)json_integer_value(value);
        return 0;
    }
    if (strcmp(name, "input") == 0) {
        o->input_follows = json_is_true(value);
        o->input = json_is_string(value) ? strdup(json_string_value(value)) : NULL;
        return json_is_boolean(value) || o->input != NULL ? 0 : refuse(rd, name, "is a text, or true: it follows");
    }
    return strcmp(name, "command") == 0 ? 0 : 1;
}

static int read_members(struct reading *rd, struct run_order *o)
{
    const char *name;
    json_t *value;
    json_object_foreach(rd->root, name, value)
    {
        int r = read_own_member(rd, o, name, value);
        if (r > 0)
            r = read_key(rd, name, value);
        if (r < 0)
            return r;
    }
    return read_command(rd);
}

/* -- who -------------------------------------------------------------------------- */

static int check_sender(struct reading *rd)
{
    const struct http_peer *peer = http_request_peer(rd->request);
    const char *why = NULL;
    if (!peer->known)
        why = "run is for the unix socket: over TCP nobody vouches for who asks";
    rd->own = peer->known && (peer->uid == 0 || peer->uid == geteuid());
    if (why == NULL && !rd->own && geteuid() != 0)
        why = "the daemon does not run as root, and cannot become you";
    if (why == NULL)
        return 0;
    http_reply_error(rd->request, 403, "EPERM", "%s", why);
    return -EINVAL;
}

static char *number_text(unsigned n)
{
    char *text;
    return asprintf(&text, "%u", n) < 0 ? NULL : text;
}

/* As themselves. */
static int add_sender(struct reading *rd)
{
    const struct http_peer *peer = http_request_peer(rd->request);
    int r = add_setting(rd, "uid", number_text(peer->uid));
    if (r == 0)
        r = add_setting(rd, "gid", number_text(peer->gid));
    return r < 0 ? r : add_setting(rd, "inherit_environment", strdup("PATH,LANG,TZ"));
}

static int check_descriptors(struct reading *rd, const struct run_order *o)
{
    const struct program *p = &o->config->groups[0].programs[0];
    bool given = json_object_get(rd->root, "stdio") != NULL;
    for (unsigned i = 0; i < stdio_length(p->stdio); i++) {
        enum stdio_kind kind = stdio_entry(p->stdio, i).kind;
        if (!rd->own && (kind == STDIO_INHERIT || kind == STDIO_NUMBER))
            return refuse(rd, "stdio", "the daemon's descriptors are for root and the daemon's own user");
        if (kind == STDIO_IPC)
            return refuse(rd, "stdio", "a channel is for programs; nobody would be at its other end");
        if (o->detached && given && kind == STDIO_PIPE)
            return refuse(rd, "stdio", "nobody holds the pipe of a detached process; name a file, or ignore");
    }
    return 0;
}

/* -- the whole -------------------------------------------------------------------- */

static int load(struct reading *rd, struct config **ret)
{
    static const char *const none[] = { NULL };
    struct world world;
    struct diagnostics d = { 0 };
    int r = world_open(&world);
    if (r < 0)
        return out_of_memory(rd);
    const struct config_transient t = { .name = "run",
                                        .command = rd->command.data,
                                        .environment =
                                            rd->environment != NULL ? (const char *const *)rd->environment : none,
                                        .settings = rd->settings };
    r = config_load_transient(&world.config_world, &t, ret, &d);
    world_close(&world);
    for (size_t i = 0; r == -EINVAL && i < d.n; i++) {
        if (d.list[i].level == DIAGNOSTIC_ERROR) {
            http_reply_error(rd->request, 400, "EINVAL", "%s", d.list[i].text);
            break;
        }
    }
    diagnostics_clear(&d);
    return r == 0 || r == -EINVAL ? r : out_of_memory(rd);
}

static int read_order(struct reading *rd, struct run_order *o)
{
    size_t len;
    const char *body = http_request_body(rd->request, &len);
    int r = check_sender(rd);
    if (r < 0)
        return r;
    rd->root = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(rd->root))
        return refuse(rd, "the body", "is not a JSON object");
    r = read_members(rd, o);
    if (r == 0 && !rd->own)
        r = add_sender(rd);
    if (r == 0 && o->detached && json_object_get(rd->root, "stdio") == NULL)
        r = add_setting(rd, "stdio", strdup("ignore"));
    if (r == 0)
        r = load(rd, &o->config);
    return r < 0 ? r : check_descriptors(rd, o);
}

int run_order_read(struct http_request *request, struct run_order *ret)
{
    const struct http_peer *peer = http_request_peer(request);
    struct reading rd = { .request = request, .command = BUF_INIT(4 * HTTP_BODY_MAX) };
    struct run_order o = { .max_buffer = UINT64_MAX, .owner = peer->uid, .by = peer->text };
    int r = read_order(&rd, &o);
    reading_done(&rd);
    if (r < 0) {
        config_unref(o.config);
        free((char *)(uintptr_t)o.input);
        return r;
    }
    *ret = o;
    return 0;
}
