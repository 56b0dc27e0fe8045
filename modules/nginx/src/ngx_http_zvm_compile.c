/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"

/* How many programs a worker compiles at a time. One more thread is for those that are in the cache. */
#define NGX_HTTP_ZVM_COMPILERS  2
#define NGX_HTTP_ZVM_THREADS    (NGX_HTTP_ZVM_COMPILERS + 1)


static ngx_http_zvm_guest_t *ngx_http_zvm_compile_take(ngx_http_zvm_guest_t **list);
static ngx_uint_t ngx_http_zvm_compilers_start(ngx_log_t *log);
static void *ngx_http_zvm_compiler(void *data);
static void ngx_http_zvm_compiler_want(ngx_http_zvm_guest_t *guest);
static void ngx_http_zvm_compiler_tell(ngx_http_zvm_guest_t *guest, int32_t code);


/* What is compiled, beside the event loop and the sessions. A guest is in one of the lists, by its `next`, or with a thread. */
static struct {
    pthread_mutex_t        lock; /* of the next six, and of a guest's `unprepared` */
    pthread_cond_t         changed;
    ngx_http_zvm_guest_t  *fresh; /* may be in the cache */
    ngx_http_zvm_guest_t  *wanted; /* are not: the smallest first */
    ngx_http_zvm_guest_t  *done;
    ngx_uint_t             busy; /* threads that compile */
    unsigned               leaving:1;

    pthread_t              threads[NGX_HTTP_ZVM_THREADS]; /* the event loop's, as the rest */
    ngx_uint_t             n;
} compiling = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };


void
ngx_http_zvm_compile(ngx_http_zvm_guest_t *guest, ngx_log_t *log)
{
    if (guest->compiling) {
        return;
    }

    if (!ngx_http_zvm_compilers_start(log)) {
        /* Its sessions do it. */
        guest->ready = 1;
        return;
    }

    guest->compiling = 1;

    pthread_mutex_lock(&compiling.lock);

    guest->next = compiling.fresh;
    compiling.fresh = guest;

    pthread_cond_signal(&compiling.changed);
    pthread_mutex_unlock(&compiling.lock);
}


/* Starts the threads, if there are none. Returns how many there are. */
static ngx_uint_t
ngx_http_zvm_compilers_start(ngx_log_t *log)
{
    int       err;
    sigset_t  all, before;

    if (compiling.n != 0) {
        return compiling.n;
    }

    /* The worker's signals are its event loop's. */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);

    pthread_mutex_lock(&compiling.lock);

    for (err = 0; compiling.n < NGX_HTTP_ZVM_THREADS && !err; compiling.n += !err) {
        err = pthread_create(&compiling.threads[compiling.n], NULL, ngx_http_zvm_compiler, NULL);
    }

    pthread_mutex_unlock(&compiling.lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);

    if (compiling.n == 0) {
        ngx_log_error(NGX_LOG_ERR, log, err, "zvm: pthread_create() failed: requests compile the programs");
    }

    return compiling.n;
}


static void *
ngx_http_zvm_compiler(void *data)
{
    int64_t                loaded;
    ngx_http_zvm_guest_t  *guest;

    pthread_mutex_lock(&compiling.lock);

    while (!compiling.leaving) {
        guest = ngx_http_zvm_compile_take(&compiling.fresh);

        if (guest != NULL) {
            pthread_mutex_unlock(&compiling.lock);
            loaded = zvm_template_load(guest->template, &guest->unprepared);
            pthread_mutex_lock(&compiling.lock);

            if (loaded == 0) {
                ngx_http_zvm_compiler_want(guest);

            } else {
                ngx_http_zvm_compiler_tell(guest, loaded < 0 ? (int32_t) loaded : 0);
            }

            continue;
        }

        /* One is left for those that are in the cache, if there is more than one. */
        guest = compiling.busy == 0 || compiling.busy + 1 < compiling.n ? ngx_http_zvm_compile_take(&compiling.wanted) : NULL;

        if (guest == NULL) {
            pthread_cond_wait(&compiling.changed, &compiling.lock);
            continue;
        }

        compiling.busy++;

        pthread_mutex_unlock(&compiling.lock);
        loaded = zvm_template_prepare(guest->template, &guest->unprepared);
        pthread_mutex_lock(&compiling.lock);

        compiling.busy--;
        ngx_http_zvm_compiler_tell(guest, (int32_t) loaded);
    }

    pthread_mutex_unlock(&compiling.lock);
    return NULL;
}


/* The smallest first: it would wait for the larger ones, and they hardly for it. */
static void
ngx_http_zvm_compiler_want(ngx_http_zvm_guest_t *guest)
{
    ngx_http_zvm_guest_t  **at;

    for (at = &compiling.wanted; *at != NULL && (*at)->program.len <= guest->program.len; at = &(*at)->next) { /* void */ }

    guest->next = *at;
    *at = guest;

    pthread_cond_signal(&compiling.changed);
}


static void
ngx_http_zvm_compiler_tell(ngx_http_zvm_guest_t *guest, int32_t code)
{
    guest->unprepared.code = code;
    guest->next = compiling.done;
    compiling.done = guest;

    ngx_http_zvm_wake();
}


static ngx_http_zvm_guest_t *
ngx_http_zvm_compile_take(ngx_http_zvm_guest_t **list)
{
    ngx_http_zvm_guest_t  *guest;

    guest = *list;

    if (guest != NULL) {
        *list = guest->next;
        guest->next = NULL;
    }

    return guest;
}


void
ngx_http_zvm_compiled(ngx_log_t *log)
{
    zvfs_error             err;
    ngx_http_zvm_guest_t  *guest;

    for ( ;; ) {
        pthread_mutex_lock(&compiling.lock);
        guest = ngx_http_zvm_compile_take(&compiling.done);
        pthread_mutex_unlock(&compiling.lock);

        if (guest == NULL) {
            return;
        }

        /* A request that is refused may have it compiled again, on a thread that writes there. */
        err = guest->unprepared;

        guest->compiling = 0;
        guest->ready = (err.code == 0);

        if (guest->ready) {
            ngx_http_zvm_guest_next(guest);

        } else {
            ngx_log_error(NGX_LOG_ERR, log, 0, "zvm: prepare \"%V\": %s", &guest->name, err.message);
            ngx_http_zvm_guest_refuse(guest, err.message);
        }
    }
}


void
ngx_http_zvm_compilers_exit(void)
{
    pthread_mutex_lock(&compiling.lock);
    compiling.leaving = 1;
    pthread_cond_broadcast(&compiling.changed);
    pthread_mutex_unlock(&compiling.lock);

    while (compiling.n > 0) {
        (void) pthread_join(compiling.threads[--compiling.n], NULL);
    }
}
