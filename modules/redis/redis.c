/* SPDX-License-Identifier: Apache-2.0 */
#include "redis.h"
#include <string.h>

#define DEFINE(result, name, parameters) result(*RedisModule_##name) parameters;
REDIS_FUNCTIONS(DEFINE)

int redis_bind(RedisModuleCtx *ctx, const char *name, int version) {
    int (*give)(const char *name, void *place);
    int missing = 0;
    /* A context begins with the function that gives all others. */
    memcpy(&give, ctx, sizeof give);
#define BIND(result, function, parameters) missing |= give("RedisModule_" #function, (void *)&RedisModule_##function);
    REDIS_FUNCTIONS(BIND)
    if (missing || RedisModule_IsModuleNameBusy(name)) return REDIS_ERR;
    RedisModule_SetModuleAttribs(ctx, name, version, REDIS_API_VERSION);
    return REDIS_OK;
}
