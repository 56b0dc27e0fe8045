/* SPDX-License-Identifier: Apache-2.0
 * Programs by name: ZVM.LOAD, ZVM.UNLOAD, ZVM.LIST, ZVM.INFO. The table belongs to Redis's thread; a call holds its program, so that one
 * that is replaced lives until its last call is over. */
#ifndef ZVM_PROGRAM_H
#define ZVM_PROGRAM_H

#include "bytes.h"
#include "redis.h"
#include "target.h"
#include <stdatomic.h>
#include <zvm_session.h>

/* The longest name, in characters. */
enum { PROGRAM_NAME_MAX = 64 };

struct program {
    struct program *next;
    atomic_uint holders;
    char name[PROGRAM_NAME_MAX + 1];
    struct bytes manifest;
    struct needs needs;
    zvm_template *shared; /* compiled */
    atomic_ullong calls, failures, waiting, running;
};

/* Adds the commands. Returns REDIS_OK or REDIS_ERR. */
int program_commands(RedisModuleCtx *ctx);

/* `load NAME FILE` of the module's arguments; compiles it. Returns REDIS_OK, or REDIS_ERR once the log says what is wrong. */
int program_load_file(RedisModuleCtx *ctx, const char *name, const char *file);

/* The program of a name, held for the caller, or NULL. */
struct program *program_find(const char *name);
void program_release(struct program *program);

/* Forgets all programs. */
void program_clear(void);

/* Programs that are being compiled for ZVM.LOAD: while there are any, the module stays. */
unsigned program_loading(void);

#endif
