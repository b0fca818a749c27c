/* daemon.c - droverd at work: the supervisor process.
 *
 * Owns the loop, the supervisor, the control server, and what begin.c has got
 * (sockets, lock, pidfile), for as long as this process lives; what must outlive
 * it is with the guardian, its parent. */
#include "daemon/daemon.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "control/control.h"
#include "core/exit_cause.h"
#include "daemon/begin.h"
#include "daemon/exit_with.h"
#include "daemon/guarded.h"
#include "daemon/loads.h"
#include "daemon/notify.h"
#include "daemon/restarting.h"
#include "daemon/signals.h"
#include "daemon/state_dir.h"
#include "daemon/successor.h"
#include "daemon/sweep.h"
#include "os/autolog.h"
#include "os/features.h"
#include "os/world.h"
#include "supervisor/record.h"
#include "supervisor/reload.h"

#define LAST_WORDS (2 * USEC_PER_SEC) /* for answers still being written at the end */

#define ENDING_NAME "ending" /* held by the guardian: the daemon is to end */
#define ANEW_NAME "anew"     /* ... or to stop all and begin anew */

struct droverd {
    const struct options *options;
    struct loads *loads;
    struct config *config; /* as the daemon itself runs by */
    struct loop *loop;
    struct supervisor *supervisor;
    struct control *control;
    struct holder *holder;
    struct beginning begun;
    struct guarded *guarded;
    struct successor *successor;
    struct notifier *notifier;
    struct signals *signals;
    struct restarting *restarting;
    struct loop_timer end_timer, leave_timer;
    struct event_subscriber exit_with;
    bool ending, was_ending, was_anew;
    unsigned end_looks; /* at whether the last answers have gone out */
    int exit_status;
};

int daemon_load(const struct options *o, const char *path, struct config **ret, struct diagnostics *d)
{
    struct world world;
    int r = world_open(&world);
    if (r < 0)
        return r;
    r = config_load_with(&world.config_world, path, o->overrides, ret, d);
    world_close(&world);
    return r;
}

/* So that whoever follows us, if we are killed now, goes on with that. */
static void note(struct droverd *dd, const char *what)
{
    if (dd->begun.lock_fd >= 0)
        holder_put(dd->holder, what, dd->begun.lock_fd);
}

static bool was_noted(struct droverd *dd, const char *what)
{
    _cleanup_close_ int fd = holder_take(dd->holder, what);
    return fd >= 0;
}

/* -- reload ------------------------------------------------------------------- */

static int load_again(struct config **ret, struct diagnostics *d, void *arg)
{
    struct droverd *dd = arg;
    return loads_load(dd->loads, dd->options, ret, d);
}

static struct config *load_logged(struct droverd *dd)
{
    _cleanup_(diagnostics_clear) struct diagnostics d = { 0 };
    struct config *config = NULL;
    int r = load_again(&config, &d, dd);
    for (size_t i = 0; i < d.n; i++)
        log_write(d.list[i].level == DIAGNOSTIC_ERROR     ? LOG_LEVEL_ERROR
                  : d.list[i].level == DIAGNOSTIC_WARNING ? LOG_LEVEL_WARN
                                                          : LOG_LEVEL_INFO,
                  "%s", d.list[i].text);
    if (r < 0)
        log_error("the configuration was not reloaded: %s", d.n_errors > 0 ? "see above" : strerror(-r));
    return r < 0 ? NULL : config;
}

static void on_updated(const struct update_row *rows, size_t n, void *arg)
{
    (void)rows;
    struct droverd *dd = arg;
    log_info("reloaded: %zu process group%s changed", n, n == 1 ? "" : "s");
    guarded_beat(dd->guarded);
    notifier_ready(dd->notifier);
}

/* In a native file HUP means reread and update. */
static void reload_in_place(struct droverd *dd, struct config *config)
{
    notifier_reloading(dd->notifier);
    int r = reload_adopt(dd->supervisor, config);
    if (r == 0)
        r = reload_update(dd->supervisor, NULL, 0, on_updated, dd, NULL);
    if (r < 0) {
        log_error("the configuration was not reloaded: %s", r == -EBUSY ? "an update is under way" : strerror(-r));
        notifier_ready(dd->notifier);
    }
}

