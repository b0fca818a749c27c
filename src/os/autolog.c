/* autolog.c - see autolog.h.  Looks at names, never into a file.  Owns nothing. */
#include "os/autolog.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "...---IDENTIFIER-" then at least one more, ".log", and up to ".1234" */
static bool is_ours(const char *name, const char *identifier)
{
    char mark[256];
    int n = snprintf(mark, sizeof(mark), "---%s-", identifier);
    const char *at = n > 0 && (size_t)n < sizeof(mark) ? strstr(name, mark) : NULL;
    if (at == NULL || at == name)
        return false;
    at += n;
    const char *log = strstr(at, ".log");
    if (log == NULL || log == at || strpbrk(at, " /") != NULL)
        return false;
    log += strlen(".log");
    if (*log == '.')
        log++;
    for (int digits = 0; *log != '\0'; log++, digits++)
        if (!isdigit((unsigned char)*log) || digits == 4)
            return false;
    return true;
}

void autolog_clean(const char *directory, const char *identifier)
{
    DIR *dir = opendir(directory);
    if (dir == NULL)
        return;
    const struct dirent *e;
    while ((e = readdir(dir)) != NULL) {
        struct stat st;
        if (is_ours(e->d_name, identifier) && fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode))
            unlinkat(dirfd(dir), e->d_name, 0);
    }
    closedir(dir);
}
