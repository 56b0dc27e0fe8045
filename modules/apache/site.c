/* SPDX-License-Identifier: Apache-2.0 */
#include "site.h"
#include <apr_file_io.h>
#include <apr_strings.h>
#include <time.h>

/* The grammar's limit for a manifest. */
enum { MANIFEST_MAX = 512 << 10 };

static const char *read_whole(apr_pool_t *pool, const char *file, struct site *site) {
    apr_file_t *open;
    apr_finfo_t info;
    char *text;
    apr_status_t status = apr_file_open(&open, file, APR_FOPEN_READ | APR_FOPEN_BINARY, APR_OS_DEFAULT, pool);
    if (status == APR_SUCCESS) status = apr_file_info_get(&info, APR_FINFO_SIZE, open);
    if (status == APR_SUCCESS && info.size > MANIFEST_MAX) return apr_psprintf(pool, "%s has over %d bytes", file, MANIFEST_MAX);
    if (status == APR_SUCCESS) {
        text = apr_palloc(pool, (apr_size_t)info.size + 1);
        status = apr_file_read_full(open, text, (apr_size_t)info.size, &site->size);
        site->manifest = text;
    }
    if (status != APR_SUCCESS) {
        char why[200];
        return apr_psprintf(pool, "read %s: %s", file, apr_strerror(status, why, sizeof why));
    }
    apr_file_close(open);
    return NULL;
}

static apr_status_t forget(void *data) {
    struct site *site = data;
    zvm_template_free(site->shared);
    return APR_SUCCESS;
}

const char *site_read(apr_pool_t *pool, const char *file, struct site **out) {
    struct site *site = apr_pcalloc(pool, sizeof *site);
    zvfs_error err = {.struct_size = sizeof err};
    zvm_session *session;
    pthread_condattr_t clock;
    const char *wrong = read_whole(pool, file, site);
    if (wrong) return wrong;
    if (zvm_session_new(site->manifest, site->size, NULL, &session, &err)) return apr_psprintf(pool, "%s: %s", file, err.message);
    zvm_session_free(session);
    site->file = file;
    pthread_mutex_init(&site->lock, NULL);
    pthread_mutex_init(&site->making, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&site->left, &clock);
    pthread_condattr_destroy(&clock);
    apr_pool_cleanup_register(pool, site, forget, apr_pool_cleanup_null);
    *out = site;
    return NULL;
}

/* Makes a template known to whoever stops this process. False: it stops. */
static bool begin_compiling(struct site *site, zvm_template *made) {
    bool may;
    pthread_mutex_lock(&site->lock);
    may = !site->is_stopping;
    if (may) site->unprepared = made;
    pthread_mutex_unlock(&site->lock);
    return may;
}

static void end_compiling(struct site *site) {
    pthread_mutex_lock(&site->lock);
    site->unprepared = NULL;
    pthread_mutex_unlock(&site->lock);
}

void site_stop(struct site *site) {
    pthread_mutex_lock(&site->lock);
    site->is_stopping = true;
    zvm_template_free(site->unprepared); /* whoever compiles it frees it once more, which does nothing */
    pthread_mutex_unlock(&site->lock);
}

/* With `making` held, so that a program is compiled once. Those who wait for it have room to run: the others are told that there is
 * none, instead of taking the child's threads until it is done. */
static int32_t make_template(struct site *site, zvm_host *host, zvfs_error *err) {
    zvm_session_options options = {.struct_size = sizeof options, .host = host};
    zvm_template *made;
    int32_t code;
    if (site->shared) return 0;
    if ((code = zvm_template_new(site->manifest, site->size, &options, &made, err))) return code;
    code = begin_compiling(site, made) ? zvm_template_prepare(made, err) : zvfs_fail(err, ZVFS_ECANCELED, "the server stops");
    end_compiling(site);
    if (code)
        zvm_template_free(made);
    else
        site->shared = made;
    return code;
}

int32_t site_session(struct site *site, zvm_host *host, zvm_session **out, zvfs_error *err) {
    int32_t code;
    pthread_mutex_lock(&site->making);
    code = make_template(site, host, err);
    pthread_mutex_unlock(&site->making);
    return code ? code : zvm_template_session(site->shared, out, err);
}

static bool wait_for_room(struct site *site, int sessions, apr_interval_time_t timeout, bool (*is_gone)(void *), void *arg) {
    struct timespec now, look;
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (time_t end = now.tv_sec + (time_t)apr_time_sec(timeout); site->running >= sessions && now.tv_sec < end;) {
        look = (struct timespec){now.tv_sec + 1, now.tv_nsec};
        pthread_cond_timedwait(&site->left, &site->lock, &look);
        if (is_gone(arg)) return false;
        clock_gettime(CLOCK_MONOTONIC, &now);
    }
    return site->running < sessions;
}

bool site_enter(struct site *site, int sessions, int queue, apr_interval_time_t timeout, bool (*is_gone)(void *), void *arg) {
    bool entered;
    pthread_mutex_lock(&site->lock);
    entered = site->running < sessions;
    if (!entered && site->waiting < queue) {
        site->waiting++;
        entered = wait_for_room(site, sessions, timeout, is_gone, arg);
        site->waiting--;
    }
    if (entered)
        site->running++;
    else if (site->running < sessions)
        pthread_cond_signal(&site->left); /* it is gone, and was told of a place that another one waits for */
    pthread_mutex_unlock(&site->lock);
    return entered;
}

void site_leave(struct site *site) {
    pthread_mutex_lock(&site->lock);
    site->running--;
    pthread_cond_signal(&site->left);
    pthread_mutex_unlock(&site->lock);
}
