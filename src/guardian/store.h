/* store.h - the second line: what the guardian holds, held by systemd besides.
 *
 * The descriptor store of the service manager (FileDescriptorStoreMax=, sd_notify(3)):
 * when the guardian itself dies, the next one is given back what was stored.  Used
 * where the environment has FDSTORE, the number of descriptors that it takes. */
#pragma once

#include "guardian/mail.h"

/* At the first start: what the manager gives back is held again, and the store used
 * from now on if there is one. */
void store_open(struct guardian *g);

/* The descriptor is held under that name from now on, or no more.  Never waits;
 * what the manager has no room for is not stored. */
void store_put(struct guardian *g, uint64_t name, int fd);
void store_drop(struct guardian *g, uint64_t name);
/* All is over: what comes next begins anew. */
void store_clear(struct guardian *g);
