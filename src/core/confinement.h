/* confinement.h - what a process may use and do, beyond who it is: limits,
 * priorities, processors, capabilities.
 *
 * A value that all processes of a section share; most programs have none, so it
 * hangs off struct program by a pointer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFINEMENT_LIMITS 16 /* the kernel's RLIM_NLIMITS; indexed by RLIMIT_ number */
#define CONFINEMENT_CPUS 1024
#define CONFINEMENT_UNLIMITED UINT64_MAX
#define CONFINEMENT_UNSET INT32_MIN

struct confinement_limit {
    uint64_t soft, hard; /* CONFINEMENT_UNLIMITED */
};

struct confinement {
    struct confinement_limit limits[CONFINEMENT_LIMITS];
    uint16_t limits_set;                  /* bit N: limits[N] holds */
    int32_t nice;                         /* -20 to 19, or CONFINEMENT_UNSET */
    int32_t ionice;                       /* class << 13 | level as ioprio_set(2) has it, or CONFINEMENT_UNSET */
    int32_t oom_score_adj;                /* -1000 to 1000, or CONFINEMENT_UNSET */
    uint64_t cpus[CONFINEMENT_CPUS / 64]; /* bit N of the whole: processor N */
    bool cpus_set;
    bool no_new_privileges;
    bool capabilities_set;
    uint64_t capabilities; /* bit N: capability N is left, and raised as an ambient one */
};

/* The number of a capability by its name, with or without CAP_, in any case; or -1. */
int capability_number(const char *name);
/* "net_bind_service", or NULL for a number without a name. */
const char *capability_name(int number);
