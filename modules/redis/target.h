/* SPDX-License-Identifier: Apache-2.0
 * What a descriptor of the scheme `redis` names. */
#ifndef ZVM_TARGET_H
#define ZVM_TARGET_H

#include "reply.h"
#include <stdbool.h>
#include <zvfs_provider.h>
#include <zvm_session.h>

enum target_kind { TARGET_KEY, TARGET_ARGUMENT, TARGET_REPLY, TARGET_LOG };

/* What may be written there, for messages. */
#define TARGETS "redis:key/N, redis:optional/N, redis:argument/N (N from 1), redis:empty, redis:reply, redis:resp or redis:log"

struct target {
    const char *name; /* what follows the scheme; with a '/' a number follows */
    enum target_kind kind;
    uint64_t directions;
    enum reply_form form;
    bool may_be_absent;
};

/* The target of what follows the scheme, and its number from 1 to INT_MAX, as many words as a command may have, or 0 where it has none;
 * NULL: it names nothing. */
const struct target *target_of(const char *rest, size_t *number);

/* The number of the key that a source of a manifest, of whatever scheme, writes; 0: none. */
size_t target_written_key(const zvm_source *source);

/* What a program needs of each call. */
struct needs {
    size_t keys, arguments;
    bool has_reply;
};

/* Looks at a source of a manifest, of whatever scheme, and adds to the needs. EINVAL: no call could open it. */
int32_t target_check(const zvm_source *source, struct needs *needs, zvfs_error *err);

#endif
