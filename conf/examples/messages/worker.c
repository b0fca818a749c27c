/* A worker in C: one JSON text a line, in both directions.  The least that works; a real
 * one would take a JSON library, this one looks for the number of a question and repeats
 * what it was asked. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
    const char *number = getenv("DROVER_CHANNEL_FD");
    int fd = number != NULL ? atoi(number) : -1;
    FILE *in = fd >= 0 ? fdopen(fd, "r") : NULL, *out = fd >= 0 ? fdopen(dup(fd), "w") : NULL;
    char *line = NULL;
    size_t size = 0;
    if (in == NULL || out == NULL) {
        fputs("there is no channel\n", stderr);
        return 1;
    }
    fcntl(fd, F_SETFD, FD_CLOEXEC); /* programs that this one starts must not hold it */
    fputs("{\"ready\":\"c\"}\n", out);
    fflush(out);
    while (getline(&line, &size, in) > 0) {
        /* {"from":"$","id":7,"msg":...} */
        char *id = strstr(line, "\"id\":"), *msg = strstr(line, "\"msg\":"), *end = strrchr(line, '}');
        if (id == NULL || msg == NULL || end == NULL || end < msg)
            continue;
        *end = '\0';
        fprintf(out, "{\"re\":%ld,\"msg\":{\"worker\":\"c\",\"heard\":%s}}\n", strtol(id + 5, NULL, 10), msg + 6);
        fflush(out);
    }
    puts("the supervisor has closed the channel");
    return 0;
}
