/* SPDX-License-Identifier: Apache-2.0 */
#include "errand.h"
#include "module.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* How long an errand waits before it is tried again, in milliseconds. */
enum { AGAIN_AFTER = 10 };

/* Shared by who waits and by Redis's thread; the second of them frees it. */
struct errand {
    pthread_mutex_t lock; /* held while it is done: who gives up waits for a copy, not longer */
    enum { ASKED, DONE, GIVEN_UP } state;
    bool is_shared;
    int done_fd; /* readable once it is done */
    struct call *call;
    errand_fn *run;
    int32_t code; /* -EBUSY: it was tried, and is tried again */
    zvfs_error error;
};

/* Lets go of it, with the lock held. */
static void let_go(struct errand *errand) {
    bool last = !errand->is_shared;
    errand->is_shared = false;
    pthread_mutex_unlock(&errand->lock);
    if (!last) return;
    pthread_mutex_destroy(&errand->lock);
    close(errand->done_fd);
    call_release(errand->call);
    free(errand);
}

static void run_on_redis_thread(RedisModuleCtx *ctx, void *data) {
    struct errand *errand = data;
    pthread_mutex_lock(&errand->lock);
    if (errand->state == ASKED) {
        errand->code = errand->run(ctx, &errand->call->keys, errand->call->db, &errand->error);
        if (errand->code == -ZVFS_EBUSY) {
            pthread_mutex_unlock(&errand->lock);
            RedisModule_CreateTimer(module.ctx, AGAIN_AFTER, run_on_redis_thread, errand);
            return;
        }
        errand->state = DONE;
        eventfd_write(errand->done_fd, 1);
    }
    let_go(errand);
}

/* On Redis's thread too, but not where it may run commands: what they write is sent to replicas at the end of a timer's call, not of this
 * one. */
static void arrive(void *data) { RedisModule_CreateTimer(module.ctx, 0, run_on_redis_thread, data); }

static struct errand *make(struct call *call, errand_fn *run, zvfs_error *err) {
    struct errand *errand = calloc(1, sizeof *errand);
    if (!errand) {
        zvfs_fail(err, ZVFS_ENOMEM, "reach redis: out of memory");
        return NULL;
    }
    errand->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (errand->done_fd < 0) {
        zvfs_fail(err, errno, "reach redis: make an eventfd: %s", strerror(errno));
        free(errand);
        return NULL;
    }
    pthread_mutex_init(&errand->lock, NULL);
    call_hold(call);
    errand->call = call;
    errand->run = run;
    errand->error.struct_size = sizeof errand->error;
    errand->is_shared = true;
    return errand;
}

int32_t errand_run(struct call *call, errand_fn *run, const zvfs_host *host, zvfs_context *context, zvfs_error *err) {
    struct errand *errand = make(call, run, err);
    int32_t waited, code;
    if (!errand) return err ? -err->code : -ZVFS_ENOMEM;
    if (RedisModule_EventLoopAddOneShot(arrive, errand) != REDIS_OK) {
        pthread_mutex_lock(&errand->lock);
        errand->is_shared = false;
        let_go(errand);
        return zvfs_fail(err, ZVFS_EIO, "reach redis: its event loop takes no work");
    }
    do waited = host->wait(context, errand->done_fd, ZVFS_EVENT_READ, ZVFS_TIME_UNLIMITED);
    while (waited == 0);
    pthread_mutex_lock(&errand->lock);
    if (errand->state == DONE) {
        code = errand->code;
        if (code && err) *err = errand->error;
    } else {
        errand->state = GIVEN_UP;
        code = zvfs_fail(err, waited, "%s", errand->code ? errand->error.message : "wait for redis");
    }
    let_go(errand);
    return code;
}
