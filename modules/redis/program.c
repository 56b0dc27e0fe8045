/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"
#include "module.h"
#include "pool.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zvm_session.h>

/* The largest manifest that is read from a file: the grammar's own limit, and one byte more so that a larger one is noticed. */
enum { MANIFEST_MAX = (512 << 10) + 1 };

static struct program *programs;

static void free_program(struct program *program) {
    if (!program) return;
    bytes_free(&program->manifest);
    zvm_template_free(program->shared);
    free(program);
}

void program_release(struct program *program) {
    if (atomic_fetch_sub(&program->holders, 1) == 1) free_program(program);
}

/* Where the pointer to a program of this name is, or would be. */
static struct program **place_of(const char *name) {
    struct program **place = &programs;
    while (*place && strcmp((*place)->name, name) != 0) place = &(*place)->next;
    return place;
}

struct program *program_find(const char *name) {
    struct program *found = *place_of(name);
    if (found) atomic_fetch_add(&found->holders, 1);
    return found;
}

void program_clear(void) {
    while (programs) {
        struct program *first = programs;
        programs = first->next;
        program_release(first);
    }
}

static bool is_name(const char *name, size_t size) {
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    return size >= 1 && size <= PROGRAM_NAME_MAX && strspn(name, allowed) == size;
}

/* A key has one writer: looks for another one before the source of this index. */
static int32_t check_writer(zvm_template *shared, uint64_t index, const zvm_source *source, zvfs_error *err) {
    zvm_source earlier = {.struct_size = sizeof earlier};
    size_t key = target_written_key(source);
    for (uint64_t i = 0; key && i < index && zvm_template_source(shared, i, &earlier, NULL) == 0; i++)
        if (target_written_key(&earlier) == key)
            return zvfs_fail(err, ZVFS_EINVAL, "channel %s: %s: channel %s writes this key too", source->alias, source->source,
                             earlier.alias);
    return 0;
}

/* What the manifest's channels need of a call. */
static int32_t find_needs(struct program *program, zvfs_error *err) {
    zvm_source source = {.struct_size = sizeof source};
    int32_t code = 0;
    for (uint64_t i = 0; !code && zvm_template_source(program->shared, i, &source, NULL) == 0; i++) {
        code = target_check(&source, &program->needs, err);
        if (!code) code = check_writer(program->shared, i, &source, err);
    }
    return code;
}

/* Makes a program that is in no table yet, and is not compiled. Takes over the manifest, also when it fails. NULL: `err`
 * says why. */
static struct program *make(const char *name, size_t name_size, struct bytes manifest, zvfs_error *err) {
    zvm_session_options options = {.struct_size = sizeof options, .host = module.host};
    struct program *program = calloc(1, sizeof *program);
    if (!program) {
        bytes_free(&manifest);
        zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
        return NULL;
    }
    atomic_init(&program->holders, 1);
    program->manifest = manifest;
    if (!is_name(name, name_size)) {
        zvfs_fail(err, ZVFS_EINVAL, "a name has 1 to %d letters, digits, `-`, `_` and `.`", PROGRAM_NAME_MAX);
    } else {
        memcpy(program->name, name, name_size);
        if (zvm_template_new(manifest.data ? manifest.data : "", manifest.size, &options, &program->shared, err) == 0 &&
            find_needs(program, err) == 0)
            return program;
    }
    free_program(program);
    return NULL;
}

static int32_t check_name_is_free(const char *name, bool replace, zvfs_error *err) {
    if (replace || !*place_of(name)) return 0;
    return zvfs_fail(err, ZVFS_EEXIST, "a program %s is loaded: add REPLACE, or unload it first", name);
}

/* Puts it into the table, in the place of an older one. */
static void add(struct program *program) {
    struct program **place = place_of(program->name), *old = *place;
    program->next = old ? old->next : NULL;
    *place = program;
    if (old) program_release(old);
}

/* ---- ZVM.LOAD ---------------------------------------------------------------------------------------------------- */

/* A program on its way into the table: its client waits until it is compiled, on a thread of its own. */
struct loading {
    struct loading *next;
    RedisModuleBlockedClient *client;
    struct program *program; /* NULL: it is in the table */
    bool replace, failed;
    zvfs_error error;
};

static atomic_uint loadings;
static struct loading *first_loading; /* of Redis's thread */

unsigned program_loading(void) { return atomic_load(&loadings); }

