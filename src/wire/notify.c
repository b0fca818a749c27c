/* notify.c - values to the lines of sd_notify(3).  Pure: no socket, no environment;
 * os/sdnotify.c sends what is written here. */
#include "wire/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

void notify_ready(struct buf *b)
{
    buf_puts(b, "READY=1\n");
}

void notify_reloading(struct buf *b, usec_t now)
{
    buf_printf(b, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\n", now);
}

void notify_stopping(struct buf *b)
{
    buf_puts(b, "STOPPING=1\n");
}

void notify_status(struct buf *b, const char *text)
{
    buf_puts(b, "STATUS=");
    for (; *text != '\0'; text++)
        buf_putc(b, (unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text);
    buf_putc(b, '\n');
}

int notify_address(const char *text, struct sockaddr_un *ret, socklen_t *ret_len)
{
    size_t len = strlen(text);
    bool abstract = text[0] == '@';
    if ((text[0] != '/' && !abstract) || len < 2)
        return -EINVAL;
    /* a path keeps its final NUL, an abstract name has none and may fill the room */
    if (len + (abstract ? 0 : 1) > sizeof(ret->sun_path))
        return -ENAMETOOLONG;
    *ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
    memcpy(ret->sun_path, text, len);
    if (abstract)
        ret->sun_path[0] = '\0';
    *ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (abstract ? 0 : 1));
    return 0;
}
