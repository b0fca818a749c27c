/* ansi.c - see ansi.h.  Pure; the state between two calls is the caller's. */
#include "core/ansi.h"

size_t ansi_strip(enum ansi_state *state, char *data, size_t len)
{
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)data[i];
        if (*state == ANSI_TEXT && c != 0x1b) {
            data[out++] = (char)c;
        } else if (*state == ANSI_TEXT) {
            *state = ANSI_ESCAPE;
        } else if (*state == ANSI_ESCAPE) {
            if (c == 0x1b) /* begins anew */
                continue;
            *state = c == '[' ? ANSI_SEQUENCE : ANSI_TEXT;
            if (c != '[') /* some other escape: the ESC is gone, the rest stays */
                data[out++] = (char)c;
        } else if (c >= 0x40 && c <= 0x7e) { /* a final byte (ECMA-48, 5.4) */
            *state = ANSI_TEXT;
        }
    }
    return out;
}
