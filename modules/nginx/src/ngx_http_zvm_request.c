/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"

/* For how long the first part of an answer is held back, in milliseconds: what a guest writes in that time goes out in one piece,
 * with its length, and if the guest fails meanwhile the answer is an error and not half of one. */
#define NGX_HTTP_ZVM_HOLD       10
/* How often a worker that is to leave looks whether this session still runs. Each ends by its manifest's Timeout. */
#define NGX_HTTP_ZVM_KEEP       (60 * 1000)


static void ngx_http_zvm_begin(ngx_http_request_t *r);
static void ngx_http_zvm_begun(ngx_http_request_t *r);
static void ngx_http_zvm_finish(ngx_http_zvm_ctx_t *ctx, ngx_int_t rc);
static void ngx_http_zvm_leave(void *data);
static void ngx_http_zvm_timer(ngx_event_t *ev);
static void ngx_http_zvm_write_event(ngx_http_request_t *r);
static ngx_uint_t ngx_http_zvm_held(ngx_http_zvm_ctx_t *ctx);


ngx_int_t
ngx_http_zvm_handler(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_http_cleanup_t  *cln;
    ngx_http_zvm_ctx_t  *ctx;

    ctx = ngx_http_zvm_make_context(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->conf = ngx_http_get_module_loc_conf(r, ngx_http_zvm_module);
    ctx->left = -1;
    ctx->timer.handler = ngx_http_zvm_timer;
    ctx->timer.data = ctx;
    ctx->timer.log = r->connection->log;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_zvm_leave;
    cln->data = ctx;

    if (r == r->main) {
        r->request_body_no_buffering = 1;
    }

    rc = ngx_http_read_client_request_body(r, ngx_http_zvm_begin);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


/* The body's first part is there, or all of it. It is read on when the session runs. */
static void
ngx_http_zvm_begin(ngx_http_request_t *r)
{
    ngx_uint_t             room;
    ngx_connection_t      *c;
    ngx_http_zvm_ctx_t    *ctx;
    ngx_http_zvm_guest_t  *guest;

    c = r->connection;
    ctx = ngx_http_get_module_ctx(r, ngx_http_zvm_module);
    guest = ctx->conf->guest;

    if (r->request_body != NULL) {
        r->request_body->post_handler = ngx_http_zvm_begun;
    }

#if (NGX_HTTP_V2)
    if (r->stream == NULL)
#endif
    {
        if (c->read->timer_set) {
            ngx_del_timer(c->read);
        }

        /* A client that goes away is noticed. */
        if (!c->write->active && (ngx_event_flags & NGX_USE_CLEAR_EVENT)
            && ngx_add_event(c->write, NGX_WRITE_EVENT, NGX_CLEAR_EVENT) == NGX_ERROR)
        {
            ngx_http_zvm_finish(ctx, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }
    }

    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;

    if (ngx_http_zvm_body(ctx) != NGX_OK) {
        ngx_http_zvm_finish(ctx, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (!guest->ready) {
        ngx_http_zvm_compile(guest, c->log);
    }

    /* A place that has just become free is the first one's that waits for it. */
    if (ngx_http_zvm_guest_is_free(guest) && ngx_queue_empty(&guest->requests)) {
        ngx_http_zvm_start(ctx);
        return;
    }

    /* Until there is a program, those wait that could run too. */
    room = guest->queue + (guest->ready ? 0 : guest->sessions);

    if (guest->waiting >= room) {
        ngx_http_zvm_log(NGX_LOG_ERR, r, "\"%V\": %ui sessions run and %ui requests wait: refused", &guest->name, guest->running,
                         guest->waiting);
        ngx_http_zvm_finish(ctx, NGX_HTTP_SERVICE_UNAVAILABLE);
        return;
    }

    ctx->waiting = 1;
    guest->waiting++;
    ngx_queue_insert_tail(&guest->requests, &ctx->link);
    ngx_add_timer(&ctx->timer, ctx->conf->queue_timeout);
}


/* What is left of a body whose request went on to an error page still comes over HTTP/2, as if it were buffered: its end begins
 * nothing. */
static void
ngx_http_zvm_begun(ngx_http_request_t *r)
{
}


void
ngx_http_zvm_start(ngx_http_zvm_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_log_t           *log;
    ngx_http_request_t  *r;
    ngx_http_zvm_job_t  *job;

    r = ctx->request;
    log = r->connection->log;

    if (ctx->waiting) {
        ctx->waiting = 0;
        ctx->conf->guest->waiting--;
        ngx_queue_remove(&ctx->link);
    }

    job = ngx_http_zvm_job_create(ctx->conf->guest, r);
    if (job == NULL) {
        ngx_http_zvm_finish(ctx, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    rc = ngx_http_zvm_environment(r, ctx->conf, job->session);

    if (rc != NGX_OK) {
        ngx_http_zvm_job_free(job);
        ngx_http_zvm_finish(ctx, rc);
        return;
    }

    ctx->conf->guest->running++;
    ctx->job = job;
    job->ctx = ctx;
    ngx_http_zvm_job_start(job);

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    log->action = "running a guest";
    r->write_event_handler = ngx_http_zvm_write_event;
    ngx_add_timer(&ctx->timer, NGX_HTTP_ZVM_HOLD);

    rc = ngx_http_zvm_feed(ctx);
    if (rc != NGX_OK) {
        ngx_http_zvm_finish(ctx, rc);
    }
}


void
ngx_http_zvm_refuse(ngx_http_zvm_ctx_t *ctx, ngx_int_t status, const char *why)
{
    size_t               len;
    ngx_http_request_t  *r;

    r = ctx->request;
    len = ngx_strlen(why);

    ngx_http_zvm_log(NGX_LOG_ERR, r, "\"%V\": %s", &ctx->conf->guest->name, why);

    ctx->state.data = ngx_pnalloc(r->pool, len);

    if (ctx->state.data != NULL) {
        ngx_memcpy(ctx->state.data, why, len);
        ctx->state.len = len;
    }

    ngx_http_zvm_finish(ctx, status);
}


/* Of a request whose body was begun. */
static void
ngx_http_zvm_finish(ngx_http_zvm_ctx_t *ctx, ngx_int_t rc)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    ngx_http_zvm_leave(ctx);

    /* An answer that has begun cannot become an error page: it is broken off. */
    if (ctx->sent && rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        rc = NGX_ERROR;
    }

    ngx_http_zvm_body_left(r);

    /* An error page may be another location's, which has no context of ours. */
    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
    r->connection->log->action = "sending to client";

    ngx_http_finalize_request(r, rc);
}


/* The request is answered, or gone. Its session goes on without it, if only to its end. */
static void
ngx_http_zvm_leave(void *data)
{
    ngx_http_zvm_ctx_t  *ctx = data;
    ngx_http_zvm_job_t  *job;

    if (ctx->waiting) {
        ctx->waiting = 0;
        ctx->conf->guest->waiting--;
        ngx_queue_remove(&ctx->link);
    }

    if (ctx->timer.timer_set) {
        ngx_del_timer(&ctx->timer);
    }

    job = ctx->job;
    if (job == NULL) {
        return;
    }

    ctx->job = NULL;
    job->ctx = NULL;

    if (job->settled) {
        ngx_http_zvm_job_free(job);

    } else if (!job->ended) {
        ngx_http_zvm_job_stop(job);
    }
}


static void
ngx_http_zvm_timer(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_zvm_ctx_t  *ctx;

    ctx = ev->data;
    c = ctx->request->connection;
    ngx_http_set_log_request(c->log, ctx->request);

    if (!ctx->waiting) {
        /* The timer itself is what matters: a worker that is to leave stays as long as there is one. */
        ngx_add_timer(ev, NGX_HTTP_ZVM_KEEP);

        if (!ctx->due) {
            ctx->due = 1;
            ngx_http_zvm_advance(ctx);
            ngx_http_run_posted_requests(c);
        }

        return;
    }

    ngx_http_zvm_log(NGX_LOG_ERR, ctx->request, "\"%V\": %s while the request waited for %M ms: refused", &ctx->conf->guest->name,
                     ctx->conf->guest->ready ? "no session ended" : "its program was not compiled", ctx->conf->queue_timeout);

    ngx_http_zvm_finish(ctx, NGX_HTTP_SERVICE_UNAVAILABLE);
    ngx_http_run_posted_requests(c);
}


void
ngx_http_zvm_read_event(ngx_http_request_t *r)
{
    ngx_int_t            rc;
    ngx_http_zvm_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_zvm_module);

    rc = ngx_http_zvm_feed(ctx);
    if (rc != NGX_OK) {
        ngx_http_zvm_finish(ctx, rc);
    }
}


static void
ngx_http_zvm_write_event(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_event_t               *wev;
    ngx_http_zvm_ctx_t        *ctx;
    ngx_http_core_loc_conf_t  *clcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_zvm_module);
    clcf = ngx_http_get_module_loc_conf(r->main, ngx_http_core_module);
    wev = r->connection->write;

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, NGX_ETIMEDOUT, "client timed out");
        r->connection->timedout = 1;
        ngx_http_zvm_finish(ctx, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (wev->delayed) {
        if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
            ngx_http_zvm_finish(ctx, NGX_ERROR);
        }

        return;
    }

    if (!ctx->sent) {
        return;
    }

    rc = ngx_http_zvm_answer(ctx);
    if (rc != NGX_AGAIN) {
        ngx_http_zvm_finish(ctx, rc);
    }
}


void
ngx_http_zvm_advance(ngx_http_zvm_ctx_t *ctx)
{
    ngx_int_t  rc;

    ngx_http_zvm_messages(ctx);

    if (ctx->job->ended && !ngx_http_zvm_has_outcome(ctx)) {
        ngx_http_zvm_outcome(ctx);
    }

    if (ctx->failed) {
        ngx_http_zvm_finish(ctx, ngx_http_zvm_failure(ctx));
        return;
    }

    rc = ngx_http_zvm_feed(ctx);

    if (rc == NGX_OK) {
        rc = ngx_http_zvm_held(ctx) ? NGX_AGAIN : ngx_http_zvm_answer(ctx);
    }

    if (rc != NGX_AGAIN) {
        ngx_http_zvm_finish(ctx, rc);
    }
}


/* Until its time has come, or half of the pipe is full. From then on the session tells of each byte. */
static ngx_uint_t
ngx_http_zvm_held(ngx_http_zvm_ctx_t *ctx)
{
    ngx_http_zvm_job_t  *job;

    job = ctx->job;

    pthread_mutex_lock(&job->lock);

    if (job->ended || job->answer.used > job->answer.size / 2) {
        ctx->due = 1;
    }

    job->quiet = !ctx->due;

    pthread_mutex_unlock(&job->lock);

    return !ctx->due;
}
