/* successor.c - stands for a droverd that is asked whether it can go on, and fails in the way that SUCCESSOR names,
 * or, without that, what follows "successor-" in the name of its file.
 *
 * hang; crash; status N; copy FILE (what it was given, then no); shut (says yes, and can then not be executed) */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int copy(const char *path)
{
    char block[4096];
    const char *number = getenv("DROVER_STATE");
    int from = number != NULL ? (int)strtol(number, NULL, 10) : -1, to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t n;
    while ((n = read(from, block, sizeof(block))) > 0)
        if (write(to, block, (size_t)n) != n)
            return 1;
    return n == 0 ? 1 : 2;
}

int main(void)
{
    char own[4096] = "", name[4096] = "";
    const char *what = getenv("SUCCESSOR");
    if (what == NULL || what[0] == '\0') {
        const char *dash = readlink("/proc/self/exe", name, sizeof(name) - 1) > 0 ? strstr(name, "successor-") : NULL;
        what = dash != NULL ? dash + strlen("successor-") : "";
    }
    if (strcmp(what, "hang") == 0)
        pause();
    if (strcmp(what, "crash") == 0)
        abort();
    if (strncmp(what, "copy ", 5) == 0)
        return copy(what + 5);
    if (strcmp(what, "shut") == 0)
        return readlink("/proc/self/exe", own, sizeof(own) - 1) > 0 ? chmod(own, 0) : 1;
    return strncmp(what, "status ", 7) == 0 ? (int)strtol(what + 7, NULL, 10) : 2;
}
