/* SPDX-License-Identifier: Apache-2.0 */
#include "target.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* In any case, as in every descriptor. */
static const char scheme[] = "redis:";

static const struct target targets[] = {
    {"key/", TARGET_KEY, ZVFS_OPEN_READ | ZVFS_OPEN_WRITE, REPLY_NONE, false},
    {"optional/", TARGET_KEY, ZVFS_OPEN_READ | ZVFS_OPEN_WRITE, REPLY_NONE, true},
    {"argument/", TARGET_ARGUMENT, ZVFS_OPEN_READ, REPLY_NONE, false},
    {"empty", TARGET_ARGUMENT, ZVFS_OPEN_READ, REPLY_NONE, false},
    {"reply", TARGET_REPLY, ZVFS_OPEN_WRITE, REPLY_BULK, false},
    {"resp", TARGET_REPLY, ZVFS_OPEN_WRITE, REPLY_RESP, false},
    {"log", TARGET_LOG, ZVFS_OPEN_WRITE, REPLY_NONE, false},
};

const struct target *target_of(const char *rest, size_t *number) {
    *number = 0;
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        size_t size = strlen(targets[i].name);
        bool numbered = targets[i].name[size - 1] == '/';
        char *end;
        if (strncmp(rest, targets[i].name, size) != 0) continue;
        if (!numbered && rest[size] == '\0') return &targets[i];
        if (!numbered || rest[size] < '1' || rest[size] > '9') continue;
        errno = 0;
        *number = strtoul(rest + size, &end, 10);
        if (*end == '\0' && errno == 0 && *number <= INT_MAX) return &targets[i];
    }
    return NULL;
}

size_t target_written_key(const zvm_source *source) {
    size_t number;
    const struct target *target;
    if (!(source->flags & ZVM_SOURCE_WRITE) || strncasecmp(source->source, scheme, sizeof scheme - 1) != 0) return 0;
    target = target_of(source->source + sizeof scheme - 1, &number);
    return target && target->kind == TARGET_KEY ? number : 0;
}

int32_t target_check(const zvm_source *source, struct needs *needs, zvfs_error *err) {
    size_t number;
    const struct target *target;
    uint64_t wanted = (source->flags & ZVM_SOURCE_READ ? ZVFS_OPEN_READ : 0) | (source->flags & ZVM_SOURCE_WRITE ? ZVFS_OPEN_WRITE : 0);
    if (strncasecmp(source->source, scheme, sizeof scheme - 1) != 0) return 0;
    target = target_of(source->source + sizeof scheme - 1, &number);
    if (!target) return zvfs_fail(err, ZVFS_EINVAL, "channel %s: %s names nothing: write " TARGETS, source->alias, source->source);
    if (wanted & ~target->directions)
        return zvfs_fail(err, ZVFS_EINVAL, "channel %s: %s can only be %s", source->alias, source->source,
                         target->directions & ZVFS_OPEN_READ ? "read" : "written");
    if (target->kind == TARGET_REPLY && needs->has_reply)
        return zvfs_fail(err, ZVFS_EINVAL, "channel %s: %s: another channel writes the reply", source->alias, source->source);
    if (target->kind == TARGET_REPLY) needs->has_reply = true;
    if (target->kind == TARGET_KEY && number > needs->keys) needs->keys = number;
    if (target->kind == TARGET_ARGUMENT && number > needs->arguments) needs->arguments = number;
    return 0;
}
