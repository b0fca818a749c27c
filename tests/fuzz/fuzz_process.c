/* fuzz_process.c - arbitrary lives against the laws of core/process.
 *
 * The bytes choose a program's settings and then events; see tests/unit/process_random.h. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../unit/process_random.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct watched w;
    struct dice dice = { .data = data, .left = size };
    const char *broken = random_life(&w, &dice);
    if (broken != NULL) {
        fprintf(stderr, "broken: %s (in %s)\n", broken, process_state_name(w.p.state));
        abort();
    }
    return 0;
}
