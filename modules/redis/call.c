/* SPDX-License-Identifier: Apache-2.0 */
#include "call.h"
#include "module.h"
#include "pool.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_ullong count, next_id = 1;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Those that have no report yet; under the lock. */
static struct call *live;

/* For INFO. */
static atomic_ullong refused, cancelled;

/* ---- Life ------------------------------------------------------------------------------------------------------- */

void call_hold(struct call *call) { atomic_fetch_add(&call->holders, 1); }

void call_release(struct call *call) {
    if (atomic_fetch_sub(&call->holders, 1) != 1) return;
    keys_free(&call->keys);
    for (size_t i = 0; i < call->argument_count; i++) bytes_free(&call->arguments[i]);
    free(call->arguments);
    bytes_free(&call->reply);
    program_release(call->program);
    free(call);
    atomic_fetch_sub(&count, 1);
}

unsigned long long call_count(void) { return atomic_load(&count); }

struct call *call_find(uint64_t id) {
    struct call *call;
    pthread_mutex_lock(&lock);
    for (call = live; call && call->id != id; call = call->next_live) continue;
    if (call) call_hold(call);
    pthread_mutex_unlock(&lock);
    return call;
}

static void add_to_live(struct call *call) {
    pthread_mutex_lock(&lock);
    call->next_live = live;
    live = call;
    pthread_mutex_unlock(&lock);
}

static void remove_from_live(struct call *call) {
    struct call **place = &live;
    pthread_mutex_lock(&lock);
    while (*place != call) place = &(*place)->next_live;
    *place = call->next_live;
    pthread_mutex_unlock(&lock);
}

static bool copy_text(struct bytes *bytes, RedisModuleString *text) {
    size_t size;
    const char *data = RedisModule_StringPtrLen(text, &size);
    return bytes_copy(bytes, data, size);
}

/* Takes over the program, also when it fails. NULL: out of memory. */
static struct call *make(struct program *program, RedisModuleString **keys, size_t key_count, RedisModuleString **arguments,
                         size_t argument_count) {
    struct call *call = calloc(1, sizeof *call);
    bool copied;
    if (!call) {
        program_release(program);
        return NULL;
    }
    atomic_init(&call->holders, 1);
    atomic_fetch_add(&count, 1);
    call->id = atomic_fetch_add(&next_id, 1);
    call->program = program;
    call->arguments = calloc(argument_count + 1, sizeof *call->arguments);
    copied = call->arguments && keys_make(&call->keys, key_count);
    for (size_t i = 0; copied && i < key_count; i++) copied = copy_text(&call->keys.list[i].name, keys[i]);
    for (; copied && call->argument_count < argument_count; call->argument_count++)
        copied = copy_text(&call->arguments[call->argument_count], arguments[call->argument_count]);
    if (copied) return call;
    call_release(call);
    return NULL;
}

/* ---- The session ------------------------------------------------------------------------------------------------ */

#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static void fail(struct call *call, const char *code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(call->error, sizeof call->error, format, arguments);
    va_end(arguments);
    call->error_code = code;
}

static void judge(struct call *call, zvm_session *session) {
    int32_t exit_code = zvm_session_exit_code(session);
    int64_t guest_code = zvm_session_guest_code(session);
    if (guest_code > 0)
        fail(call, "ZVM", "%s: the guest exited with %" PRId64 "%s%s", call->program->name, guest_code, *call->last_line ? ": " : "",
             call->last_line);
    else if (*call->fault.text)
        fail(call, "ZVM", "%s: malformed reply, so nothing was written: %s", call->program->name, call->fault.text);
    else if (exit_code != 0)
        fail(call, call->keys.conflicted ? "CONFLICT" : "ZVM", "%s: %s", call->program->name, zvm_session_state(session));
    if (call->error_code)
        RedisModule_Log(module.ctx, "verbose", "zvm.call %s: %s", call->program->name, zvm_session_report(session, ZVM_REPORT_LINE));
}

/* Gives the guest its arguments. */
static int32_t add_arguments(const struct call *call, zvm_session *session, zvfs_error *err) {
    int32_t code = 0;
    for (size_t i = 0; i < call->argument_count && !code; i++) {
        const struct bytes *argument = &call->arguments[i];
        bool fits = argument->size <= ARGUMENT_MAX && !(argument->size && memchr(argument->data, 0, argument->size));
        char *text = strndup(fits && argument->size ? argument->data : "", fits ? argument->size : 0);
        code = zvm_session_argument(session, text ? text : "", err);
        free(text);
    }
    return code;
}

/* Makes the session. The channels that its manifest names are opened by the providers, ours too. */
static int32_t prepare(struct call *call, zvm_session **out, zvfs_error *err) {
    char job[24];
    zvm_session *session;
    int32_t code = zvm_template_session(call->program->shared, &session, err);
    if (code) return code;
    snprintf(job, sizeof job, "%" PRIu64, call->id);
    if ((code = zvm_session_job(session, job, err)) || (code = add_arguments(call, session, err)))
        zvm_session_free(session);
    else
        *out = session;
    return code;
}

