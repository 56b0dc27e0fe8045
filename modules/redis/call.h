/* SPDX-License-Identifier: Apache-2.0
 * A call: ZVM.CALL name numkeys key... argument..., from its command to its reply. */
#ifndef ZVM_CALL_H
#define ZVM_CALL_H

#include "bytes.h"
#include "keys.h"
#include "program.h"
#include "redis.h"
#include "reply.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <zvm_session.h>

/* The most of a guest's last line of standard error that an error reply repeats. */
enum { LAST_LINE_MAX = 200 };

/* The longest argument, in bytes, that the guest gets as one; it can read longer ones through redis:argument/N. */
enum { ARGUMENT_MAX = 64 << 10 };

struct call {
    struct call *next_live, *next_waiting;
    atomic_uint holders; /* the blocked client, each open file, each errand */
    uint64_t id;
    struct program *program;
    RedisModuleBlockedClient *client;
    int db;
    struct keys keys;
    size_t argument_count;
    struct bytes *arguments;
    /* What the guest wrote, and how it fared; of the session's thread, and read when that is over. */
    enum reply_form form;
    struct bytes reply;
    struct reply_fault fault; /* why it is none */
    char last_line[LAST_LINE_MAX + 1];
    const char *error_code; /* NULL: it succeeded */
    char error[1200];
    /* Under the lock of all calls. */
    bool cancelled;
    zvm_session *session; /* while it runs */
};

/* Adds the commands. Returns REDIS_OK or REDIS_ERR. */
int call_commands(RedisModuleCtx *ctx);

/* Runs the call's session and unblocks its client. On a thread of the pool. */
void call_run(struct call *call);

/* The live call with this id, held for the caller, or NULL. On any thread. */
struct call *call_find(uint64_t id);
void call_hold(struct call *call);
void call_release(struct call *call);

/* Calls that were not freed: while there are any, the module stays. */
unsigned long long call_count(void);

#endif
