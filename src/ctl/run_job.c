/* run_job.c - see run_job.h.
 *
 * A key of our own goes with the request.  When the connection is lost since the
 * supervisor has died or makes room for another, it is made again with the same key and
 * the number of bytes that we have had of the answer, and goes on behind them; so does
 * the input, by the number of bytes that were sent.
 *
 * Three connections at most: the first carries the answer, which lasts as long as
 * the process; the second its input, a piece at a time, each answered when the
 * process has taken it; a third is opened for each signal.  Signals are blocked and
 * read from a descriptor, and are listened to wherever we wait, so that Ctrl-C
 * reaches the process while our own standard output is stuck. */
#include "ctl/run_job.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "ctl/ask.h"
#include "ctl/gap.h"

#define INPUT_PIECE (32 * 1024)
#define PIPE_PIECE 4096 /* what a pipe that is ready takes without making us wait */
#define HEAD_MAX 48     /* of a record: its label and length */
#define JSON_MAX (64 * 1024)

struct session {
    struct run_job *job;
    struct client *client, *feeder;
    struct reply reply, fed;
    bool feeding; /* a piece is under way */
    bool last;    /* and it is the last */
    int signals;
    sigset_t before;
    long long id; /* 0: we have not been told yet */
    char head[HEAD_MAX];
    size_t head_len;
    size_t left;     /* of the record at hand */
    int number;      /* whose bytes it has; -1: it is JSON */
    struct buf json; /* of a record of JSON */
    const char *body;
    uint64_t key;
    uint64_t had;    /* bytes of the answer */
    struct gap gap;  /* since the connection was lost */
    usec_t again_at; /* when another is tried; 0: it is not lost */
    char piece[INPUT_PIECE];
    size_t piece_len;
    uint64_t sent;      /* bytes of the input before this piece */
    struct gap fed_gap; /* of the second connection */
    usec_t feed_at;
};

/* -- signals ------------------------------------------------------------------- */

static const int passed_on[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };

static int catch_signals(struct session *s)
{
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ELEMENTS(passed_on); i++)
        sigaddset(&set, passed_on[i]);
    sigprocmask(SIG_BLOCK, &set, &s->before);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals < 0 ? -errno : 0;
}

static int send_signal(struct session *s, int signal)
{
    _cleanup_buf_ struct buf path = BUF_INIT(256), body = BUF_INIT(256);
    struct client *client;
    struct reply r;
    buf_printf(&path, "/v1/run/%lld/signal", s->id);
    buf_printf(&body, "{\"signal\":\"%s\"}", parse_signal_name(signal));
    struct client_request q = {
        .method = "POST", .path = path.data, .body = body.data, .len = body.len, .patience = CLIENT_PATIENCE
    };
    int e = client_new(&s->job->ctl->endpoint, &client);
    if (e < 0)
        return e;
    reply_init(&r, NULL, NULL);
    client_call(client, &q, &r); /* it may just have ended; then there is nobody to tell */
    reply_done(&r);
    client_free(client);
    return 0;
}