/* Whether calls can run: what no call could open is an error here, and not each call's; then the program is compiled. */
static int32_t prepare(const struct program *program, zvfs_error *err) {
    zvm_session *session;
    int32_t code = zvm_template_session(program->shared, &session, err);
    if (code) return code;
    code = zvm_session_check(session, err);
    zvm_session_free(session);
    return code ? code : zvm_template_prepare(program->shared, err);
}

static void *compile(void *data) {
    struct loading *loading = data;
    pool_be_nice();
    loading->failed = prepare(loading->program, &loading->error) != 0;
    RedisModule_UnblockClient(loading->client, loading);
    return NULL;
}

static int reply_load(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    struct loading *loading = RedisModule_GetBlockedClientPrivateData(ctx);
    (void)argv, (void)argc;
    if (!loading->failed)
        loading->failed = check_name_is_free(loading->program->name, loading->replace, &loading->error) != 0;
    if (loading->failed) return reply_error(ctx, "ERR", "zvm.load: %s%s", loading->error.message, who_configures(&loading->error));
    add(loading->program);
    loading->program = NULL;
    return RedisModule_ReplyWithSimpleString(ctx, "OK");
}

/* Its client has gone: nobody would have the program. */
static void cancel_loading(RedisModuleCtx *ctx, RedisModuleBlockedClient *client) {
    (void)ctx;
    for (struct loading *loading = first_loading; loading; loading = loading->next)
        if (loading->client == client && loading->program) zvm_template_free(loading->program->shared);
}

static void free_loading(RedisModuleCtx *ctx, void *data) {
    struct loading *loading = data, **at = &first_loading;
    (void)ctx;
    while (*at && *at != loading) at = &(*at)->next;
    if (*at) *at = loading->next;
    free_program(loading->program);
    free(loading);
    atomic_fetch_sub(&loadings, 1);
}

/* Takes over the program. */
static int begin_load(RedisModuleCtx *ctx, struct program *program, bool replace) {
    struct loading *loading = calloc(1, sizeof *loading);
    pthread_t thread;
    if (!loading) {
        free_program(program);
        return reply_error(ctx, "ERR", "zvm.load: out of memory");
    }
    atomic_fetch_add(&loadings, 1);
    loading->program = program;
    loading->replace = replace;
    loading->error.struct_size = sizeof loading->error;
    loading->client = RedisModule_BlockClient(ctx, reply_load, NULL, free_loading, 0);
    RedisModule_SetDisconnectCallback(loading->client, cancel_loading);
    loading->next = first_loading;
    first_loading = loading;
    if (pthread_create(&thread, NULL, compile, loading) == 0) {
        pthread_detach(thread);
        return REDIS_OK;
    }
    RedisModule_AbortBlock(loading->client);
    free_loading(ctx, loading);
    return reply_error(ctx, "ERR", "zvm.load: no thread can be started");
}

static struct bytes bytes_of(RedisModuleString *text) {
    struct bytes bytes = {0};
    size_t size;
    const char *data = RedisModule_StringPtrLen(text, &size);
    bytes_copy(&bytes, data, size); /* out of memory: an empty manifest, which is refused */
    return bytes;
}

static int refuse_user(RedisModuleCtx *ctx) {
    return reply_error(ctx, "NOPERM", "programs are loaded and unloaded by administrators: give the user +module|list too");
}

/* ZVM.LOAD name manifest [REPLACE] [PROGRAM bytes] */
static int load(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    const char *why_not = why_not_wait(ctx), *name, *binary = NULL;
    size_t name_size, binary_size = 0;
    bool replace = false;
    struct program *program;
    zvfs_error err = {.struct_size = sizeof err};
    if (argc < 3) return RedisModule_WrongArity(ctx);
    if (why_not) return reply_error(ctx, "ERR", "zvm.load: %s", why_not);
    if (!may_administer(ctx)) return refuse_user(ctx);
    for (int i = 3; i < argc; i++) {
        const char *word = RedisModule_StringPtrLen(argv[i], NULL);
        if (strcasecmp(word, "REPLACE") == 0)
            replace = true;
        else if (strcasecmp(word, "PROGRAM") == 0 && i + 1 < argc)
            binary = RedisModule_StringPtrLen(argv[++i], &binary_size);
        else
            return reply_error(ctx, "ERR", "write ZVM.LOAD name manifest [REPLACE] [PROGRAM bytes]");
    }
    name = RedisModule_StringPtrLen(argv[1], &name_size);
    program = make(name, name_size, bytes_of(argv[2]), &err);
    if (!program) return reply_error(ctx, "ERR", "zvm.load: %s", err.message);
    if (check_name_is_free(program->name, replace, &err) == 0 &&
        (!binary || zvm_template_program(program->shared, binary, binary_size, &err) == 0))
        return begin_load(ctx, program, replace);
    free_program(program);
    return reply_error(ctx, "ERR", "zvm.load: %s", err.message);
}

