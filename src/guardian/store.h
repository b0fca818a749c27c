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

/* What the roll holds under that name is stored from now on, or nothing is any more.
 * Never waits.  More than the manager stores is not stored; what its socket has no room
 * for just now is owed: the last word about a name counts. */
void store_put(struct guardian *g, uint64_t name);
void store_drop(struct guardian *g, uint64_t name);
/* Tells what is owed, as far as there is room. */
void store_tell(struct guardian *g);
/* All is over: what comes next begins anew. */
void store_clear(struct guardian *g);

/* Of another program: false when it cannot be gone on with. */
bool store_is_whole(const struct store *s);
