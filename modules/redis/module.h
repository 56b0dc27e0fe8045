/* SPDX-License-Identifier: Apache-2.0
 * What the parts of the module share. */
#ifndef ZVM_MODULE_H
#define ZVM_MODULE_H

#include "options.h"
#include "redis.h"
#include <stdbool.h>
#include <zvm_session.h>

/* Set once, when the module is loaded. */
struct module {
    struct options options;
    RedisModuleCtx *ctx; /* for Redis's thread outside of commands, and for the log on any thread */
    zvm_host *host;
};

extern struct module module;

/* Replies with an error: the code in capitals, then a text. Control characters become spaces, since a line break would end the reply. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
int reply_error(RedisModuleCtx *ctx, const char *code, const char *format, ...);

/* What follows libzvm's message of an error: it says which folders it has searched for a provider, and cannot know who would name
 * them. */
const char *who_configures(const zvfs_error *err);

/* Whether the user of this context administers the server. Redis 7.0 puts no command of a module into a category: MODULE LIST, which is in
 * those of administrators, stands for ours. */
bool may_administer(RedisModuleCtx *ctx);

/* Why a client of this context cannot wait for something; NULL: it can. */
const char *why_not_wait(RedisModuleCtx *ctx);

#endif
