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

static int default_directory(const struct config *config, char **ret)
{
    const char *runtime = getenv("RUNTIME_DIRECTORY"); /* systemd.exec(5); may list several */
    const char *xdg = getenv("XDG_RUNTIME_DIR");
    int n;
    if (runtime != NULL && *runtime != '\0')
        n = asprintf(ret, "%.*s", (int)strcspn(runtime, ":"), runtime);
    else if (geteuid() == 0)
        n = asprintf(ret, "/run/drover");
    else if (xdg != NULL && *xdg != '\0')
        n = asprintf(ret, "%s/drover/%s", xdg, config->daemon.identifier);
    else
        n = asprintf(ret, "/tmp/drover-%u/%s", (unsigned)geteuid(), config->daemon.identifier);
    return n < 0 ? -ENOMEM : 0;
}

static const char *beside(const struct config *config)
{
    for (size_t i = 0; i < config->n_servers; i++)
        if (config->servers[i].is_unix)
            return config->servers[i].file;
    return config->daemon.pidfile;
}

int state_dir_lock_path(const struct config *config, char **ret)
{
    if (config->kind == CONFIG_SUPERVISORD && config->daemon.state_dir == NULL)
        return asprintf(ret, "%s.lock", beside(config)) < 0 ? -ENOMEM : 0;
    _cleanup_free_ char *directory = NULL;
    int r = 0;
    if (config->daemon.state_dir != NULL)
        r = (directory = strdup(config->daemon.state_dir)) == NULL ? -ENOMEM : 0;
    else
        r = default_directory(config, &directory);
    if (r == 0)
        r = make_directory(directory);
    if (r < 0)
        return r;
    return asprintf(ret, "%s/lock", directory) < 0 ? -ENOMEM : 0;
}

static int open_journal(const char *lock_path, struct journal **ret)
{
    struct identity_era era;
    enum journal_origin origin;
    _cleanup_free_ char *path = NULL;
    if (asprintf(&path, "%.*sjournal", (int)(strlen(lock_path) - strlen("lock")), lock_path) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    int r = identity_era(&era);
    if (r == 0)
        r = journal_open(path, &era, ret, &origin);
    if (r == 0 && (origin == JOURNAL_DAMAGED || origin == JOURNAL_OTHER_VERSION))
        log_error("the journal %s is %s and was put aside as %s.refused; what runs already is not known", path,
                  journal_origin_name(origin), path);
    return r;
}

struct journal *state_dir_journal(const char *lock_path)
{
    struct journal *j = NULL;
    int r = open_journal(lock_path, &j);
    if (r < 0)
        log_error("there is no journal beside %s: %s; processes are not found again if the daemon dies", lock_path,
                  strerror(-r));
    return j;
}
