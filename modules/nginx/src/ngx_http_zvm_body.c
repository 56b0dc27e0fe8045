/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"

/* How much of a file is read for the guest at once. */
#define NGX_HTTP_ZVM_FILE_PART  (16 * 1024)


static ngx_int_t ngx_http_zvm_give(ngx_http_zvm_ctx_t *ctx, ngx_buf_t *b);


ngx_int_t
ngx_http_zvm_body(ngx_http_zvm_ctx_t *ctx)
{
    ngx_buf_t            *b;
    ngx_chain_t          *cl, **last;
    ngx_http_request_t   *r;

    r = ctx->request;

    if (r != r->main || r->request_body == NULL || r->reading_body) {
        return NGX_OK;
    }

    last = &ctx->body;

    for (cl = r->request_body->bufs; cl != NULL; cl = cl->next) {
        b = ngx_alloc_buf(r->pool);
        *last = ngx_alloc_chain_link(r->pool);
        if (b == NULL || *last == NULL) {
            return NGX_ERROR;
        }

        *b = *cl->buf;
        (*last)->buf = b;
        (*last)->next = NULL;
        last = &(*last)->next;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_zvm_feed(ngx_http_zvm_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_chain_t         *cl;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ctx->request;
    c = r->connection;

    if (ctx->body_closed) {
        return NGX_OK;
    }

    for ( ;; ) {
        while (ctx->body != NULL) {
            cl = ctx->body;

            rc = ngx_http_zvm_give(ctx, cl->buf);

            if (rc == NGX_AGAIN) {
                /* The client is not late. That it goes away is still noticed. */
                if (r == r->main && c->read->timer_set) {
                    ngx_del_timer(c->read);
                }

                r->read_event_handler = ngx_http_test_reading;
                return NGX_OK;
            }

            if (rc != NGX_OK) {
                return rc;
            }

            ctx->body = cl->next;
            ngx_free_chain(r->pool, cl);
        }

        /* One that was begun unbuffered and is now answered by another location has lost its body. */
        if (r != r->main || !r->reading_body || !r->request_body_no_buffering) {
            break;
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            return rc;
        }

        ctx->body = r->request_body->bufs;
        r->request_body->bufs = NULL;

        if (ctx->body == NULL && rc == NGX_AGAIN) {
            r->read_event_handler = ngx_http_zvm_read_event;
            return NGX_OK;
        }
    }

    ctx->body_closed = 1;
    r->read_event_handler = ngx_http_test_reading;

    pthread_mutex_lock(&ctx->job->lock);
    ctx->job->body.closed = 1;
    pthread_cond_broadcast(&ctx->job->changed);
    pthread_mutex_unlock(&ctx->job->lock);

    return NGX_OK;
}


void
ngx_http_zvm_body_left(ngx_http_request_t *r)
{
    if (r == r->main && r->reading_body) {
        r->keepalive = 0;
    }
}


/* Puts what is in a buffer into the job's pipe. NGX_AGAIN: there was no room for all of it, and its session tells when there is. */
static ngx_int_t
ngx_http_zvm_give(ngx_http_zvm_ctx_t *ctx, ngx_buf_t *b)
{
    u_char               part[NGX_HTTP_ZVM_FILE_PART], *bytes;
    ssize_t              n, size;
    ngx_http_zvm_job_t  *job;

    job = ctx->job;

    for ( ;; ) {
        if (ngx_buf_in_memory(b)) {
            bytes = b->pos;
            size = b->last - b->pos;

        } else if (b->in_file) {
            bytes = part;
            size = (ssize_t) ngx_min((off_t) sizeof(part), b->file_last - b->file_pos);

            if (size > 0) {
                size = ngx_read_file(b->file, part, (size_t) size, b->file_pos);
                if (size <= 0) {
                    return NGX_HTTP_INTERNAL_SERVER_ERROR;
                }
            }

        } else {
            return NGX_OK;
        }

        if (size == 0) {
            return NGX_OK;
        }

        pthread_mutex_lock(&job->lock);

        n = ngx_http_zvm_pipe_put(&job->body, bytes, (size_t) size);
        if (n == 0) {
            job->hungry = 1;
        }

        pthread_cond_broadcast(&job->changed);
        pthread_mutex_unlock(&job->lock);

        if (n == NGX_ERROR) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        if (n == 0) {
            return NGX_AGAIN;
        }

        if (ngx_buf_in_memory(b)) {
            b->pos += n;

        } else {
            b->file_pos += n;
        }
    }
}
