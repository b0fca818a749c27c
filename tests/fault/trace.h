/* trace.h - what the jobs of tests/fault leave of themselves: a line each in DIRECTORY/trace; for fault-job.c and
 * fault-worker.c, which set both of these first. */
#pragma once

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const char *directory, *name;

static inline void path_of(char path[512], const char *prefix, const char *suffix)
{
    snprintf(path, 512, "%s/%s%s", directory, prefix, suffix);
}

/* One write in append mode, so that lines of several stay whole. */
__attribute__((format(printf, 1, 2))) static inline void trace(const char *format, ...)
{
    char path[512], line[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    path_of(path, "trace", "");
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, line, (size_t)n) != n)
        _exit(111);
    close(fd);
}
