/* SPDX-License-Identifier: Apache-2.0
 * The part of Redis's interface for modules (API version 1, as of Redis 7.0) that this module uses. Debian ships no header for it.
 * Redis hands out its functions by name when it loads a module; the list below is what redis_bind() asks for. */
#ifndef ZVM_REDIS_H
#define ZVM_REDIS_H

#include <stddef.h>
#include <stdint.h>

typedef struct RedisModuleCtx RedisModuleCtx;
typedef struct RedisModuleKey RedisModuleKey;
typedef struct RedisModuleString RedisModuleString;
typedef struct RedisModuleCallReply RedisModuleCallReply;
typedef struct RedisModuleBlockedClient RedisModuleBlockedClient;
typedef struct RedisModuleCommand RedisModuleCommand;
typedef struct RedisModuleInfoCtx RedisModuleInfoCtx;
typedef struct RedisModuleUser RedisModuleUser;

typedef int redis_command_fn(RedisModuleCtx *ctx, RedisModuleString **argv, int argc);
typedef void redis_free_fn(RedisModuleCtx *ctx, void *data);
typedef void redis_disconnect_fn(RedisModuleCtx *ctx, RedisModuleBlockedClient *client);
typedef void redis_one_shot_fn(void *data);
typedef void redis_timer_fn(RedisModuleCtx *ctx, void *data);
typedef void redis_info_fn(RedisModuleInfoCtx *ctx, int for_crash_report);

enum { REDIS_OK = 0, REDIS_ERR = 1 };
enum { REDIS_API_VERSION = 1 };
enum { REDIS_KEY_READ = 1 };
enum { REDIS_TYPE_EMPTY = 0, REDIS_TYPE_STRING = 1 };
enum { REDIS_REPLY_ERROR = 1 };

/* Flags of a context: where a client may not be blocked. */
enum { REDIS_IN_LUA = 1 << 0, REDIS_IN_MULTI = 1 << 1, REDIS_DENY_BLOCKING = 1 << 21 };

/* Where a command's keys are, for clients and for a cluster: SetCommandInfo. The sizes of the structs are part of what is passed, so
 * that Redis can read those of an older module. */
enum { REDIS_SEARCH_INDEX = 2, REDIS_FIND_KEYNUM = 3 };
enum { REDIS_KEYS_RO = 1 << 0, REDIS_KEYS_RW = 1 << 1, REDIS_KEYS_ACCESS = 1 << 4, REDIS_KEYS_UPDATE = 1 << 5 };

typedef struct redis_key_spec {
    const char *notes;
    uint64_t flags;
    int begin_search;
    union {
        struct {
            int position;
        } index;
        struct {
            const char *keyword;
            int start;
        } keyword;
    } begin;
    int find_keys;
    union {
        struct {
            int last, step, limit;
        } range;
        struct {
            int number_at, first, step;
        } keynum;
    } find;
} redis_key_spec;

typedef struct redis_argument {
    const char *name;
    int type;
    int key_spec;
    const char *token, *summary, *since;
    int flags;
    const char *deprecated_since;
    struct redis_argument *parts;
    const char *display;
} redis_argument;

typedef struct redis_history {
    const char *since, *changes;
} redis_history;

typedef struct redis_info_version {
    int version;
    size_t size_of_history, size_of_key_spec, size_of_argument;
} redis_info_version;

typedef struct redis_command_info {
    const redis_info_version *version;
    const char *summary, *complexity, *since;
    redis_history *history;
    const char *tips;
    int arity;
    redis_key_spec *key_specs;
    redis_argument *arguments;
} redis_command_info;