/* 0, or -EINTR when there is nothing yet that a signal could be for but ourselves. */
static int take_signals(struct session *s)
{
    struct signalfd_siginfo info;
    while (read(s->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (s->id == 0) {
            s->job->signal = (int)info.ssi_signo;
            return -EINTR;
        }
        int e = send_signal(s, (int)info.ssi_signo);
        if (e < 0)
            return e;
    }
    return 0;
}

/* -- what it prints -------------------------------------------------------------- */

/* All of it, in pieces that do not block when the descriptor is ready. */
static int write_out(struct session *s, int fd, const char *data, size_t len)
{
    struct stat st;
    size_t most = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? len : PIPE_PIECE;
    while (len > 0) {
        struct pollfd p[2] = { { .fd = fd, .events = POLLOUT }, { .fd = s->signals, .events = POLLIN } };
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return -errno;
        int e = p[1].revents != 0 ? take_signals(s) : 0;
        if (e < 0)
            return e;
        if (p[0].revents == 0)
            continue;
        ssize_t n = write(fd, data, len < most ? len : most);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return -errno;
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int take_output(struct session *s, const char *data, size_t len)
{
    struct run_job *j = s->job;
    if (j->captured)
        return buf_add(&j->output[s->number], data, len);
    if (s->number >= 3 && (j->ctl->given_fds >> s->number & 1) == 0)
        return 0; /* nobody asked for it */
    return write_out(s, s->number, data, len);
}

/* -- records ----------------------------------------------------------------------- */

static void take_beginning(struct session *s, const json_t *value)
{
    const json_t *pipes = json_object_get(value, "pipes"), *number;
    size_t i;
    s->id = ask_integer(value, "id", 0);
    json_array_foreach((json_t *)pipes, i, number)
    {
        json_int_t n = json_integer_value(number);
        if (n >= 0 && n < 64)
            s->job->pipes |= UINT64_C(1) << n;
    }
}

static int take_json(struct session *s)
{
    json_t *value = ask_parse(s->json.data != NULL ? s->json.data : "", s->json.len);
    if (!json_is_object(value)) {
        json_decref(value);
        return -EPROTO;
    }
    if (strncmp(s->head, "run ", 4) == 0)
        take_beginning(s, value);
    if (strncmp(s->head, "end ", 4) == 0) {
        json_decref(s->job->end);
        s->job->end = json_incref(value);
    }
    json_decref(value);
    return 0;
}

/* "LABEL LENGTH"; labels that we do not know are passed over. */
static int take_head(struct session *s)
{
    const char *blank = strchr(s->head, ' ');
    int64_t length, number;
    if (blank == NULL || parse_int(blank + 1, &length) < 0 || length < 0)
        return -EPROTO;
    bool digits = s->head[strspn(s->head, "0123456789")] == ' ';
    s->number = -1;
    if (digits) {
        s->head[blank - s->head] = '\0';
        if (parse_int(s->head, &number) < 0 || number >= 64)
            return -EPROTO;
        s->number = (int)number;
    } else if (length > JSON_MAX) {
        return -EPROTO;
    }
    s->left = (size_t)length;
    buf_reset(&s->json);
    return 0;
}

static int add_head(struct session *s, const char **data, size_t *len)
{
    while (*len > 0) {
        char c = **data;
        *data += 1;
        *len -= 1;
        if (c == '\n') {
            s->head[s->head_len] = '\0';
            s->head_len = 0;
            return take_head(s);
        }
        if (s->head_len >= sizeof(s->head) - 1)
            return -EPROTO;
        s->head[s->head_len++] = c;
    }
    return 0;
}

static int on_answer(void *arg, const char *data, size_t len)
{
    struct session *s = arg;
    int e = 0;
    s->had += len;
    while (e == 0 && len > 0) {
        if (s->left == 0) {
            e = add_head(s, &data, &len);
            continue;
        }
        size_t n = len < s->left ? len : s->left;
        e = s->number >= 0 ? take_output(s, data, n) : buf_add(&s->json, data, n);
        data += n;
        len -= n;
        s->left -= n;
        if (e == 0 && s->left == 0 && s->number < 0)
            e = take_json(s);
    }
    return e;
}

/* -- what it reads ------------------------------------------------------------------- */

static void stop_feeding(struct session *s)
{
    s->job->input_fd = -1;
    s->feeding = false;
    s->feed_at = 0;
    client_close(s->feeder);
}

/* It was lost on its way: the same again some time, or no more. */
static void feed_lost(struct session *s, int error)
{
    s->feed_at = gap_next(&s->fed_gap, error);
    if (s->feed_at == 0)
        stop_feeding(s); /* if the daemon is gone, the answer will say so */
}

/* How many bytes come before it goes with it, so that nothing is given twice. */
static void send_piece(struct session *s)
{
    _cleanup_buf_ struct buf path = BUF_INIT(256);
    buf_printf(&path, "/v1/run/%lld/stdin?at=%llu%s", s->id, (unsigned long long)s->sent, s->last ? "&eof=1" : "");
    struct client_request q = {
        .method = "POST", .path = path.data, .body = s->piece, .len = s->piece_len, .patience = CLIENT_PATIENCE
    };
    reply_done(&s->fed);
    reply_init(&s->fed, NULL, NULL);
    s->feeding = true;
    s->feed_at = 0;
    int e = client_begin(s->feeder, &q);
    if (e < 0)
        feed_lost(s, e);
}

static void feed_piece(struct session *s)
{
    ssize_t n = read(s->job->input_fd, s->piece, sizeof(s->piece));
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0)
        ctl_note(s->job->ctl, "run: input: %s", strerror(errno));
    s->last = n <= 0;
    s->piece_len = n > 0 ? (size_t)n : 0;
    send_piece(s);
}

static void feed_answer(struct session *s)
{
    int e = client_receive(s->feeder, &s->fed);
    if (e == 0)
        return;
    if (e < 0) {
        feed_lost(s, e);
        return;
    }
    if (s->fed.status == 503) { /* it is begun anew as soon as we have asked for that, on the first connection */
        feed_lost(s, -ECONNRESET);
        return;
    }
    gap_over(&s->fed_gap);
    s->feeding = false;
    s->sent += s->piece_len;
    if (s->fed.status != 200 || s->last) /* nobody reads there any more, or that was all */
        stop_feeding(s);
}

/* -- the whole -------------------------------------------------------------------------- */

static void on_began(void *arg, const struct reply *r)
{
    struct session *s = arg;
    (void)r;
    gap_over(&s->gap);
    gap_over(&s->fed_gap);
}

static int begin(struct session *s)
{
    _cleanup_buf_ struct buf path = BUF_INIT(256);
    buf_printf(&path, "/v1/run?key=%016llx&from=%llu", (unsigned long long)s->key, (unsigned long long)s->had);
    struct client_request q = {
        .method = "POST", .path = path.data, .body = s->body, .len = strlen(s->body), .patience = CLIENT_PATIENCE
    };
    reply_done(&s->reply);
    reply_init(&s->reply, on_answer, s);
    s->reply.began = on_began;
    s->again_at = 0;
    return client_begin(s->client, &q);
}

/* 0: it will be tried again. */
static int lost(struct session *s, int error)
{
    s->again_at = gap_next(&s->gap, error);
    return s->again_at != 0 ? 0 : error;
}

static usec_t soonest(usec_t a, usec_t b)
{
    return a == 0 ? b : b == 0 || a < b ? a : b;
}

static int limit(usec_t at)
{
    return at == 0 ? -1 : (int)(usec_sub(at, client_now()) / USEC_PER_MSEC + 1);
}

/* What is due by the clock. */
static int try_again(struct session *s, usec_t *until)
{
    usec_t now = client_now();
    if (s->feed_at != 0 && now >= s->feed_at)
        send_piece(s);
    if (s->again_at != 0 && now >= s->again_at) {
        *until = usec_add(now, CLIENT_PATIENCE);
        int e = begin(s);
        return e < 0 ? lost(s, e) : 0;
    }
    return s->again_at == 0 && !reply_began(&s->reply) && now >= *until ? -ETIMEDOUT : 0;
}

/* One wait, and what came of it: 1 when the answer is complete, 0, or a negative errno. */
static int turn(struct session *s, usec_t *until)
{
    bool away = s->again_at != 0;
    bool fed = s->feeding && s->feed_at == 0;
    struct pollfd p[4] = {
        { .fd = away ? -1 : client_fd(s->client), .events = POLLIN },
        { .fd = s->signals, .events = POLLIN },
        { .fd = s->id != 0 && !s->feeding ? s->job->input_fd : -1, .events = POLLIN },
        { .fd = fed ? client_fd(s->feeder) : -1, .events = POLLIN },
    };
    usec_t due = away ? s->again_at : reply_began(&s->reply) ? 0 : *until;
    int n = poll(p, ELEMENTS(p), limit(soonest(due, s->feed_at)));
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    int e = p[1].revents != 0 ? take_signals(s) : 0;
    if (e == 0 && p[3].revents != 0)
        feed_answer(s);
    if (e == 0 && p[2].revents != 0)
        feed_piece(s);
    if (e == 0 && p[0].revents != 0)
        e = client_receive(s->client, &s->reply);
    if (gap_is_cut(e))
        e = lost(s, e);
    return e == 0 ? try_again(s, until) : e;
}

static int ask_and_stay(struct session *s)
{
    usec_t until = usec_add(client_now(), CLIENT_PATIENCE);
    int e = begin(s);
    if (gap_is_cut(e))
        e = lost(s, e);
    while (e == 0)
        e = turn(s, &until);
    return e < 0 ? e : 0;
}

/* Not to be guessed by others of the same user; without randomness it is not kept. */
static uint64_t random_key(void)
{
    uint64_t key;
    return getrandom(&key, sizeof(key), GRND_NONBLOCK) == (ssize_t)sizeof(key) ? key : 0;
}

int run_job(struct run_job *j, const char *body, json_t **refusal)
{
    struct session s = { .job = j, .client = j->ctl->client, .signals = -1, .json = BUF_INIT(JSON_MAX) };
    s.body = body;
    s.key = random_key();
    reply_init(&s.reply, on_answer, &s);
    reply_init(&s.fed, NULL, NULL);
    int e = client_new(&j->ctl->endpoint, &s.feeder);
    if (e == 0)
        e = catch_signals(&s);
    if (e == 0)
        e = ask_and_stay(&s);
    if (e == 0 && s.reply.status != 200) {
        *refusal = ask_parse(s.reply.body.data != NULL ? s.reply.body.data : "", s.reply.body.len);
        e = -EREMOTEIO;
    }
    if (e != 0 || j->end == NULL)
        client_close(s.client); /* whatever is left there is no answer to anything else */
    client_free(s.feeder);
    reply_done(&s.reply);
    reply_done(&s.fed);
    buf_done(&s.json);
    cleanup_close(&s.signals);
    sigprocmask(SIG_SETMASK, &s.before, NULL);
    return e;
}

void run_job_done(struct run_job *j)
{
    for (size_t i = 0; i < ELEMENTS(j->output); i++)
        buf_done(&j->output[i]);
    json_decref(j->end);
    j->end = NULL;
}
