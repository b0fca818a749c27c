/* cleanup.h - resources that leave with their scope.
 *
 * _cleanup_(f) runs f on the variable when it goes out of scope; TAKE_PTR and
 * TAKE_FD hand the value on and leave the empty value behind, so that exactly
 * one place owns it at any time.  A descriptor that is not open is -1. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _cleanup_free_ _cleanup_(cleanup_free)
#define _cleanup_close_ _cleanup_(cleanup_close)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)

static inline void cleanup_free(void *p)
{
    free(*(void **)p);
}

/* close(2) that keeps errno and takes -1; never retried on EINTR, since Linux
 * has freed the number by then (close(2), "Dealing with error returns"). */
static inline void cleanup_close(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
        *fd = -1;
    }
}

static inline void cleanup_fclose(FILE **f)
{
    if (*f != NULL)
        fclose(*f);
}

#define TAKE_PTR(p)                                                                                                    \
    ({                                                                                                                 \
        __typeof__(p) t_ = (p);                                                                                        \
        (p) = NULL;                                                                                                    \
        t_;                                                                                                            \
    })

#define TAKE_FD(fd)                                                                                                    \
    ({                                                                                                                 \
        int t_ = (fd);                                                                                                 \
        (fd) = -1;                                                                                                     \
        t_;                                                                                                            \
    })

#define ELEMENTS(a) (sizeof(a) / sizeof((a)[0]))
