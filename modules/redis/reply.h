/* SPDX-License-Identifier: Apache-2.0
 * From what a guest wrote to a reply. */
#ifndef ZVM_REPLY_H
#define ZVM_REPLY_H

#include "bytes.h"
#include "redis.h"
#include <stdbool.h>

enum reply_form {
    REPLY_NONE, /* the manifest has no channel for a reply: null */
    REPLY_BULK, /* redis:reply: all of it is one bulk string */
    REPLY_RESP  /* redis:resp: one value in Redis's own protocol */
};

/* How deep arrays, sets and maps may be within each other, and how many values there may be: Redis's thread sends them in one go. */
enum { REPLY_DEPTH_MAX = 16, REPLY_VALUES_MAX = 100000 };

/* What is wrong, where, and what stands there; empty: nothing. */
struct reply_fault {
    char text[200];
};

/* Whether it is one value and nothing else. */
bool reply_check(const struct bytes *text, struct reply_fault *fault);

/* Sends what reply_check found right. */
void reply_send(RedisModuleCtx *ctx, enum reply_form form, const struct bytes *text);

#endif
