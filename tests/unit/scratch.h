/* scratch.h - a directory of the test's own: made, entered, and removed with all in it. */
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "base/cleanup.h"

static char scratch[256]; /* its absolute path */
static char scratch_home[4096];

static inline int scratch_enter(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(scratch, sizeof(scratch), "%s/drover-test-XXXXXX", tmp != NULL && strlen(tmp) < 200 ? tmp : "/tmp");
    return getcwd(scratch_home, sizeof(scratch_home)) == NULL || mkdtemp(scratch) == NULL || chdir(scratch) < 0 ||
           chmod(scratch, 0755) < 0;
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int scratch_leave(void **state)
{
    (void)state;
    return chdir(scratch_home) < 0 || nftw(scratch, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0;
}

static inline void make_file(const char *name, const char *content, mode_t mode)
{
    _cleanup_close_ int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    assert_int_equal(fchmod(fd, mode), 0);
}

/* NULL when there is no such file; to be freed. */
static inline char *content_of(const char *name)
{
    _cleanup_close_ int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return NULL;
    char *text = calloc(1, (size_t)st.st_size + 1);
    assert_non_null(text);
    assert_int_equal(read(fd, text, (size_t)st.st_size), st.st_size);
    return text;
}

static inline void assert_content(const char *name, const char *expected)
{
    _cleanup_free_ char *text = content_of(name);
    if (text == NULL)
        fail_msg("%s is not there", name);
    else
        assert_string_equal(text, expected);
}

static inline int count_fds(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    while (dir != NULL && readdir(dir) != NULL)
        n++;
    if (dir != NULL)
        closedir(dir);
    return n;
}
