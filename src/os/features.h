/* features.h - what the kernel may lack, and what is done instead.
 *
 * Drover runs on Linux from 5.10 on.  Newer kernels spare it work or doubt; a seccomp
 * filter (older container runtimes have one) can take away even what is old. */
#pragma once

#include <stddef.h>

struct feature {
    const char *name;
    const char *otherwise; /* how it goes without */
};

/* The i-th one that is not to be had here; NULL past the last.  Looks once, at the
 * first call. */
const struct feature *features_lacking(size_t i);
