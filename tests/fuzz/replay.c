/* replay.c - a main for a fuzz target without libFuzzer: feeds it every file that
 * is named, the empty input first. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "fuzz.h"

#define INPUT_MAX (1U << 20)

int main(int argc, char **argv)
{
    static uint8_t data[INPUT_MAX];
    LLVMFuzzerTestOneInput(data, 0);
    for (int i = 1; i < argc; i++) {
        _cleanup_fclose_ FILE *f = fopen(argv[i], "re");
        if (f == NULL) {
            perror(argv[i]);
            return EXIT_FAILURE;
        }
        LLVMFuzzerTestOneInput(data, fread(data, 1, sizeof(data), f));
    }
    printf("%d inputs replayed\n", argc);
    return EXIT_SUCCESS;
}
