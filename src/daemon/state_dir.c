/* state_dir.c - see state_dir.h. */
#include "daemon/state_dir.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "guardian/holder.h"
#include "os/intent.h"
#include "os/journal.h"

/* mkdir -p */
static int make_directory(const char *path)
{
    _cleanup_free_ char *copy = strdup(path);
    if (copy == NULL)
        return -ENOMEM;
    for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return mkdir(copy, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* Below /tmp, where somebody else may have been first: whoever can write there makes
 * a journal of which processes are ours. */
static int own_directory(const char *identifier, char **ret)
{
    struct stat st;
    char path[64];
    snprintf(path, sizeof(path), "/tmp/drover-%u", (unsigned)geteuid());
    if ((mkdir(path, 0700) < 0 && errno != EEXIST) || lstat(path, &st) < 0)
        return -errno;
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022) != 0)
        return -EPERM;
    return asprintf(ret, "%s/%s", path, identifier) < 0 ? -ENOMEM : 0;
}

static int default_directory(const struct config *config, char **ret)
{
    const char *runtime = getenv("RUNTIME_DIRECTORY"); /* systemd.exec(5); may list several */
    const char *xdg = getenv("XDG_RUNTIME_DIR");
    int n;
    if (runtime != NULL && *runtime != '\0')
        n = asprintf(ret, "%.*s", (int)strcspn(runtime, ":"), runtime);
    else if (geteuid() == 0 && config->kind == CONFIG_NATIVE)
        n = asprintf(ret, "/run/drover");
    else if (geteuid() == 0)
        n = asprintf(ret, "/run/drover/%s", config->daemon.identifier);
    else if (xdg != NULL && *xdg != '\0')
        n = asprintf(ret, "%s/drover/%s", xdg, config->daemon.identifier);
    else
        return own_directory(config->daemon.identifier, ret);
    return n < 0 ? -ENOMEM : 0;
}

/* What a lock of a supervisord file lies beside: NULL where that is /dev/null, whose
 * directory is nobody's to put files into. */
static const char *beside(const struct config *config)
{
    struct stat st;
    for (size_t i = 0; i < config->n_servers; i++)
        if (config->servers[i].is_unix)
            return config->servers[i].file;
    const char *pidfile = config->daemon.pidfile;
    return stat(pidfile, &st) == 0 && S_ISCHR(st.st_mode) ? NULL : pidfile;
}

int state_dir_lock_path(const struct config *config, char **ret)
{
    const char *given = config->daemon.state_dir;
    const char *neighbour = config->kind == CONFIG_SUPERVISORD && given == NULL ? beside(config) : NULL;
    if (neighbour != NULL)
        return asprintf(ret, "%s.lock", neighbour) < 0 ? -ENOMEM : 0;
    _cleanup_free_ char *directory = given != NULL ? strdup(given) : NULL;
    int r = given == NULL ? default_directory(config, &directory) : directory == NULL ? -ENOMEM : 0;
    return r < 0 ? r : asprintf(ret, "%s/lock", directory) < 0 ? -ENOMEM : 0;
}

int state_dir_make(const char *lock_path)
{
    const char *slash = strrchr(lock_path, '/');
    if (slash == NULL || slash == lock_path || strcmp(slash, "/lock") != 0) /* else it lies beside what is there */
        return 0;
    _cleanup_free_ char *directory = strndup(lock_path, (size_t)(slash - lock_path));
    return directory == NULL ? -ENOMEM : make_directory(directory);
}

/* As the guardian holds them: the file, and what that has no room for. */
#define JOURNAL_NAME "journal"
#define MORE_NAME "journal+"

static int open_journal(const char *path, const struct identity_era *era, struct journal **ret)
{
    enum journal_origin origin;
    int r = journal_open(path, era, ret, &origin);
    if (r == 0 && (origin == JOURNAL_DAMAGED || origin == JOURNAL_OTHER_VERSION))
        log_error("the journal %s is %s and was put aside as %s.refused; what runs already is not known", path,
                  journal_origin_name(origin), path);
    return r;
}

