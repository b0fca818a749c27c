/* cmd_show.c - `show` and `why`: all about one process, and one answer about it.
 *
 * The daemon decides what there is to know; whatever its object holds is shown,
 * so a newer daemon needs no newer client. */
#include "ctl/ask.h"

#include <string.h>
#include <time.h>

#include "base/cleanup.h"

static void show_run(struct ctl *c, const struct ctl_words *words);
static void why_run(struct ctl *c, const struct ctl_words *words);

const struct ctl_command ctl_cmd_show = {
    .name = "show",
    .args = "[NAME...]",
    .summary = "shows all about processes: state, settings and their places, descriptors",
    .help = "    without a name, or with droverd, everything about the daemon\n",
    .flags = CTL_UPCHECK | CTL_PROCESSES,
    .fn = show_run,
};

const struct ctl_command ctl_cmd_why = {
    .name = "why",
    .args = "NAME...",
    .summary = "says why a process runs or does not run",
    .flags = CTL_UPCHECK | CTL_PROCESSES,
    .fn = why_run,
};

static bool show_is_time(const char *key)
{
    static const char *const times[] = { "start", "stop", "now", "next_start" };
    for (size_t i = 0; i < ELEMENTS(times); i++)
        if (strcmp(key, times[i]) == 0)
            return true;
    return false;
}

/* Seconds since the epoch as local time; 0 is never. */
static void show_time(struct ctl *c, int indent, const char *key, double seconds)
{
    char text[64] = "-";
    struct tm tm;
    time_t t = seconds > 0 && seconds < 1e12 ? (time_t)seconds : 0;
    if (t > 0 && localtime_r(&t, &tm) != NULL)
        strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
    ctl_say(c, "%*s%-18s %s", indent, "", key, text);
}

static void show_value(struct ctl *c, int indent, const char *key, const json_t *value)
{
    if (json_is_number(value) && show_is_time(key)) {
        show_time(c, indent, key, json_number_value(value));
    } else if (json_is_string(value)) {
        ctl_say(c, "%*s%-18s %s", indent, "", key, json_string_value(value));
    } else {
        _cleanup_free_ char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
        ctl_say(c, "%*s%-18s %s", indent, "", key, json_is_null(value) || text == NULL ? "-" : text);
    }
}

/* "file:line", or NULL. */
static const char *show_place(const json_t *source, struct buf *out)
{
    const char *file = ask_string(source, "file", NULL);
    if (file == NULL)
        return NULL;
    buf_reset(out);
    buf_printf(out, "%s:%lld", file, ask_integer(source, "line", 0));
    return out->error == 0 ? out->data : NULL;
}

static void show_settings(struct ctl *c, const json_t *list)
{
    size_t i;
    const json_t *setting;
    _cleanup_buf_ struct buf place = BUF_INIT(CTL_LINE_LIMIT);
    if (json_array_size(list) > 0)
        ctl_say(c, "  settings");
    json_array_foreach(list, i, setting)
    {
        const json_t *value = json_object_get(setting, "value");
        _cleanup_free_ char *text =
            json_is_string(value) ? strdup(json_string_value(value)) : json_dumps(value, JSON_ENCODE_ANY);
        const char *from = show_place(json_object_get(setting, "source"), &place);
        ctl_say(c, "    %-26s = %-32s ; %s", ask_string(setting, "key", "?"), text != NULL ? text : "",
                from != NULL ? from : "default");
    }
}

static void show_descriptors(struct ctl *c, const json_t *list)
{
    size_t i;
    const json_t *d;
    if (json_array_size(list) > 0)
        ctl_say(c, "  descriptors");
    json_array_foreach(list, i, d)
    {
        const char *to = ask_string(d, "to", NULL);
        ctl_say(c, "    %-3lld %s%s%s", ask_integer(d, "fd", -1), ask_string(d, "kind", "?"), to != NULL ? " -> " : "",
                to != NULL ? to : "");
    }
}

static bool show_is_apart(const char *key)
{
    static const char *const apart[] = { "settings", "descriptors", "config" };
    for (size_t i = 0; i < ELEMENTS(apart); i++)
        if (strcmp(key, apart[i]) == 0)
            return true;
    return false;
}

