/* SPDX-License-Identifier: Apache-2.0
 * A manifest that the configuration names: its template in this child process, and how many sessions of it there are. */
#ifndef ZVM_SITE_H
#define ZVM_SITE_H

#include <apr_pools.h>
#include <apr_time.h>
#include <pthread.h>
#include <stdbool.h>
#include <zvm_session.h>

struct site {
    const char *file; /* for messages */
    const char *manifest;
    apr_size_t size;
    pthread_mutex_t lock; /* of the next ones */
    pthread_cond_t left;
    int running, waiting;
    zvm_template *unprepared; /* being compiled */
    bool is_stopping;
    pthread_mutex_t making; /* of shared */
    zvm_template *shared;   /* NULL: nobody has needed it yet */
};

/* Reads and checks a manifest, in the parent process too: nothing of it is opened or run. Returns NULL, or what is wrong. */
const char *site_read(apr_pool_t *pool, const char *file, struct site **out);

/* Ends a compilation that is in progress, and lets none begin. */
void site_stop(struct site *site);

/* Makes a session, for which there is room. The first one of a process has the program compiled. Returns 0 or a negative code. */
int32_t site_session(struct site *site, zvm_host *host, zvm_session **out, zvfs_error *err);

/* Counts a session in, for as long as fewer than `sessions` run, else waits; `queue` requests may do that, until the timeout, or until
 * `is_gone`, which is asked every second, says that nobody waits any more. False: there is no room, or it is gone. */
bool site_enter(struct site *site, int sessions, int queue, apr_interval_time_t timeout, bool (*is_gone)(void *), void *arg);
void site_leave(struct site *site);

#endif
