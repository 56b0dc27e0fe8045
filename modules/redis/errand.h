/* SPDX-License-Identifier: Apache-2.0
 * Work on Redis's own thread, asked for by a session's. */
#ifndef ZVM_ERRAND_H
#define ZVM_ERRAND_H

#include "call.h"

/* What to do with a call's keys: keys_read, keys_write. */
typedef int32_t errand_fn(RedisModuleCtx *ctx, struct keys *keys, int db, zvfs_error *err);

/* Has Redis's thread do it in its next turn, and waits; again and again while it says EBUSY. Returns its result, or a negative code:
 * ECANCELED or ETIMEDOUT if the context ended first, and then it was not done and won't be. */
int32_t errand_run(struct call *call, errand_fn *run, const zvfs_host *host, zvfs_context *context, zvfs_error *err);

#endif