/* result, name, parameters */
#define REDIS_FUNCTIONS(X)                                                                                                  \
    X(void, SetModuleAttribs, (RedisModuleCtx * ctx, const char *name, int version, int api))                               \
    X(int, IsModuleNameBusy, (const char *name))                                                                            \
    X(int, CreateCommand,                                                                                                   \
      (RedisModuleCtx * ctx, const char *name, redis_command_fn *run, const char *flags, int first, int last, int step))    \
    X(RedisModuleCommand *, GetCommand, (RedisModuleCtx * ctx, const char *name))                                           \
    X(int, SetCommandInfo, (RedisModuleCommand * command, const redis_command_info *info))                                  \
    X(int, IsKeysPositionRequest, (RedisModuleCtx * ctx))                                                                   \
    X(void, KeyAtPos, (RedisModuleCtx * ctx, int position))                                                                 \
    X(int, WrongArity, (RedisModuleCtx * ctx))                                                                              \
    X(int, GetContextFlags, (RedisModuleCtx * ctx))                                                                         \
    X(int, GetSelectedDb, (RedisModuleCtx * ctx))                                                                           \
    X(int, SelectDb, (RedisModuleCtx * ctx, int db))                                                                        \
    X(RedisModuleString *, GetCurrentUserName, (RedisModuleCtx * ctx))                                                      \
    X(RedisModuleUser *, GetModuleUserFromUserName, (RedisModuleString * name))                                             \
    X(void, FreeModuleUser, (RedisModuleUser * user))                                                                       \
    X(int, ACLCheckCommandPermissions, (RedisModuleUser * user, RedisModuleString * *words, int count))                     \
    X(int, AvoidReplicaTraffic, (void))                                                                                     \
    X(const char *, StringPtrLen, (const RedisModuleString *text, size_t *size))                                            \
    X(int, StringToLongLong, (const RedisModuleString *text, long long *number))                                            \
    X(RedisModuleString *, CreateString, (RedisModuleCtx * ctx, const char *text, size_t size))                             \
    X(void, FreeString, (RedisModuleCtx * ctx, RedisModuleString * text))                                                   \
    X(RedisModuleKey *, OpenKey, (RedisModuleCtx * ctx, RedisModuleString * name, int mode))                                \
    X(void, CloseKey, (RedisModuleKey * key))                                                                               \
    X(int, KeyType, (RedisModuleKey * key))                                                                                 \
    X(size_t, ValueLength, (RedisModuleKey * key))                                                                          \
    X(char *, StringDMA, (RedisModuleKey * key, size_t *size, int mode))                                                    \
    X(RedisModuleCallReply *, Call, (RedisModuleCtx * ctx, const char *command, const char *format, ...))                   \
    X(int, CallReplyType, (RedisModuleCallReply * reply))                                                                   \
    X(const char *, CallReplyStringPtr, (RedisModuleCallReply * reply, size_t *size))                                       \
    X(void, FreeCallReply, (RedisModuleCallReply * reply))                                                                  \
    X(int, ReplyWithError, (RedisModuleCtx * ctx, const char *text))                                                        \
    X(int, ReplyWithSimpleString, (RedisModuleCtx * ctx, const char *text))                                                 \
    X(int, ReplyWithStringBuffer, (RedisModuleCtx * ctx, const char *text, size_t size))                                    \
    X(int, ReplyWithLongLong, (RedisModuleCtx * ctx, long long number))                                                     \
    X(int, ReplyWithDouble, (RedisModuleCtx * ctx, double number))                                                          \
    X(int, ReplyWithBool, (RedisModuleCtx * ctx, int truth))                                                                \
    X(int, ReplyWithNull, (RedisModuleCtx * ctx))                                                                           \
    X(int, ReplyWithArray, (RedisModuleCtx * ctx, long count))                                                              \
    X(int, ReplyWithSet, (RedisModuleCtx * ctx, long count))                                                                \
    X(int, ReplyWithMap, (RedisModuleCtx * ctx, long count))                                                                \
    X(RedisModuleBlockedClient *, BlockClient,                                                                              \
      (RedisModuleCtx * ctx, redis_command_fn *reply, redis_command_fn *timeout, redis_free_fn *release, long long ms))     \
    X(int, UnblockClient, (RedisModuleBlockedClient * client, void *data))                                                  \
    X(int, AbortBlock, (RedisModuleBlockedClient * client))                                                                 \
    X(void *, GetBlockedClientPrivateData, (RedisModuleCtx * ctx))                                                          \
    X(void, SetDisconnectCallback, (RedisModuleBlockedClient * client, redis_disconnect_fn *gone))                          \
    X(RedisModuleCtx *, GetDetachedThreadSafeContext, (RedisModuleCtx * ctx))                                               \
    X(void, FreeThreadSafeContext, (RedisModuleCtx * ctx))                                                                  \
    X(int, EventLoopAddOneShot, (redis_one_shot_fn *run, void *data))                                                       \
    X(uint64_t, CreateTimer, (RedisModuleCtx * ctx, long long ms, redis_timer_fn *run, void *data))                         \
    X(void, Log, (RedisModuleCtx * ctx, const char *level, const char *format, ...))                                        \
    X(int, RegisterInfoFunc, (RedisModuleCtx * ctx, redis_info_fn *fill))                                                   \
    X(int, InfoAddSection, (RedisModuleInfoCtx * ctx, const char *name))                                                    \
    X(int, InfoAddFieldULongLong, (RedisModuleInfoCtx * ctx, const char *field, unsigned long long value))

/* RedisModule_X, one for each of the list. */
#define REDIS_DECLARE(result, name, parameters) extern result(*RedisModule_##name) parameters;
REDIS_FUNCTIONS(REDIS_DECLARE)
#undef REDIS_DECLARE

/* Asks Redis for the functions, and gives the module its name. Returns REDIS_OK, or REDIS_ERR: the name is taken, or this Redis is older
 * than 7.0 and lacks a function. */
int redis_bind(RedisModuleCtx *ctx, const char *name, int version);

#endif
