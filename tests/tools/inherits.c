/* inherits.c - prints everything that a program inherits from whoever started it.
 *
 *     inherits [FILE]
 *
 * One "key value" a line, to FILE or to standard output: arguments, ids, groups,
 * session, process group, directory, umask, signals that are blocked or ignored,
 * limits, environment, and every open descriptor with the file that it is.  All is
 * looked at before FILE is opened.  Ends with 0. */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

static const struct {
    const char *name;
    __rlimit_resource_t resource;
} limits[] = {
    { "nofile", RLIMIT_NOFILE }, { "nproc", RLIMIT_NPROC }, { "core", RLIMIT_CORE },       { "stack", RLIMIT_STACK },
    { "fsize", RLIMIT_FSIZE },   { "as", RLIMIT_AS },       { "memlock", RLIMIT_MEMLOCK }, { "cpu", RLIMIT_CPU },
};

static const char *type_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "file";
    case S_IFDIR:
        return "directory";
    case S_IFCHR:
        return "character";
    case S_IFIFO:
        return "pipe";
    case S_IFSOCK:
        return "socket";
    default:
        return "other";
    }
}

/* "fd 1 8:12345 pipe cloexec=0 nonblock=0 access=1" */
static void print_descriptors(FILE *out)
{
    DIR *dir = opendir("/proc/self/fd");
    const struct dirent *e;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        struct stat st;
        int fd = (int)strtol(e->d_name, NULL, 10);
        if (e->d_name[0] == '.' || fd == dirfd(dir) || fstat(fd, &st) < 0)
            continue;
        int flags = fcntl(fd, F_GETFL);
        fprintf(out, "fd %d %lu:%lu %s cloexec=%d nonblock=%d access=%d\n", fd, (unsigned long)st.st_dev,
                (unsigned long)st.st_ino, type_of(st.st_mode), (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0,
                (flags & O_NONBLOCK) != 0, flags & O_ACCMODE);
    }
    if (dir != NULL)
        closedir(dir);
}

/* The line with its blanks and tabs as single blanks, and without the colon. */
static void print_squeezed(FILE *out, const char *line)
{
    bool blank = false;
    for (; *line != '\0'; line++) {
        if (*line == ' ' || *line == '\t' || *line == '\n' || *line == ':') {
            blank = true;
            continue;
        }
        if (blank)
            fputc(' ', out);
        blank = false;
        fputc(*line, out);
    }
    fputc('\n', out);
}

/* What only the kernel's own list says in full: all four uids and gids, the groups
 * and the signals as it has them, libc's two included. */
static void print_status(FILE *out)
{
    static const char *const wanted[] = { "Uid:", "Gid:", "Groups:", "SigBlk:", "SigIgn:", "SigPnd:", "CapEff:" };
    char line[4096];
    _cleanup_fclose_ FILE *status = fopen("/proc/self/status", "re");
    while (status != NULL && fgets(line, sizeof(line), status) != NULL)
        for (size_t i = 0; i < ELEMENTS(wanted); i++)
            if (strncmp(line, wanted[i], strlen(wanted[i])) == 0)
                print_squeezed(out, line);
}

static void print_place(FILE *out)
{
    char cwd[4096];
    mode_t mask = umask(0);
    umask(mask);
    fprintf(out, "cwd %s\numask %04o\n", getcwd(cwd, sizeof(cwd)) != NULL ? cwd : "?", (unsigned)mask);
    fprintf(out, "pid %d\nppid %d\npgid %d\nsid %d\n", getpid(), getppid(), getpgid(0), getsid(0));
}

static void print_limits(FILE *out)
{
    for (size_t i = 0; i < ELEMENTS(limits); i++) {
        struct rlimit l;
        if (getrlimit(limits[i].resource, &l) == 0)
            fprintf(out, "limit %s %llu %llu\n", limits[i].name, (unsigned long long)l.rlim_cur,
                    (unsigned long long)l.rlim_max);
    }
}

static int write_out(const char *path, const char *text, size_t len)
{
    _cleanup_close_ int fd = path != NULL ? open(path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0666) : dup(1);
    while (fd >= 0 && len > 0) {
        ssize_t n = write(fd, text, len);
        if (n <= 0)
            return EXIT_FAILURE;
        text += n;
        len -= (size_t)n;
    }
    return fd >= 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    _cleanup_free_ char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len); /* no descriptor of its own */
    if (out == NULL)
        return EXIT_FAILURE;
    for (int i = 0; i < argc; i++)
        fprintf(out, "argv %d %s\n", i, argv[i]);
    print_descriptors(out);
    print_place(out);
    print_status(out);
    print_limits(out);
    for (char **e = environ; *e != NULL; e++)
        fprintf(out, "env %s\n", *e);
    fclose(out);
    return write_out(argc > 1 ? argv[1] : NULL, text, len);
}
