/* SPDX-License-Identifier: Apache-2.0
 * The keys that a call was given: their values when its guest started, and what the guest wrote. What touches Redis's data runs on
 * Redis's own thread, never longer than it takes to copy or compare these values. */
#ifndef ZVM_KEYS_H
#define ZVM_KEYS_H

#include "bytes.h"
#include "redis.h"
#include <stdbool.h>
#include <zvfs_provider.h>

enum key_state { KEY_ABSENT, KEY_STRING, KEY_OF_OTHER_TYPE, KEY_TOO_LARGE };

struct key {
    struct bytes name;
    enum key_state state;
    struct bytes value;
    bool was_read;         /* by the guest, so it must not have changed when the guest's own writes are made */
    bool open_for_writing;
    bool has_next;         /* `next` is complete, and not yet in Redis */
    struct bytes next;
};

struct keys {
    struct key *list;
    size_t count;
    bool are_read;
    bool read_only; /* ZVM.CALL_RO */
    bool conflicted; /* a key that the guest had read was changed by somebody else, so nothing was written */
};

/* Makes `count` keys without names or values. False: out of memory. */
bool keys_make(struct keys *keys, size_t count);
void keys_free(struct keys *keys);

/* Copies the values of all keys of database `db`, at one moment. On Redis's thread. */
int32_t keys_read(RedisModuleCtx *ctx, struct keys *keys, int db, zvfs_error *err);

/* Writes all complete values, at one moment and as one command for replicas and the append-only file; or none. On Redis's thread.
 * ESTALE: a key that was read has changed. EINVAL: a key holds something else than a string. EBUSY: no writes now, later again. */
int32_t keys_write(RedisModuleCtx *ctx, struct keys *keys, int db, zvfs_error *err);

#endif