static void reload(struct droverd *dd, bool in_place)
{
    if (dd->supervisor->state != SUPERVISOR_RUNNING) {
        log_warn("ignored a request to reload: the daemon is ending");
        return;
    }
    struct config *config = load_logged(dd);
    if (config == NULL)
        return;
    if (in_place && config->kind == CONFIG_NATIVE) {
        reload_in_place(dd, config);
    } else { /* all down, then all anew; on_all_stopped() goes on */
        note(dd, ANEW_NAME);
        notifier_reloading(dd->notifier);
        supervisor_shutdown(dd->supervisor, SUPERVISOR_RESTARTING);
    }
    config_unref(config);
}

/* `droverctl reload`, which is supervisorctl's in files of both kinds */
static void restart_everything(void *arg)
{
    reload(arg, false);
}

/* The old ones are closed first, whatever has changed: their passwords are the old
 * configuration's, and a place may be the same. */
static void serve_anew(struct droverd *dd, struct config *config)
{
    char why[512];
    struct listeners fresh;
    http_server_close_listeners(dd->control->http);
    listeners_close(&dd->begun.listeners);
    int r = listeners_open(config, &dd->begun.passed, dd->holder, &fresh, why, sizeof(why));
    if (r == 0) {
        dd->begun.listeners = fresh;
        r = listeners_serve(&dd->begun.listeners, config, dd->control->http);
    } else {
        log_error("%s", why);
    }
    if (r < 0)
        log_critical("the daemon cannot be controlled; correct the file and send HUP");
}

static void restart_all(struct droverd *dd)
{
    struct config *config = load_logged(dd);
    if (config == NULL) /* it could be read a moment ago */
        config = config_ref(dd->config);
    supervisor_clear(dd->supervisor);
    if (config != dd->config)
        serve_anew(dd, config);
    begin_log(config);
    config_unref(dd->config);
    dd->config = config;
    if (!config->daemon.nocleanup && !record_any_runs(dd->supervisor))
        autolog_clean(config->daemon.childlogdir, config->daemon.identifier);
    log_info("supervision begins anew with pid %d", dd->holder->guardian);
    int r = supervisor_load(dd->supervisor, config, NULL, 0);
    if (r < 0)
        log_critical("cannot load the configuration: %s", strerror(-r));
    holder_drop(dd->holder, ANEW_NAME);
    guarded_beat(dd->guarded);
}

/* -- the end ------------------------------------------------------------------ */

static void on_end(void *arg)
{
    struct droverd *dd = arg;
    loop_stop(dd->loop);
}

static void look_for_end(void *arg)
{
    struct droverd *dd = arg;
    if (http_server_idle(dd->control->http) || ++dd->end_looks > LAST_WORDS / (20 * USEC_PER_MSEC))
        on_end(dd);
    else
        loop_timer_set(dd->loop, &dd->end_timer, loop_now(dd->loop) + 20 * USEC_PER_MSEC, look_for_end, dd);
}

static void on_all_stopped(enum supervisor_state state, void *arg)
{
    struct droverd *dd = arg;
    if (state == SUPERVISOR_RESTARTING) {
        restart_all(dd);
        return;
    }
    if (dd->ending)
        return;
    dd->ending = true;
    http_server_end_listening(dd->control->http);
    look_for_end(dd);
}

static void shut_down(void *arg)
{
    struct droverd *dd = arg;
    note(dd, ENDING_NAME);
    begin_ending(&dd->begun);
    notifier_stopping(dd->notifier);
    supervisor_shutdown(dd->supervisor, SUPERVISOR_SHUTDOWN);
}

static void on_event(const struct event *e, void *arg)
{
    struct droverd *dd = arg;
    if (!exit_with_met(dd->supervisor, dd->config->daemon.exit_with, e, &dd->exit_status))
        return;
    log_info("exit_with: %s has ended; the daemon ends with status %d", event_name_text(e->name), dd->exit_status);
    shut_down(dd);
}

/* `droverctl upgrade` */
static int upgrade(const char *path, void (*done)(const char *why, void *done_arg), void *done_arg, void *arg)
{
    struct droverd *dd = arg;
    return successor_ask(dd->successor, path, done, done_arg);
}

static void leave(void *arg)
{
    struct droverd *dd = arg;
    int r = holder_leave(dd->holder);
    if (r != -EAGAIN)
        _exit(EXIT_SUCCESS);
    loop_timer_set(dd->loop, &dd->leave_timer, loop_now(dd->loop) + 5 * USEC_PER_MSEC, leave, dd);
}

