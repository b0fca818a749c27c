/* log-copier.c - the capturing half of the daemon, to be killed at any instant.
 *
 *     log-copier MEMORY SIZE BACKUPS SCRATCHES [READ WRITE]... [PIPE FORMAT LOG]...
 *
 * MEMORY and the ends of pipes are descriptors that somebody else keeps; all
 * moving is done by the objects of droverd.  Finishes what its predecessor left,
 * says so with one byte on standard output, and ends with the last pipe. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/logmove.h"
#include "supervisor/capture.h"

struct job {
    struct stream *stream;
    enum log_format format;
    struct logfile *log;
    int fd;
};

static struct loop *loop;
static struct mover *mover;
static struct logfile_table *table;
static struct job jobs[64];
static int n_jobs, n_open;
static uint64_t dropped;

static void die(const char *what, int error)
{
    fprintf(stderr, "log-copier: %s: %s\n", what, strerror(-error));
    exit(1);
}

static int number(const char *word)
{
    return (int)strtol(word, NULL, 10); /* our own test's */
}

static bool on_watched(struct stream *s, void *arg)
{
    (void)arg;
    return s->number == 2; /* one job's bytes are looked at, another's are not */
}

static void on_bytes(struct stream *s, const char *data, size_t len, void *arg)
{
    (void)s;
    (void)data;
    (void)len;
    (void)arg;
}

static void on_closed(struct stream *s, void *arg)
{
    (void)arg;
    stream_free(s);
    if (--n_open == 0)
        loop_stop(loop);
}

static void on_report(struct stream *s, const struct stream_report *r, void *arg)
{
    (void)s;
    (void)arg;
    if (r->error != 0)
        die(r->reason, r->error);
}

static void on_dropped(struct stream *s, uint64_t bytes, void *arg)
{
    (void)s;
    (void)arg;
    dropped += bytes;
}

static const struct stream_owner owner = { .watched = on_watched,
                                           .output = on_bytes,
                                           .logged = on_bytes,
                                           .closed = on_closed,
                                           .report = on_report,
                                           .dropped = on_dropped };

static void open_job(struct job *j, char **words, const char *size, const char *backups)
{
    j->fd = number(words[0]);
    j->format = (enum log_format)number(words[1]);
    int r = logfile_open(table, words[2], (uint64_t)number(size), (unsigned)number(backups), &j->log);
    if (r < 0)
        die(words[2], r);
}

static void watch_job(struct job *j, struct capture *capture)
{
    const struct stream_options o = { .capture = capture, .format = j->format, .process = "g:p" };
    int r = stream_new(loop, j->fd, (int)(j - jobs) % 2 + 1, j->log, &o, &owner, NULL, &j->stream);
    if (r < 0)
        die("stream", r);
}

int main(int argc, char **argv)
{
    struct capture *capture;
    if (argc < 5)
        return 2;
    int r = loop_new(&loop);
    if (r == 0)
        r = logfile_table_new(&table);
    if (r == 0)
        r = mover_new(number(argv[1]), &mover);
    if (r == 0)
        r = capture_new(loop, mover, &capture);
    if (r < 0)
        die("start", r);
    int at = 5, scratches = number(argv[4]);
    for (int i = 0; i < scratches; i++, at += 2)
        mover_adopt(mover, (unsigned)i, (int[2]){ number(argv[at]), number(argv[at + 1]) });
    for (; at + 2 < argc && n_jobs < 64; at += 3)
        open_job(&jobs[n_jobs++], argv + at, argv[2], argv[3]);
    for (n_open = 0; n_open < n_jobs; n_open++)
        watch_job(&jobs[n_open], capture);
    if (write(STDOUT_FILENO, "r", 1) != 1)
        return 1;
    loop_run(loop);
    return dropped != 0;
}