static void on_more(int fd, const char *path, void *arg)
{
    struct holder *h = arg;
    const char *where = path != NULL ? path : "in memory";
    if (fd < 0) {
        log_info("the journal %s has room for all processes again", where);
        holder_drop(h, MORE_NAME);
        return;
    }
    log_error(
        "the journal %s cannot grow: its disk has no room; processes that are added now are not found again if the "
        "guardian dies",
        where);
    holder_put(h, MORE_NAME, fd);
}

/* All that is held of it. */
static int take_journal(struct holder *h, const char *path, const struct identity_era *era, struct journal **ret)
{
    int held = holder_take(h, JOURNAL_NAME), more = holder_take(h, MORE_NAME);
    int r = held >= 0 ? journal_take(held, path, era, ret) : -ENOENT;
    if (r == 0 && more >= 0)
        journal_take_more(*ret, TAKE_FD(more));
    cleanup_close(&more);
    return r;
}

struct journal *state_dir_journal(const char *lock_path, struct holder *h)
{
    struct journal *j = NULL;
    struct identity_era era = { .pid_namespace = 0 };
    _cleanup_free_ char *path = NULL;
    int r = identity_era(&era);
    if (r == 0 && asprintf(&path, "%.*sjournal", (int)(strlen(lock_path) - strlen("lock")), lock_path) < 0) {
        path = NULL;
        r = -ENOMEM;
    }
    int taken = r == 0 ? take_journal(h, path, &era, &j) : r;
    if (r == 0 && taken < 0)
        r = open_journal(path, &era, &j);
    if (r < 0) {
        log_error("there is no journal beside %s: %s; processes are not found again if the guardian dies", lock_path,
                  strerror(-r));
        r = journal_memory(&era, &j);
    }
    if (r == 0 && taken < 0)
        holder_put(h, JOURNAL_NAME, journal_fd(j));
    journal_on_more(j, on_more, h);
    journal_reserve(j, 0); /* if there is more than the disk had room for, it may have by now */
    return j;
}

static int lasting_directory(const struct config *config, char **ret)
{
    const char *identifier = config->daemon.identifier;
    const char *given = getenv("STATE_DIRECTORY"); /* systemd.exec(5); may list several */
    const char *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n;
    if (config->daemon.state_dir != NULL)
        n = asprintf(ret, "%s", config->daemon.state_dir);
    else if (given != NULL && *given != '\0')
        n = asprintf(ret, "%.*s", (int)strcspn(given, ":"), given);
    else if (geteuid() == 0 && config->kind == CONFIG_NATIVE)
        n = asprintf(ret, "/var/lib/drover");
    else if (geteuid() == 0)
        n = asprintf(ret, "/var/lib/drover/%s", identifier);
    else if (xdg != NULL && *xdg == '/')
        n = asprintf(ret, "%s/drover/%s", xdg, identifier);
    else if (home != NULL && *home == '/')
        n = asprintf(ret, "%s/.local/state/drover/%s", home, identifier);
    else
        return -ENOENT;
    return n < 0 ? -ENOMEM : 0;
}

static int open_intent(const struct config *config, char **path, struct intent **ret)
{
    unsigned damaged = 0;
    _cleanup_free_ char *directory = NULL;
    int r = lasting_directory(config, &directory);
    if (r == 0)
        r = make_directory(directory);
    if (r == 0 && asprintf(path, "%s/intent", directory) < 0) {
        *path = NULL;
        r = -ENOMEM;
    }
    if (r == 0)
        r = intent_open(*path, ret, &damaged);
    if (r == 0 && damaged > 0) {
        log_error("%s: damaged lines are passed over (%u): a program that an operator has stopped may start", *path,
                  damaged);
        r = intent_sync(*ret);
    }
    return r;
}

struct intent *state_dir_intent(const struct config *config)
{
    struct intent *it = NULL;
    _cleanup_free_ char *path = NULL;
    int r = config->daemon.remember_stop ? open_intent(config, &path, &it) : 0;
    if (r < 0)
        log_warn("what operators stop is not remembered over a restart: %s: %s; set state_dir, or remember_stop=false",
                 path != NULL   ? path
                 : r == -ENOENT ? "no HOME says where"
                                : "there is no directory for it",
                 strerror(-r));
    return it;
}