/* As if we were killed, but that the next daemon reads the files, if they can be
 * read; if not, it goes on with what we have. */
static void on_told(bool again, void *arg)
{
    struct droverd *dd = arg;
    if (!again || dd->supervisor->state != SUPERVISOR_RUNNING) {
        shut_down(dd);
        return;
    }
    struct config *config = load_logged(dd);
    if (config != NULL)
        loads_forget(dd->loads);
    config_unref(config);
    log_info("systemd restarts the service: programs run on (keep_on_restart)");
    log_flush();
    leave(dd);
}

/* -- signals ------------------------------------------------------------------ */

static void end(struct droverd *dd)
{
    const struct config *c = dd->supervisor->config != NULL ? dd->supervisor->config : dd->config;
    if (c->daemon.keep_on_restart && dd->holder->notify && dd->supervisor->state == SUPERVISOR_RUNNING)
        restarting_ask(dd->restarting, on_told, dd);
    else
        shut_down(dd);
}

static bool on_signal(enum signals_wish wish, void *arg)
{
    struct droverd *dd = arg;
    switch (wish) {
    case SIGNALS_RELOAD:
        if (dd->supervisor->update != NULL && dd->supervisor->state == SUPERVISOR_RUNNING)
            return false; /* the file is read when that is over: it may change again */
        guarded_heeds(dd->guarded);
        reload(dd, true);
        break;
    case SIGNALS_REOPEN:
        log_reopen();
        supervisor_reopen_logs(dd->supervisor);
        break;
    case SIGNALS_END:
        end(dd);
        break;
    }
    return true;
}

/* -- the beginning ------------------------------------------------------------ */

static void on_started(void *arg)
{
    struct droverd *dd = arg;
    malloc_trim(0); /* what loading and starting took for a moment */
    notifier_ready(dd->notifier);
}

static void on_changed(void *arg)
{
    struct droverd *dd = arg;
    notifier_changed(dd->notifier);
}

static int build(struct droverd *dd)
{
    const struct supervisor_options so = { .environ = (const char *const *)environ,
                                           .nofile = dd->holder->nofile,
                                           .restore_nofile = true,
                                           .given_fds = dd->holder->given_fds,
                                           .holder = dd->holder,
                                           .journal = state_dir_journal(dd->begun.lock_path, dd->holder),
                                           .intent = state_dir_intent(dd->config),
                                           .started = on_started,
                                           .stopped = on_all_stopped,
                                           .changed = on_changed,
                                           .arg = dd };
    const struct control_hooks hooks = {
        .load = load_again, .reload = restart_everything, .shutdown = shut_down, .upgrade = upgrade, .arg = dd
    };
    int r = loop_new(&dd->loop);
    if (r == 0)
        r = supervisor_new(dd->loop, &so, &dd->supervisor);
    if (r == 0)
        r = notifier_new(dd->supervisor, dd->holder, &dd->notifier);
    if (r == 0)
        r = control_new(dd->supervisor, &hooks, &dd->control);
    if (r == 0)
        r = listeners_serve(&dd->begun.listeners, dd->config, dd->control->http);
    if (r == 0)
        r = restarting_new(dd->loop, &dd->restarting);
    if (r == 0)
        r = signals_watch(dd->loop, on_signal, dd, &dd->signals);
    if (r == 0)
        r = guarded_new(dd->supervisor, dd->holder, &dd->guarded);
    if (r == 0)
        r = successor_new(dd->loop, dd->holder, dd->control->http, &dd->successor);
    if (r == 0)
        guarded_on_answer(dd->guarded, successor_answered, dd->successor);
    return r;
}

static void on_turn_end(void *arg)
{
    struct droverd *dd = arg;
    if (dd->supervisor->groups_changed)
        loads_sync(dd->loads, dd->supervisor, dd->config);
    dd->supervisor->groups_changed = false;
    guarded_flush(dd->guarded);
    log_flush();
}