/* Tells whoever cancels which session it is, or that it is over. Returns whether the call was cancelled before. */
static bool show_session(struct call *call, zvm_session *session) {
    bool was_cancelled;
    pthread_mutex_lock(&lock);
    call->session = session;
    was_cancelled = call->cancelled;
    pthread_mutex_unlock(&lock);
    return was_cancelled;
}

static void run_session(struct call *call) {
    zvfs_error err = {.struct_size = sizeof err};
    zvm_session *session = NULL;
    if (prepare(call, &session, &err)) {
        fail(call, "ZVM", "%s: %s", call->program->name, err.message);
        return;
    }
    if (show_session(call, session))
        fail(call, "ZVM", "%s: cancelled", call->program->name);
    else if (zvm_session_run(session, &err))
        fail(call, "ZVM", "%s: %s", call->program->name, err.message);
    else
        judge(call, session);
    show_session(call, NULL);
    zvm_session_free(session);
}

void call_run(struct call *call) {
    struct program *program = call->program;
    atomic_fetch_sub(&program->waiting, 1);
    atomic_fetch_add(&program->running, 1);
    run_session(call);
    if (call->error_code) atomic_fetch_add(&program->failures, 1);
    atomic_fetch_sub(&program->running, 1);
    remove_from_live(call);
    RedisModule_UnblockClient(call->client, call);
}

/* ---- On Redis's thread ------------------------------------------------------------------------------------------ */

static int send_reply(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    struct call *call = RedisModule_GetBlockedClientPrivateData(ctx);
    (void)argv, (void)argc;
    if (call->error_code) return reply_error(ctx, call->error_code, "%s", call->error);
    reply_send(ctx, call->form, &call->reply);
    return REDIS_OK;
}

static void release_data(RedisModuleCtx *ctx, void *data) {
    (void)ctx;
    call_release(data);
}

/* The client has gone: nobody waits for the session any more. */
static void cancel(RedisModuleCtx *ctx, RedisModuleBlockedClient *client) {
    (void)ctx;
    pthread_mutex_lock(&lock);
    for (struct call *call = live; call; call = call->next_live) {
        if (call->client != client || call->cancelled) continue;
        call->cancelled = true;
        atomic_fetch_add(&cancelled, 1);
        if (call->session) zvm_session_cancel(call->session, NULL);
    }
    pthread_mutex_unlock(&lock);
}

/* The number of keys, the third word of the command; -1: it is none that fits. */
static long long key_count_of(RedisModuleString **argv, int argc) {
    long long count;
    if (RedisModule_StringToLongLong(argv[2], &count) != REDIS_OK || count < 0 || count > argc - 3) return -1;
    return count;
}

/* Says where the keys are. Redis 7.0 asks for that when a cluster looks for a command's node; all else it knows by add_command(). */
static int say_keys(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) {
    long long count = argc < 3 ? 0 : key_count_of(argv, argc);
    for (int i = 0; i < count; i++) RedisModule_KeyAtPos(ctx, 3 + i);
    return REDIS_OK;
}

/* Replies with an error where the program's manifest names a key or an argument that a call does not give. */
static bool is_short_of(RedisModuleCtx *ctx, const struct program *program, size_t keys, size_t arguments) {
    const struct needs *needs = &program->needs;
    if (keys < needs->keys)
        reply_error(ctx, "ERR", "zvm.call: %s needs %zu keys and was given %zu", program->name, needs->keys, keys);
    else if (arguments < needs->arguments)
        reply_error(ctx, "ERR", "zvm.call: %s needs %zu arguments after its keys and was given %zu", program->name, needs->arguments,
                    arguments);
    else
        return false;
    return true;
}

/* ZVM.CALL name numkeys key... argument... */
static int call_command(RedisModuleCtx *ctx, RedisModuleString **argv, int argc, bool read_only) {
    const char *why_not, *name;
    struct program *program;
    struct call *call;
    long long key_count;
    if (RedisModule_IsKeysPositionRequest(ctx)) return say_keys(ctx, argv, argc);
    if (argc < 3) return RedisModule_WrongArity(ctx);
    if ((why_not = why_not_wait(ctx))) return reply_error(ctx, "ERR", "zvm.call: %s", why_not);
    if ((key_count = key_count_of(argv, argc)) < 0)
        return reply_error(ctx, "ERR", "zvm.call: numkeys is a number from 0 to %d, that of the words after it", argc - 3);
    name = RedisModule_StringPtrLen(argv[1], NULL);
    program = program_find(name);
    if (!program) return reply_error(ctx, "NOPROGRAM", "no program %s is loaded: see zvm.load", name);
    if (is_short_of(ctx, program, (size_t)key_count, (size_t)(argc - 3 - key_count))) {
        program_release(program);
        return REDIS_OK;
    }
    if (pool_is_full()) {
        program_release(program);
        atomic_fetch_add(&refused, 1);
        return reply_error(ctx, "BUSY", "zvm.call: %lld calls wait already: call again later", module.options.queue);
    }
    call = make(program, argv + 3, (size_t)key_count, argv + 3 + key_count, (size_t)(argc - 3 - key_count));
    if (!call) return reply_error(ctx, "ERR", "zvm.call: out of memory");
    call->db = RedisModule_GetSelectedDb(ctx);
    call->keys.read_only = read_only;
    call->client = RedisModule_BlockClient(ctx, send_reply, NULL, release_data, 0);
    RedisModule_SetDisconnectCallback(call->client, cancel);
    atomic_fetch_add(&program->calls, 1);
    atomic_fetch_add(&program->waiting, 1);
    add_to_live(call);
    pool_add(call);
    return REDIS_OK;
}