static void show_process(struct ctl *c, json_t *process)
{
    const char *key;
    json_t *value;
    _cleanup_buf_ struct buf text = BUF_INIT(CTL_LINE_LIMIT);
    ctl_say(c, "%s", ctl_namespec(&text, process));
    json_object_foreach(process, key, value) if (!show_is_apart(key)) show_value(c, 2, key, value);
    const char *place = show_place(json_object_get(process, "config"), &text);
    if (place != NULL)
        ctl_say(c, "  %-18s %s", "defined in", place);
    show_settings(c, json_object_get(process, "settings"));
    show_descriptors(c, json_object_get(process, "descriptors"));
}

static void show_daemon(struct ctl *c)
{
    _cleanup_answer_ struct answer a = { 0 };
    if (ask(c, "GET", "/v1/daemon", NULL, 0, &a) < 0)
        return;
    const char *key;
    json_t *value;
    if (a.status != 200) {
        answer_complain(c, &a, "show");
    } else if (c->json) {
        ctl_print_json(c, a.json);
    } else {
        ctl_say(c, "droverd");
        json_object_foreach(a.json, key, value) show_value(c, 2, key, value);
    }
}

static void why_process(struct ctl *c, json_t *why)
{
    size_t i;
    const json_t *reason;
    ctl_say(c, "%s: %s", ask_string(why, "process", "?"), ask_string(why, "verdict", "unknown"));
    json_array_foreach(json_object_get(why, "because"), i, reason) if (json_is_string(reason))
        ctl_say(c, "  %s", json_string_value(reason));
    _cleanup_free_ char *tail = strdup(ask_string(why, "stderr_tail", ""));
    if (tail == NULL || *tail == '\0')
        return;
    ctl_say(c, "  last words on %s:",
            strcmp(ask_string(why, "stderr_tail_of", "stderr"), "stderr") == 0 ? "stderr"
                                                                               : "stdout and stderr, which are one");
    char *rest = tail, *line;
    while ((line = strsep(&rest, "\n")) != NULL)
        if (*line != '\0' || rest != NULL)
            ctl_say(c, "    %s", line);
}

/* Asks for one process after the other; what they are called is known by now. */
static void show_each(struct ctl *c, const json_t *processes, const char *suffix, void (*show)(struct ctl *, json_t *))
{
    size_t i;
    const json_t *process;
    json_array_foreach(processes, i, process)
    {
        _cleanup_buf_ struct buf path = BUF_INIT(CTL_LINE_LIMIT);
        ask_path(&path, "/v1/processes/", ask_string(process, "group", ""), ":");
        ask_path(&path, "", ask_string(process, "name", ""), suffix);
        _cleanup_answer_ struct answer a = { 0 };
        if (path.error < 0 || ask(c, "GET", path.data, NULL, 0, &a) < 0)
            return;
        if (a.status != 200)
            answer_complain(c, &a, ask_string(process, "name", ""));
        else if (c->json)
            ctl_collect(c, json_incref(a.json));
        else
            show(c, a.json);
    }
}

/* One object for one process, a list for several. */
static void show_flush(struct ctl *c, const char *name)
{
    if (c->json && json_array_size(c->results) == 1)
        ctl_print_json(c, json_array_get(c->results, 0));
    else
        ctl_flush(c, name);
}

static json_t *show_find(struct ctl *c, const struct ctl_words *words)
{
    json_t *all = json_array();
    for (size_t i = 0; i < words->n; i++) {
        const char *name = strcmp(words->list[i], "all") == 0 ? NULL : words->list[i];
        if (ask_processes(c, name, "name,group", CTL_STATUS_UNKNOWN, all) < 0)
            break;
    }
    return all;
}

static void show_run(struct ctl *c, const struct ctl_words *words)
{
    if (words->n == 0 || (words->n == 1 && strcmp(words->list[0], "droverd") == 0)) {
        show_daemon(c);
        return;
    }
    json_t *all = show_find(c, words);
    show_each(c, all, "?show=1", show_process);
    show_flush(c, "processes");
    json_decref(all);
}

static void why_run(struct ctl *c, const struct ctl_words *words)
{
    if (words->n == 0) {
        ctl_usage(c, CTL_INVALID_ARGS, "Error: why requires a process name");
        return;
    }
    json_t *all = show_find(c, words);
    show_each(c, all, "/why", why_process);
    show_flush(c, "why");
    json_decref(all);
}
