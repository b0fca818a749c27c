/* log_place.h - a byte of a log that can be found again, whatever rotation did since.
 *
 * "ID:OFFSET": which file it was, by what the file system knows of it and not by its
 * name, and how many bytes before it.  Who has read on from there for N bytes is at
 * "ID:OFFSET+N", also when the file was rotated meanwhile: what is beyond its end is
 * in the next newer one. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#define LOG_PLACE_MAX 48

/* Of the open file; "" when it has no identity. */
void log_place_text(int fd, off_t offset, char text[LOG_PLACE_MAX]);

struct log_found {
    int fd;       /* the caller's */
    off_t offset; /* in that file */
    off_t size;   /* of it */
    bool older;   /* it was rotated: others follow it */
    bool missed;  /* the place is gone, and this is where one can go on */
};

/* Among the file of that name and its backups: 0; -EINVAL: that is no place; or the
 * errno of the file itself, then there is none. */
int log_place_find(const char *path, const char *text, struct log_found *ret);
