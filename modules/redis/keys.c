/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"
#include "module.h"
#include <stdlib.h>

bool keys_make(struct keys *keys, size_t count) {
    keys->list = calloc(count ? count : 1, sizeof *keys->list);
    keys->count = keys->list ? count : 0;
    return keys->list != NULL;
}

void keys_free(struct keys *keys) {
    for (size_t i = 0; i < keys->count; i++) {
        bytes_free(&keys->list[i].name);
        bytes_free(&keys->list[i].value);
        bytes_free(&keys->list[i].next);
    }
    free(keys->list);
}

/* A key of Redis's, open for reading. NULL in `open`: it is absent. */
struct opened {
    RedisModuleString *name;
    RedisModuleKey *open;
};

static struct opened open_key(RedisModuleCtx *ctx, const struct key *key) {
    struct opened opened;
    opened.name = RedisModule_CreateString(ctx, key->name.data, key->name.size);
    opened.open = RedisModule_OpenKey(ctx, opened.name, REDIS_KEY_READ);
    return opened;
}

static void close_key(RedisModuleCtx *ctx, struct opened opened) {
    if (opened.open) RedisModule_CloseKey(opened.open);
    RedisModule_FreeString(ctx, opened.name);
}

static enum key_state state_of(struct opened opened) {
    if (!opened.open || RedisModule_KeyType(opened.open) == REDIS_TYPE_EMPTY) return KEY_ABSENT;
    if (RedisModule_KeyType(opened.open) != REDIS_TYPE_STRING) return KEY_OF_OTHER_TYPE;
    return RedisModule_ValueLength(opened.open) > (size_t)module.options.value_limit ? KEY_TOO_LARGE : KEY_STRING;
}

int32_t keys_read(RedisModuleCtx *ctx, struct keys *keys, int db, zvfs_error *err) {
    RedisModule_SelectDb(ctx, db);
    for (size_t i = 0; i < keys->count; i++) {
        struct key *key = &keys->list[i];
        struct opened opened = open_key(ctx, key);
        bool copied = true;
        key->state = state_of(opened);
        if (key->state == KEY_STRING) {
            size_t size;
            const char *value = RedisModule_StringDMA(opened.open, &size, REDIS_KEY_READ);
            copied = bytes_copy(&key->value, value, size);
        }
        close_key(ctx, opened);
        if (!copied) return zvfs_fail(err, ZVFS_ENOMEM, "read key %zu: out of memory", i + 1);
    }
    keys->are_read = true;
    return 0;
}

/* Whether a key is still as it was read. */
static bool is_unchanged(const struct key *key, struct opened now) {
    size_t size;
    const char *value;
    if (state_of(now) != key->state) return false;
    if (key->state != KEY_STRING) return true;
    value = RedisModule_StringDMA(now.open, &size, REDIS_KEY_READ);
    return bytes_equal(&key->value, value, size);
}

/* Looks for a reason against the writes. */
static int32_t check(RedisModuleCtx *ctx, struct keys *keys, zvfs_error *err) {
    for (size_t i = 0; i < keys->count; i++) {
        const struct key *key = &keys->list[i];
        struct opened now = open_key(ctx, key);
        bool changed = key->was_read && !is_unchanged(key, now);
        bool of_other_type = key->has_next && state_of(now) == KEY_OF_OTHER_TYPE;
        close_key(ctx, now);
        if (changed) {
            keys->conflicted = true;
            return zvfs_fail(err, ZVFS_ESTALE, "key %zu changed while the guest ran: nothing was written, call again", i + 1);
        }
        if (of_other_type) return zvfs_fail(err, ZVFS_EINVAL, "write key %zu: it holds something else than a string", i + 1);
    }
    return 0;
}

/* One MSET of all complete values. It replicates itself, as `!` asks; S, M and E: refused if this is a replica by now, if the disk or
 * memory has run out, and the refusal is a reply. */
static int32_t set(RedisModuleCtx *ctx, struct keys *keys, zvfs_error *err) {
    RedisModuleString **words = calloc(2 * keys->count, sizeof *words);
    RedisModuleCallReply *reply;
    size_t count = 0;
    int32_t code = 0;
    if (!words) return zvfs_fail(err, ZVFS_ENOMEM, "write the keys: out of memory");
    for (size_t i = 0; i < keys->count; i++) {
        const struct key *key = &keys->list[i];
        if (!key->has_next) continue;
        words[count++] = RedisModule_CreateString(ctx, key->name.data, key->name.size);
        words[count++] = RedisModule_CreateString(ctx, key->next.data, key->next.size);
    }
    reply = RedisModule_Call(ctx, "MSET", "!SMEv", words, count);
    if (!reply) {
        code = zvfs_fail(err, ZVFS_EIO, "write the keys: redis does not run MSET here");
    } else if (RedisModule_CallReplyType(reply) == REDIS_REPLY_ERROR) {
        size_t size;
        const char *text = RedisModule_CallReplyStringPtr(reply, &size);
        code = zvfs_fail(err, ZVFS_EACCES, "write the keys: redis refuses: %.*s", (int)size, text);
    }
    if (reply) RedisModule_FreeCallReply(reply);
    for (size_t i = 0; i < count; i++) RedisModule_FreeString(ctx, words[i]);
    free(words);
    return code;
}

int32_t keys_write(RedisModuleCtx *ctx, struct keys *keys, int db, zvfs_error *err) {
    int32_t code;
    if (RedisModule_AvoidReplicaTraffic())
        return zvfs_fail(err, ZVFS_EBUSY, "write the keys: redis is paused for writes");
    RedisModule_SelectDb(ctx, db);
    if ((code = check(ctx, keys, err)) || (code = set(ctx, keys, err))) return code;
    for (size_t i = 0; i < keys->count; i++) {
        keys->list[i].has_next = false;
        bytes_free(&keys->list[i].next);
    }
    return 0;
}
