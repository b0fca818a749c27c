/* config_image.h - a loaded configuration, as it lies in memory, for another process
 * with the same addresses.
 *
 * Supervisors are forks of one guardian, so what one has loaded the next one can map
 * where it was, in place of reading a thousand sections again.  Elsewhere, and in
 * another program, an image is refused; a snapshot (snapshot.h) serves everybody. */
#pragma once

#include "config/config.h"

/* A sealed memfd with the whole of it, which from here on stands in this process for
 * what it is a copy of, so that the memory is not needed twice.  A negative errno: c is
 * as before. */
int config_image_write(struct config *c);
/* Borrows fd.  *ret has one reference.  -ESTALE: written under another guardian, or a
 * part of its place is taken; -EBADMSG: no image; other errors as those of mmap(2). */
int config_image_map(int fd, struct config **ret);
