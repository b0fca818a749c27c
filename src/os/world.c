/* world.c - see world.h.
 *
 * The only place where loading a configuration meets the system.  Reads regular
 * files only and bounded, so that no FIFO or device named in an [include] can
 * stop the daemon; sorts what glob finds by bytes, not by the locale.  Keeps
 * nothing between calls; what it returns in memory is the caller's. */
#include "os/world.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/parse.h"

#define FILE_MAX (64UL << 20)
#define FOUND_MAX 100000
#define ENTRY_MAX (1UL << 20) /* of one line of the user or group database */

/* --- files --------------------------------------------------------------------- */

static int read_all(int fd, char **text, size_t *len)
{
    _cleanup_free_ char *data = NULL;
    size_t used = 0, capacity = 0;
    for (;;) {
        if (used + 1 >= capacity) {
            capacity = capacity == 0 ? 16384 : capacity * 2;
            char *bigger = realloc(data, capacity);
            if (bigger == NULL)
                return -ENOMEM;
            data = bigger;
        }
        ssize_t n = read(fd, data + used, capacity - used - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
        if (used > FILE_MAX)
            return -EFBIG;
    }
    data[used] = '\0';
    *text = TAKE_PTR(data);
    *len = used;
    return 0;
}

static int read_file(void *ctx, const char *path, char **text, size_t *len)
{
    struct stat st;
    (void)ctx;
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    return read_all(fd, text, len);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int copy_paths(const glob_t *found, char ***paths)
{
    if (found->gl_pathc > FOUND_MAX)
        return -E2BIG;
    char **list = calloc(found->gl_pathc + 1, sizeof *list);
    if (list == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < found->gl_pathc; i++) {
        list[i] = strdup(found->gl_pathv[i]);
        if (list[i] != NULL)
            continue;
        while (i > 0)
            free(list[--i]);
        free(list);
        return -ENOMEM;
    }
    qsort(list, found->gl_pathc, sizeof *list, by_bytes);
    *paths = list;
    return 0;
}

static int find_files(void *ctx, const char *pattern, char ***paths)
{
    glob_t found = { 0 };
    (void)ctx;
    int r = glob(pattern, GLOB_NOSORT | GLOB_NOESCAPE, NULL, &found);
    int result = r == 0 || r == GLOB_NOMATCH ? copy_paths(&found, paths) : r == GLOB_NOSPACE ? -ENOMEM : -EIO;
    globfree(&found);
    return result;
}

static bool is_directory(void *ctx, const char *path)
{
    struct stat st;
    (void)ctx;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool exists(void *ctx, const char *path)
{
    (void)ctx;
    return access(path, F_OK) == 0;
}

/* --- users and groups ------------------------------------------------------------ */

static bool is_number(const char *text, int64_t *id)
{
    return parse_int(text, id) == 0;
}

/* Runs a look-up with a buffer that grows until the entry fits. */
static int find_passwd(const char *name, int64_t uid, struct passwd *entry, char **buffer)
{
    for (size_t size = 4096; size <= ENTRY_MAX; size *= 2) {
        struct passwd *found = NULL;
        char *bigger = realloc(*buffer, size);
        if (bigger == NULL)
            return -ENOMEM;
        *buffer = bigger;
        int r = name != NULL ? getpwnam_r(name, entry, bigger, size, &found)
                             : getpwuid_r((uid_t)uid, entry, bigger, size, &found);
        if (r != ERANGE)
            return found != NULL ? 0 : -ENOENT;
    }
    return -ENOENT;
}

static int find_group_entry(const char *name, int64_t gid, struct group *entry, char **buffer)
{
    for (size_t size = 4096; size <= ENTRY_MAX; size *= 2) {
        struct group *found = NULL;
        char *bigger = realloc(*buffer, size);
        if (bigger == NULL)
            return -ENOMEM;
        *buffer = bigger;
        int r = name != NULL ? getgrnam_r(name, entry, bigger, size, &found)
                             : getgrgid_r((gid_t)gid, entry, bigger, size, &found);
        if (r != ERANGE)
            return found != NULL ? 0 : -ENOENT;
    }
    return -ENOENT;
}

static int keep_name(const char *name, bool root, char *out, size_t size)
{
    int n = snprintf(out, size, "%s", root ? "root" : name);
    return (size_t)n < size ? 0 : -ENAMETOOLONG;
}

static int find_user(void *ctx, const char *text, struct config_user *ret)
{
    _cleanup_free_ char *buffer = NULL;
    struct passwd entry;
    int64_t uid = 0;
    (void)ctx;
    bool number = is_number(text, &uid);
    if (number && (uid < 0 || uid >= UINT32_MAX))
        return -ENOENT;
    int r = find_passwd(number ? NULL : text, uid, &entry, &buffer);
    if (r < 0)
        return r;
    struct config_user user = { .uid = entry.pw_uid, .gid = entry.pw_gid };
    r = keep_name(entry.pw_name, entry.pw_uid == 0, user.name, sizeof user.name);
    if (r == 0)
        *ret = user;
    return r;
}

static int find_group(void *ctx, const char *text, gid_t *gid, char name[64])
{
    _cleanup_free_ char *buffer = NULL;
    struct group entry;
    int64_t id = 0;
    (void)ctx;
    bool number = is_number(text, &id);
    if (number && (id < 0 || id >= UINT32_MAX))
        return -ENOENT;
    int r = find_group_entry(number ? NULL : text, id, &entry, &buffer);
    if (r == 0)
        r = keep_name(entry.gr_name, entry.gr_gid == 0, name, 64);
    if (r == 0)
        *gid = entry.gr_gid;
    return r;
}

/* $HOME for ~, as the shell; the database for ~user, or without a $HOME. */
static int home_of(void *ctx, const char *user, char *buf, size_t size)
{
    _cleanup_free_ char *buffer = NULL;
    struct passwd entry;
    (void)ctx;
    const char *home = user == NULL ? getenv("HOME") : NULL;
    if (home == NULL) {
        int r = find_passwd(user, getuid(), &entry, &buffer);
        if (r < 0)
            return r;
        home = entry.pw_dir;
    }
    size_t len = strlen(home);
    while (len > 0 && home[len - 1] == '/') /* "~/x" has a slash of its own */
        len--;
    if (len >= size)
        return -ENAMETOOLONG;
    memcpy(buf, home, len);
    buf[len] = '\0';
    return 0;
}

/* --- the whole --------------------------------------------------------------------- */

/* The first directory of the usual ones that can be written to. */
static void find_tmpdir(struct world *w)
{
    const char *const places[] = { getenv("TMPDIR"), getenv("TEMP"), getenv("TMP"), "/tmp", "/var/tmp", w->cwd };
    for (size_t i = 0; i < ELEMENTS(places); i++) {
        if (places[i] == NULL || strlen(places[i]) >= sizeof w->tmpdir || !is_directory(NULL, places[i]) ||
            access(places[i], W_OK | X_OK) < 0)
            continue;
        snprintf(w->tmpdir, sizeof w->tmpdir, "%s", places[i]);
        return;
    }
    snprintf(w->tmpdir, sizeof w->tmpdir, "/tmp");
}

int world_open(struct world *w)
{
    memset(w, 0, sizeof *w);
    if (getcwd(w->cwd, sizeof w->cwd) == NULL)
        snprintf(w->cwd, sizeof w->cwd, "/"); /* removed under us: nothing relative can be meant */
    if (gethostname(w->host, sizeof w->host) < 0)
        return -errno;
    w->host[sizeof w->host - 1] = '\0';
    find_tmpdir(w);
    w->config_world = (struct config_world){
        .environ = (const char *const *)environ,
        .cwd = w->cwd,
        .host = w->host,
        .tmpdir = w->tmpdir,
        .uid = geteuid(),
        .read_file = read_file,
        .glob = find_files,
        .user = find_user,
        .group = find_group,
        .home = home_of,
        .is_directory = is_directory,
        .exists = exists,
    };
    return 0;
}

void world_close(struct world *w)
{
    w->config_world = (struct config_world){ 0 };
}
