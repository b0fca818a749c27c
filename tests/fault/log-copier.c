/* log-copier.c - the capturing half of the daemon, to be killed at any instant.
 *
 *     log-copier MEMORY SIZE BACKUPS SCRATCH-READ SCRATCH-WRITE [PIPE LOG]...
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

#include "os/logfinish.h"
#include "supervisor/capture.h"

struct job {
    struct stream *stream;
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

static ino_t inode_of(int fd)
{
    struct stat st;
    return fstat(fd, &st) < 0 ? 0 : st.st_ino;
}

static void finish(void)
{
    struct move_state state;
    if (!mover_left(mover, 0, &state))
        return;
    for (int i = 0; i < n_jobs; i++) {
        if (inode_of(jobs[i].fd) != state.from)
            continue;
        int r = log_finish(mover, 0, &state, jobs[i].log);
        if (r < 0)
            die("finish", r);
        return;
    }
    die("finish", -ENOENT);
}

int main(int argc, char **argv)
{
    if (argc < 8)
        return 2;
    int scratch[2] = { number(argv[4]), number(argv[5]) };
    int r = loop_new(&loop);
    if (r == 0)
        r = logfile_table_new(&table);
    if (r == 0)
        r = mover_new(number(argv[1]), &mover);
    if (r < 0)
        die("start", r);
    mover_adopt(mover, 0, scratch);
    for (int i = 6; i + 1 < argc && n_jobs < 64; i += 2) {
        struct job *j = &jobs[n_jobs++];
        j->fd = number(argv[i]);
        r = logfile_open(table, argv[i + 1], (uint64_t)number(argv[2]), (unsigned)number(argv[3]), &j->log);
        if (r < 0)
            die(argv[i + 1], r);
    }
    finish();
    if (write(STDOUT_FILENO, "r", 1) != 1)
        return 1;
    struct capture *capture;
    r = capture_new(loop, mover, &capture);
    if (r < 0)
        die("capture", r);
    const struct stream_options o = { .capture = capture };
    for (n_open = 0; n_open < n_jobs; n_open++) {
        struct job *j = &jobs[n_open];
        r = stream_new(loop, j->fd, n_open % 2 + 1, j->log, &o, &owner, NULL, &j->stream);
        if (r < 0)
            die("stream", r);
    }
    loop_run(loop);
    return dropped != 0;
}
