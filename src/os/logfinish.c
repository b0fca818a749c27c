/* logfinish.c - see logfinish.h.
 *
 * The scratch pipe has all bytes of a move until every one of them is written, so
 * the only question is how many are.  A slot that names a file says how large it
 * was before the last write; the rest is what the file has grown by, since it has
 * one writer.  A file that is no longer there under its name had no write under
 * way: the slot names none while files are renamed. */
#include "os/logfinish.h"

#include <sys/stat.h>

#define MOST (64 * 1024)

static uint64_t written(const struct move_state *state, const char *path)
{
    struct stat st;
    if (state->ino == 0 || stat(path, &st) < 0 || st.st_dev != state->dev || st.st_ino != state->ino ||
        (uint64_t)st.st_size < state->offset)
        return state->done;
    return state->done + (uint64_t)st.st_size - state->offset;
}

int log_finish(struct mover *m, unsigned i, const struct move_state *state, struct logfile *f)
{
    char data[MOST];
    struct move *v;
    uint64_t done = written(state, logfile_path(f));
    ssize_t n = mover_resume(m, i, done, data, sizeof(data), &v);
    if (n < 0)
        return (int)n;
    int r = 0;
    if (done < (uint64_t)n) {
        size_t more;
        logfile_set_move(f, v);
        r = logfile_write(f, data + done, (size_t)n - (size_t)done, &more);
        logfile_set_move(f, NULL);
    }
    if (r == 0)
        mover_end(m, v);
    return r;
}
