/* exec_lookup.c - see exec_lookup.h.  Looks at files, runs nothing. */
#include "os/exec_lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define DEFAULT_PATH "/bin:/usr/bin:/usr/local/bin" /* where supervisord looks without a PATH */

/* the tests supervisord makes, in its order */
static int check_executable(int dirfd, const char *file)
{
    struct stat st;
    if (fstatat(dirfd, file, &st, 0) < 0)
        return -ENOENT;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if ((st.st_mode & 0111) == 0)
        return -ENOEXEC;
    return faccessat(dirfd, file, X_OK, AT_EACCESS) < 0 ? -EACCES : 0;
}

static int lookup_with_slash(const char *word, const char *directory, char **ret)
{
    _cleanup_close_ int dirfd = -1;
    if (word[0] != '/' && directory != NULL) {
        dirfd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dirfd < 0) /* the child will say so, at the stage where it belongs */
            return (*ret = strdup(word)) == NULL ? -ENOMEM : 0;
    }
    int r = check_executable(dirfd >= 0 ? dirfd : AT_FDCWD, word);
    if (r < 0)
        return r;
    return (*ret = strdup(word)) == NULL ? -ENOMEM : 0;
}

int exec_lookup(const char *word, const char *path, const char *directory, char **ret)
{
    if (strchr(word, '/') != NULL)
        return lookup_with_slash(word, directory, ret);
    if (path == NULL)
        path = DEFAULT_PATH;
    int found = -ENOENT;
    while (*path != '\0') {
        size_t length = strcspn(path, ":");
        _cleanup_free_ char *file = NULL;
        if (asprintf(&file, "%.*s/%s", length > 0 ? (int)length : 1, length > 0 ? path : ".", word) < 0) {
            file = NULL;
            return -ENOMEM;
        }
        int r = check_executable(AT_FDCWD, file);
        if (r == 0) {
            *ret = TAKE_PTR(file);
            return 0;
        }
        if (found == -ENOENT) /* something of that name, if nothing better comes */
            found = r;
        path += length + (path[length] == ':');
    }
    return found;
}

/* The interpreter of a script, or an empty string. */
static void read_interpreter(const char *file, char *buf, size_t size)
{
    buf[0] = '\0';
    char head[256];
    _cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n = fd < 0 ? -1 : read(fd, head, sizeof(head) - 1);
    if (n < 3 || head[0] != '#' || head[1] != '!')
        return;
    head[n] = '\0';
    char *start = head + 2 + strspn(head + 2, " \t");
    start[strcspn(start, " \t\n")] = '\0';
    snprintf(buf, size, "%s", start);
}

static void explain_exec(int error, const char *file, char *buf, size_t size)
{
    char interpreter[256];
    read_interpreter(file, interpreter, sizeof(interpreter));
    size_t length = strlen(interpreter);
    if (error == ENOENT && length > 0 && interpreter[length - 1] == '\r')
        snprintf(buf, size, "exec %s: interpreter \"%.*s\\r\" not found; the script has DOS line ends", file,
                 (int)length - 1, interpreter);
    else if (error == ENOENT && length > 0)
        snprintf(buf, size, "exec %s: interpreter \"%s\" not found", file, interpreter);
    else if (error == EACCES && length > 0 && access(file, X_OK) == 0)
        snprintf(buf, size, "exec %s: interpreter \"%s\" may not be executed", file, interpreter);
    else if (error == ENOEXEC)
        snprintf(buf, size, "exec %s: no program for this machine; a script needs a #! line", file);
    else
        snprintf(buf, size, "exec %s: %s (%s)", file, strerror(error), strerrorname_np(error) ?: "?");
}

void exec_explain(enum spawn_stage stage, int error, const char *file, const char *directory, const char *user,
                  char *buf, size_t size)
{
    const char *name = strerrorname_np(error) ?: "?";
    switch (stage) {
    case SPAWN_STAGE_COMMAND:
        snprintf(buf, size, "command: %s",
                 error == ENODATA ? "it is empty; name a program"
                                  : "a quotation is not closed, or a backslash ends it");
        break;
    case SPAWN_STAGE_EXEC:
        explain_exec(error, file, buf, size);
        break;
    case SPAWN_STAGE_DIRECTORY:
        snprintf(buf, size, "chdir %s: %s (%s)", directory != NULL ? directory : "", strerror(error), name);
        break;
    case SPAWN_STAGE_USER:
    case SPAWN_STAGE_GROUPS:
    case SPAWN_STAGE_GID:
    case SPAWN_STAGE_UID:
    case SPAWN_STAGE_VERIFY:
        snprintf(buf, size, "%s: cannot become user %s: %s (%s)", spawn_stage_name(stage), user != NULL ? user : "?",
                 error == EPERM ? "the daemon does not run as root" : strerror(error), name);
        break;
    case SPAWN_STAGE_LIMITS:
        snprintf(buf, size, "limits: %s (%s)", error == EPERM ? "only root may raise a hard limit" : strerror(error),
                 name);
        break;
    case SPAWN_STAGE_LOOKUP:
        snprintf(buf, size, "lookup %s: %s (%s)", file,
                 error == ENOEXEC ? "the file has no execute permission" : strerror(error), name);
        break;
    default:
        snprintf(buf, size, "%s %s: %s (%s)", spawn_stage_name(stage), file, strerror(error), name);
    }
}
