/* SPDX-License-Identifier: Apache-2.0
 * The module: what Redis calls when it loads and unloads it. README.md says how to use it.
 *
 *     module.c    here: arguments, the host of the sessions, the threads
 *     program.c   programs by name: ZVM.LOAD, ZVM.UNLOAD, ZVM.LIST, ZVM.INFO
 *     call.c      ZVM.CALL, from the command to the reply
 *     pool.c      the threads that run sessions
 *     provider.c  the provider `redis`, through which a guest reaches its call
 *     target.c    what that provider's descriptors name
 *     keys.c      the keys of a call, read and written on Redis's thread: errand.c brings work there
 *     reply.c     from what a guest wrote to a reply
 *     log.c       from a guest's standard error to Redis's log
 */
#include "module.h"
#include "call.h"
#include "compiler.h"
#include "pool.h"
#include "program.h"
#include "provider.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { VERSION = 1 };

struct module module;

const char *who_configures(const zvfs_error *err) {
    if (module.options.config || err->code != ZVFS_EPROTONOSUPPORT) return "";
    return "; no operator's file is named: give the module the argument config";
}

int reply_error(RedisModuleCtx *ctx, const char *code, const char *format, ...) {
    char line[1600];
    va_list arguments;
    int size = snprintf(line, sizeof line, "%s ", code);
    va_start(arguments, format);
    vsnprintf(line + size, sizeof line - (size_t)size, format, arguments);
    va_end(arguments);
    for (char *each = line; *each; each++)
        if ((unsigned char)*each < ' ') *each = ' ';
    return RedisModule_ReplyWithError(ctx, line);
}

bool may_administer(RedisModuleCtx *ctx) {
    RedisModuleString *name = RedisModule_GetCurrentUserName(ctx);
    RedisModuleUser *user = RedisModule_GetModuleUserFromUserName(name);
    RedisModuleString *words[2] = {RedisModule_CreateString(ctx, "MODULE", 6), RedisModule_CreateString(ctx, "LIST", 4)};
    bool may = user && RedisModule_ACLCheckCommandPermissions(user, words, 2) == REDIS_OK;
    if (user) RedisModule_FreeModuleUser(user);
    RedisModule_FreeString(ctx, name);
    for (int i = 0; i < 2; i++) RedisModule_FreeString(ctx, words[i]);
    return may;
}

const char *why_not_wait(RedisModuleCtx *ctx) {
    int flags = RedisModule_GetContextFlags(ctx);
    if (flags & REDIS_IN_MULTI) return "the server would stand still until it is done: call it outside of MULTI";
    if (flags & REDIS_IN_LUA) return "the server would stand still until it is done: call it from a client, not from a script";
    if (flags & REDIS_DENY_BLOCKING) return "this client cannot wait: call it from another";
    return NULL;
}

static void ZVFS_CALL log_line(void *unused, uint32_t level, const char *text) {
    (void)unused;
    RedisModule_Log(module.ctx, level <= ZVFS_LOG_WARNING ? "warning" : "notice", "%s", text);
}

/* How much nicer than the server its guests and compilers are: unless somebody says so, enough that they get what it leaves of the
 * cores. */
static int niceness(RedisModuleCtx *ctx) {
    if (module.options.nice != NICE_NOT_SAID) return (int)module.options.nice;
    if (pool_may_be_nice()) return NICE_DEFAULT;
    RedisModule_Log(ctx, "warning",
                    "guests share the cores with the server, which may not set priorities: add SystemCallFilter=setpriority to its unit, "
                    "or say nice 0");
    return 0;
}

/* What the sessions share. Returns REDIS_OK, or REDIS_ERR once the log says what is wrong. */
static int make_host(RedisModuleCtx *ctx) {
    const struct options *options = &module.options;
    zvm_host_options host = {.struct_size = sizeof host,
                             .configuration = options->config,
                             .worker = options->worker,
                             .cache_folder = options->cache_folder,
                             .cache_key = options->cache_key,
                             .log = log_line,
                             .jobs = (uint64_t)options->threads,
                             .flags = ZVM_HOST_POOLED};
    zvfs_error err = {.struct_size = sizeof err};
    int32_t code;
    pool_set_niceness(niceness(ctx));
    code = zvm_host_new(&host, &module.host, &err);
    if (code == -ZVFS_ENOMEM) {
        /* Slower, and nothing else. */
        RedisModule_Log(ctx, "warning", "%s: each session maps its own", err.message);
        host.flags = 0;
        code = zvm_host_new(&host, &module.host, &err);
    }
    if (code || zvm_host_register(module.host, &redis_provider, &err)) {
        RedisModule_Log(ctx, "warning", "%s", err.message);
        return REDIS_ERR;
    }
    if (options->worker && compiler_check(module.host, &err)) {
        RedisModule_Log(ctx, "warning", "argument worker: %s", err.message);
        return REDIS_ERR;
    }
    return REDIS_OK;
}

static int make_threads(RedisModuleCtx *ctx) {
    const struct options *options = &module.options;
    int failed = pool_start((unsigned)options->threads, (unsigned)options->queue);
    if (failed) RedisModule_Log(ctx, "warning", "start %lld threads: %s", options->threads, strerror(failed));
    return failed ? REDIS_ERR : REDIS_OK;
}

static void take_down(void) {
    program_clear();
    zvm_host_free(module.host);
    options_free(&module.options);
    if (module.ctx) RedisModule_FreeThreadSafeContext(module.ctx);
    memset(&module, 0, sizeof module);
}

/* Linked so that it is never unloaded: a second MODULE LOAD finds the same memory, so everything is set here. */
__attribute__((visibility("default"))) int RedisModule_OnLoad(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    struct options defaults = {.threads = 4, .queue = 1000, .nice = NICE_NOT_SAID, .value_limit = 64 << 20};
    if (redis_bind(ctx, "zvm", VERSION) != REDIS_OK) return REDIS_ERR;
    memset(&module, 0, sizeof module);
    module.options = defaults;
    module.ctx = RedisModule_GetDetachedThreadSafeContext(ctx);
    if (options_read(ctx, argv, argc, &module.options, NULL) == REDIS_OK && make_host(ctx) == REDIS_OK &&
        options_read(ctx, argv, argc, &module.options, program_load_file) == REDIS_OK && program_commands(ctx) == REDIS_OK &&
        call_commands(ctx) == REDIS_OK && make_threads(ctx) == REDIS_OK)
        return REDIS_OK;
    take_down();
    return REDIS_ERR;
}

/* Refused while calls are running: their threads are in here. */
__attribute__((visibility("default"))) int RedisModule_OnUnload(RedisModuleCtx *ctx) {
    if (call_count() > 0 || program_loading() > 0) {
        RedisModule_Log(ctx, "warning", "%llu calls run or wait, %u programs are being loaded: the module stays", call_count(),
                        program_loading());
        return REDIS_ERR;
    }
    pool_stop();
    take_down();
    return REDIS_OK;
}
