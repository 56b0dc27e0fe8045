/* SPDX-License-Identifier: Apache-2.0
 * The module's arguments: `loadmodule .../zvm.so threads 8 queue 200 config /etc/zvfs/zvfs.toml`. */
#ifndef ZVM_OPTIONS_H
#define ZVM_OPTIONS_H

#include "redis.h"

enum { NICE_NOT_SAID = -1, NICE_DEFAULT = 10 };

struct options {
    long long threads;     /* sessions that run at once */
    long long queue;       /* calls that may wait for a thread; one more is refused */
    long long nice;        /* what the sessions' threads add to Redis's own nice value, or NICE_NOT_SAID */
    long long value_limit; /* bytes: the most that one key's value or one reply may have */
    /* Paths, or NULL; the options of a zvm_host. */
    char *config, *worker, *cache_folder, *cache_key;
};

/* Where `load NAME FILE` goes: `file` holds a manifest. */
typedef int options_load_fn(RedisModuleCtx *ctx, const char *name, const char *file);

/* Reads the arguments. Returns REDIS_OK, or REDIS_ERR once the log says what is wrong. `load` may be NULL: such arguments are then
 * only checked. */
int options_read(RedisModuleCtx *ctx, RedisModuleString **argv, int argc, struct options *out, options_load_fn *load);

void options_free(struct options *options);

#endif