static void log_beginning(const struct droverd *dd)
{
    const struct holder *h = dd->holder;
    char words[128];
    struct exit_cause cause = exit_cause_from_wait(h->last_status);
    exit_cause_words(&cause, words, sizeof(words));
    if (h->upgrade_error != 0)
        log_error("the upgrade was not carried out: %s; the old program goes on", strerror(h->upgrade_error));
    if (h->last_upgraded)
        log_info("droverd %s goes on, with pid %d, where another has left off", DROVER_VERSION, h->guardian);
    else if (h->generation > 1)
        log_critical("the supervisor %s (%s); number %u takes over", h->last_hung ? "had stopped working" : "has ended",
                     words, h->generation);
    else
        log_info("droverd %s started with pid %d, configuration %s", DROVER_VERSION, h->guardian, dd->config->path);
    const struct feature *f;
    for (size_t i = 0; h->generation == 1 && (f = features_lacking(i)) != NULL; i++)
        log_info("this kernel, or a filter before it, has no %s: %s", f->name, f->otherwise);
}

static int serve(struct droverd *dd)
{
    const struct config_daemon *d = &dd->config->daemon;
    /* what runs already may still write to them */
    if (!d->nocleanup && dd->holder->generation == 1 && !record_any_runs(dd->supervisor))
        autolog_clean(d->childlogdir, d->identifier);
    if (geteuid() == 0 && d->user == NULL)
        log_warn("running as root, and so do the programs without a user of their own; user=root says that this is "
                 "meant");
    log_beginning(dd);
    events_subscribe(dd->supervisor->events, &dd->exit_with, on_event, dd);
    struct event e = { .type = EVENT_DAEMON, .text = strdup(dd->holder->generation == 1 ? "started" : "recovered") };
    events_add(dd->supervisor->events, &e);
    size_t n;
    const struct supervisor_part *parts = loads_parts(dd->loads, &n);
    struct config *latest = loads_latest(dd->loads);
    int r = supervisor_load(dd->supervisor, latest != NULL ? latest : dd->config, parts, n);
    if (r < 0) {
        log_critical("cannot load the configuration: %s", strerror(-r));
        return r;
    }
    if (!dd->was_ending && !dd->was_anew)
        reload_resume(dd->supervisor);
    holder_end_of_taking(dd->holder);
    if (dd->was_anew)
        holder_drop(dd->holder, ANEW_NAME); /* that of the one before; the files may be wrong by now */
    if (dd->was_ending)
        shut_down(dd);
    else if (dd->was_anew)
        reload(dd, false);
    loop_on_turn_end(dd->loop, on_turn_end, dd);
    http_server_before_reply(dd->control->http, on_turn_end, dd);
    log_hold(true);
    r = loop_run(dd->loop);
    log_hold(false);
    if (r < 0)
        return r;
    if (dd->holder->notify) /* a service that is stopped leaves nothing; by hand people may want it to */
        sweep_strays(dd->supervisor, dd->holder->guardian);
    return holder_bye(dd->holder, dd->exit_status);
}

static void finish(struct droverd *dd)
{
    sigset_t all; /* a second TERM must not kill us over what is left to do */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signals_free(dd->signals);
    restarting_free(dd->restarting);
    if (dd->loop != NULL) {
        loop_timer_clear(&dd->end_timer);
        loop_timer_clear(&dd->leave_timer);
    }
    events_unsubscribe(&dd->exit_with);
    control_free(dd->control);
    successor_free(dd->successor);
    guarded_free(dd->guarded);
    notifier_free(dd->notifier);
    if (dd->loop != NULL)
        supervisor_free(dd->supervisor);
    loop_free(dd->loop);
    begin_undo(&dd->begun, dd->config->daemon.pidfile);
    log_close();
    config_unref(dd->config);
}

int daemon_run(struct holder *h, const struct options *o, struct loads *loads, struct config *config)
{
    struct droverd dd = {
        .options = o, .loads = loads, .config = config_ref(config), .holder = h, .begun = BEGINNING_INIT(h, config)
    };
    int r = begin(&dd.begun);
    bool refused = r < 0;
    if (r == 0) {
        dd.was_ending = was_noted(&dd, ENDING_NAME);
        dd.was_anew = was_noted(&dd, ANEW_NAME);
        r = build(&dd);
    }
    if (r == 0)
        r = serve(&dd);
    if (r < 0 && !refused)
        log_critical("the daemon ends: %s", strerror(-r));
    finish(&dd);
    return r < 0 ? (refused ? 2 : EXIT_FAILURE) : dd.exit_status;
}
