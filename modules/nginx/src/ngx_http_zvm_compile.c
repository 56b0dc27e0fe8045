/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"

/* How many programs a worker compiles at a time. */
#define NGX_HTTP_ZVM_COMPILERS  2


static ngx_http_zvm_guest_t *ngx_http_zvm_compile_take(ngx_http_zvm_guest_t **list);
static ngx_uint_t ngx_http_zvm_compilers_start(ngx_log_t *log);
static void *ngx_http_zvm_compiler(void *data);


/* What is compiled, beside the event loop and the sessions. A guest is in one of the lists, by its `next`, or with a thread. */
static struct {
    pthread_mutex_t        lock; /* of the next four, and of a guest's `unprepared` */
    pthread_cond_t         changed;
    ngx_http_zvm_guest_t  *wanted; /* the smallest first */
    ngx_http_zvm_guest_t  *done;
    unsigned               leaving:1;

    pthread_t              threads[NGX_HTTP_ZVM_COMPILERS]; /* the event loop's, as the rest */
    ngx_uint_t             n;
} compiling = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };


/* The smallest first: it would wait for the larger ones, and they hardly for it. */
void
ngx_http_zvm_compile(ngx_http_zvm_guest_t *guest, ngx_log_t *log)
{
    ngx_http_zvm_guest_t  **at;

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

    for (at = &compiling.wanted; *at != NULL && (*at)->program.len <= guest->program.len; at = &(*at)->next) { /* void */ }

    guest->next = *at;
    *at = guest;

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

    for (err = 0; compiling.n < NGX_HTTP_ZVM_COMPILERS && !err; compiling.n += !err) {
        err = pthread_create(&compiling.threads[compiling.n], NULL, ngx_http_zvm_compiler, NULL);
    }

    pthread_sigmask(SIG_SETMASK, &before, NULL);

    if (compiling.n == 0) {
        ngx_log_error(NGX_LOG_ERR, log, err, "zvm: pthread_create() failed: requests compile the programs");
    }

    return compiling.n;
}


static void *
ngx_http_zvm_compiler(void *data)
{
    int32_t                code;
    ngx_http_zvm_guest_t  *guest;

    pthread_mutex_lock(&compiling.lock);

    while (!compiling.leaving) {
        guest = ngx_http_zvm_compile_take(&compiling.wanted);

        if (guest == NULL) {
            pthread_cond_wait(&compiling.changed, &compiling.lock);
            continue;
        }

        pthread_mutex_unlock(&compiling.lock);
        code = zvm_template_prepare(guest->template, &guest->unprepared);
        pthread_mutex_lock(&compiling.lock);

        guest->unprepared.code = code;
        guest->next = compiling.done;
        compiling.done = guest;

        ngx_http_zvm_wake();
    }

    pthread_mutex_unlock(&compiling.lock);
    return NULL;
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
    ngx_http_zvm_guest_t  *guest;

    for ( ;; ) {
        pthread_mutex_lock(&compiling.lock);
        guest = ngx_http_zvm_compile_take(&compiling.done);
        pthread_mutex_unlock(&compiling.lock);

        if (guest == NULL) {
            return;
        }

        guest->compiling = 0;
        guest->ready = (guest->unprepared.code == 0);

        if (guest->ready) {
            ngx_http_zvm_guest_next(guest);

        } else {
            ngx_log_error(NGX_LOG_ERR, log, 0, "zvm: prepare \"%V\": %s", &guest->name, guest->unprepared.message);
            ngx_http_zvm_guest_refuse(guest, guest->unprepared.message);
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