static int call_writing(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) { return call_command(ctx, argv, argc, false); }

static int call_reading(RedisModuleCtx *ctx, RedisModuleString **argv, int argc) { return call_command(ctx, argv, argc, true); }

static void fill_info(RedisModuleInfoCtx *ctx, int for_crash_report) {
    zvm_counters sessions = {.struct_size = sizeof sessions};
    if (for_crash_report) return; /* locks may be held */
    RedisModule_InfoAddSection(ctx, "calls");
    RedisModule_InfoAddFieldULongLong(ctx, "started", atomic_load(&next_id) - 1);
    RedisModule_InfoAddFieldULongLong(ctx, "unfinished", call_count());
    RedisModule_InfoAddFieldULongLong(ctx, "waiting", pool_waiting());
    RedisModule_InfoAddFieldULongLong(ctx, "refused", atomic_load(&refused));
    RedisModule_InfoAddFieldULongLong(ctx, "cancelled", atomic_load(&cancelled));
    if (zvm_host_counters(module.host, &sessions, NULL)) return;
    RedisModule_InfoAddFieldULongLong(ctx, "running", sessions.running);
    RedisModule_InfoAddFieldULongLong(ctx, "ok", sessions.ok);
    RedisModule_InfoAddFieldULongLong(ctx, "guest_failed", sessions.guest_failed);
    RedisModule_InfoAddFieldULongLong(ctx, "trapped", sessions.trapped);
    RedisModule_InfoAddFieldULongLong(ctx, "timed_out", sessions.timed_out);
    RedisModule_InfoAddFieldULongLong(ctx, "failed", sessions.failed);
    RedisModule_InfoAddFieldULongLong(ctx, "left_behind", sessions.left_behind);
    RedisModule_InfoAddFieldULongLong(ctx, "fuel", sessions.fuel);
    RedisModule_InfoAddFieldULongLong(ctx, "bytes_read", sessions.bytes_read);
    RedisModule_InfoAddFieldULongLong(ctx, "bytes_written", sessions.bytes_written);
}

/* Creates a command and says where its keys are: their number is the third word, and they follow it. Redis checks by that what a user
 * may reach, and a cluster whether it has them. */
static int add_command(RedisModuleCtx *ctx, const char *name, redis_command_fn *run, const char *flags, uint64_t access) {
    static const redis_info_version version = {1, sizeof(redis_history), sizeof(redis_key_spec), sizeof(redis_argument)};
    redis_key_spec specs[2] = {
        {.flags = access, .begin_search = REDIS_SEARCH_INDEX, .find_keys = REDIS_FIND_KEYNUM},
        {0},
    };
    redis_command_info info = {.version = &version, .summary = "Runs a WebAssembly program on keys.", .arity = -3, .key_specs = specs};
    RedisModuleCommand *command;
    specs[0].begin.index.position = 2;
    specs[0].find.keynum.number_at = 0;
    specs[0].find.keynum.first = 1;
    specs[0].find.keynum.step = 1;
    if (RedisModule_CreateCommand(ctx, name, run, flags, 0, 0, 0) != REDIS_OK) return REDIS_ERR;
    command = RedisModule_GetCommand(ctx, name);
    return command ? RedisModule_SetCommandInfo(command, &info) : REDIS_ERR;
}

int call_commands(RedisModuleCtx *ctx) {
    if (add_command(ctx, "zvm.call", call_writing, "write getkeys-api deny-script blocking no-mandatory-keys",
                    REDIS_KEYS_RW | REDIS_KEYS_ACCESS | REDIS_KEYS_UPDATE) != REDIS_OK ||
        add_command(ctx, "zvm.call_ro", call_reading, "readonly getkeys-api deny-script blocking no-mandatory-keys",
                    REDIS_KEYS_RO | REDIS_KEYS_ACCESS) != REDIS_OK)
        return REDIS_ERR;
    return RedisModule_RegisterInfoFunc(ctx, fill_info);
}
