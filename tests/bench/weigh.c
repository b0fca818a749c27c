/* weigh.c - the limit of memory: what the libraries and the bookkeeping weigh.
 *
 *   weigh N
 *
 * Has libevent, jansson and inih in use as a supervisor on them must, and for each
 * of N jobs a record of 256 bytes, a name, a command and a log's path, and two
 * pipes with a watched end.  It has no feature.  Says "ready" and then waits for
 * the end of its input, so that the driver weighs it as it weighs a daemon. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <ini.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define RECORD_SIZE 256

struct record {
    char *name, *command, *log;
    struct event *events[2];
    unsigned char rest[RECORD_SIZE - 5 * sizeof(void *)];
};

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

static int on_setting(void *arg, const char *section, const char *key, const char *value)
{
    size_t *bytes = arg;
    *bytes += strlen(section) + strlen(key) + strlen(value);
    return 1;
}

static int touch_libraries(void)
{
    size_t bytes = 0;
    if (ini_parse_string("[program:web]\ncommand=/usr/bin/web --port 80\nautorestart=true\n", on_setting, &bytes) != 0)
        return -EINVAL;
    json_t *value = json_pack("{s:s, s:i, s:b}", "name", "web", "pid", 1, "ready", 1);
    char *text = json_dumps(value, JSON_COMPACT);
    json_decref(value);
    value = text != NULL ? json_loads(text, 0, NULL) : NULL;
    int r = value != NULL ? 0 : -ENOMEM;
    json_decref(value);
    free(text);
    return r;
}

static int record_new(struct event_base *base, int i)
{
    struct record *r = calloc(1, sizeof(*r));
    if (r == NULL || asprintf(&r->name, "job%d", i) < 0 ||
        asprintf(&r->command, "/usr/local/bin/worker --number %d", i) < 0 ||
        asprintf(&r->log, "/var/log/worker/job%d.log", i) < 0)
        return -ENOMEM;
    for (size_t stream = 0; stream < 2; stream++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
            return -errno;
        r->events[stream] = event_new(base, ends[0], EV_READ | EV_PERSIST, on_readable, r);
        if (r->events[stream] == NULL || event_add(r->events[stream], NULL) < 0)
            return -ENOMEM;
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    struct event_base *base = event_base_new();
    int r = base != NULL ? touch_libraries() : -ENOMEM;
    for (int i = 0, n = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0; r == 0 && i < n; i++)
        r = record_new(base, i);
    if (r < 0) {
        fprintf(stderr, "weigh: %s\n", strerror(-r));
        return 1;
    }
    event_base_loop(base, EVLOOP_NONBLOCK);
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}