/* A manifest's text; empty once the log says why not. */
static struct bytes read_file(RedisModuleCtx *ctx, const char *file) {
    struct bytes text = {0};
    FILE *open = fopen(file, "rb");
    if (open && bytes_resize(&text, MANIFEST_MAX, MANIFEST_MAX)) text.size = fread(text.data, 1, MANIFEST_MAX, open);
    if (!open || ferror(open) || text.size == 0) {
        RedisModule_Log(ctx, "warning", "argument load: read %s: %s", file, errno ? strerror(errno) : "it is empty");
        bytes_free(&text);
    }
    if (open) fclose(open);
    return text;
}

int program_load_file(RedisModuleCtx *ctx, const char *name, const char *file) {
    zvfs_error err = {.struct_size = sizeof err};
    struct program *program;
    struct bytes manifest;
    errno = 0;
    manifest = read_file(ctx, file);
    if (!manifest.data) return REDIS_ERR;
    program = make(name, strlen(name), manifest, &err);
    if (program && check_name_is_free(program->name, false, &err) == 0 && prepare(program, &err) == 0) {
        add(program);
        return REDIS_OK;
    }
    free_program(program);
    RedisModule_Log(ctx, "warning", "argument load: %s: %s%s", file, err.message, who_configures(&err));
    return REDIS_ERR;
}

/* ---- The other commands ------------------------------------------------------------------------------------------ */

/* ZVM.UNLOAD name */
static int unload(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    struct program **place, *program;
    const char *name;
    if (argc != 2) return RedisModule_WrongArity(ctx);
    if (!may_administer(ctx)) return refuse_user(ctx);
    name = RedisModule_StringPtrLen(argv[1], NULL);
    place = place_of(name);
    program = *place;
    if (!program) return reply_error(ctx, "NOPROGRAM", "no program %s is loaded", name);
    if (atomic_load(&program->waiting) + atomic_load(&program->running) > 0)
        return reply_error(ctx, "BUSY", "unload %s: its calls are running or waiting", name);
    *place = program->next;
    program_release(program);
    return RedisModule_ReplyWithSimpleString(ctx, "OK");
}

/* ZVM.LIST */
static int list(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    long count = 0;
    (void)argv;
    if (argc != 1) return RedisModule_WrongArity(ctx);
    for (const struct program *each = programs; each; each = each->next) count++;
    RedisModule_ReplyWithArray(ctx, count);
    for (const struct program *each = programs; each; each = each->next)
        RedisModule_ReplyWithStringBuffer(ctx, each->name, strlen(each->name));
    return REDIS_OK;
}

static void reply_field(RedisModuleCtx *ctx, const char *name, unsigned long long value) {
    RedisModule_ReplyWithStringBuffer(ctx, name, strlen(name));
    RedisModule_ReplyWithLongLong(ctx, (long long)value);
}

/* ZVM.INFO name */
static int info(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    struct program *program;
    const char *name;
    if (argc != 2) return RedisModule_WrongArity(ctx);
    name = RedisModule_StringPtrLen(argv[1], NULL);
    program = *place_of(name);
    if (!program) return reply_error(ctx, "NOPROGRAM", "no program %s is loaded", name);
    RedisModule_ReplyWithMap(ctx, 5);
    RedisModule_ReplyWithStringBuffer(ctx, "manifest", 8);
    RedisModule_ReplyWithStringBuffer(ctx, program->manifest.data, program->manifest.size);
    reply_field(ctx, "calls", atomic_load(&program->calls));
    reply_field(ctx, "failures", atomic_load(&program->failures));
    reply_field(ctx, "waiting", atomic_load(&program->waiting));
    reply_field(ctx, "running", atomic_load(&program->running));
    return REDIS_OK;
}

int program_commands(RedisModuleCtx *ctx) {
    static const struct {
        const char *name;
        redis_command_fn *run;
        const char *flags;
    } commands[] = {
        {"zvm.load", load, "admin deny-oom deny-script blocking"},
        {"zvm.unload", unload, "admin deny-script"},
        {"zvm.list", list, "readonly fast allow-stale"},
        {"zvm.info", info, "readonly fast allow-stale"},
    };
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (RedisModule_CreateCommand(ctx, commands[i].name, commands[i].run, commands[i].flags, 0, 0, 0) != REDIS_OK)
            return REDIS_ERR;
    return REDIS_OK;
}
