/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"


static ngx_int_t ngx_http_zvm_head(ngx_http_zvm_ctx_t *ctx, ngx_chain_t **rest);
static ngx_int_t ngx_http_zvm_length(ngx_http_zvm_ctx_t *ctx, ngx_buf_t *b);
static ngx_int_t ngx_http_zvm_too_short(ngx_http_zvm_ctx_t *ctx, off_t missing);
static ngx_int_t ngx_http_zvm_drop(ngx_http_zvm_ctx_t *ctx);
static ngx_int_t ngx_http_zvm_gather(ngx_http_zvm_ctx_t *ctx, ngx_chain_t **out, ngx_uint_t *complete);
static ngx_uint_t ngx_http_zvm_limit(ngx_http_zvm_ctx_t *ctx, ngx_buf_t *b);
static ngx_int_t ngx_http_zvm_end(ngx_http_zvm_ctx_t *ctx, ngx_int_t rc, ngx_uint_t last_sent);
static ngx_int_t ngx_http_zvm_wait(ngx_http_zvm_ctx_t *ctx);
static ngx_chain_t *ngx_http_zvm_buffer(ngx_http_zvm_ctx_t *ctx);
static size_t ngx_http_zvm_fill(ngx_http_zvm_ctx_t *ctx, ngx_buf_t *b, ngx_uint_t *complete);


ngx_int_t
ngx_http_zvm_answer(ngx_http_zvm_ctx_t *ctx)
{
    ngx_int_t            rc;
    ngx_uint_t           complete, some, last, blocked, header;
    ngx_chain_t         *out;
    ngx_http_request_t  *r;

    r = ctx->request;
    out = NULL;
    header = !ctx->sent;

    if (header) {
        rc = ngx_http_zvm_head(ctx, &out);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (r->header_only) {
        return ngx_http_zvm_drop(ctx);
    }

    for ( ;; ) {
        if (ngx_http_zvm_gather(ctx, &out, &complete) != NGX_OK) {
            return NGX_ERROR;
        }

        some = (out != NULL);
        last = some && complete && ctx->left <= 0;
        blocked = (ctx->busy != NULL);
        rc = NGX_OK;

        if (header && !some && !complete) {
            /* The guest takes its time with the body: the client need not wait for it to have the header. */
            rc = ngx_http_send_special(r, NGX_HTTP_FLUSH);
            if (rc == NGX_ERROR) {
                return NGX_ERROR;
            }

        } else if (some || blocked || r->connection->buffered) {
            rc = ngx_http_output_filter(r, out);
            if (rc == NGX_ERROR) {
                return NGX_ERROR;
            }

            ngx_chain_update_chains(r->pool, &ctx->free, &ctx->busy, &out, (ngx_buf_tag_t) &ngx_http_zvm_module);
        }

        if (complete) {
            return ngx_http_zvm_end(ctx, rc, last);
        }

        header = 0;

        /* Either the client takes no more, or the guest has written no more; buffers that are free again are filled. */
        if (ctx->busy != NULL || (!some && !blocked)) {
            return ngx_http_zvm_wait(ctx);
        }
    }
}


/* Reads the header lines and sends the header. What lay behind them is the body's first part. */
static ngx_int_t
ngx_http_zvm_head(ngx_http_zvm_ctx_t *ctx, ngx_chain_t **rest)
{
    ngx_buf_t           *b;
    ngx_int_t            rc;
    ngx_uint_t           complete;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ctx->header == NULL) {
        ctx->header = ngx_http_zvm_buffer(ctx);
        if (ctx->header == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    b = ctx->header->buf;
    (void) ngx_http_zvm_fill(ctx, b, &complete);

    rc = ngx_http_zvm_parse_header(r, b);

    if (rc == NGX_AGAIN && b->last == b->end) {
        ngx_http_zvm_log(NGX_LOG_ERR, r, "the guest's header is larger than %uz bytes: see zvm_buffers", ctx->conf->buffers.size);
        rc = NGX_ERROR;
    }

    if (rc == NGX_AGAIN && complete) {
        ngx_http_zvm_log(NGX_LOG_ERR, r, "the guest ended before its header did");
        rc = NGX_ERROR;
    }

    if (rc == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (rc != NGX_OK) {
        /* Nothing of it is the answer's. */
        ngx_http_clean_header(r);
        return rc == NGX_ERROR ? NGX_HTTP_BAD_GATEWAY : rc;
    }

    if (ngx_http_zvm_length(ctx, b) != NGX_OK) {
        ngx_http_clean_header(r);
        return NGX_HTTP_BAD_GATEWAY;
    }

    ctx->left = r->headers_out.content_length_n;
    ngx_http_zvm_body_left(r);

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    ctx->sent = 1;

    if (ngx_http_zvm_limit(ctx, b)) {
        *rest = ctx->header;

    } else {
        ctx->header->next = ctx->free;
        ctx->free = ctx->header;
    }

    ctx->header = NULL;
    return NGX_OK;
}


/* A guest that has ended has said how long its answer is. NGX_ERROR: it is shorter than its Content-Length. */
static ngx_int_t
ngx_http_zvm_length(ngx_http_zvm_ctx_t *ctx, ngx_buf_t *b)
{
    off_t                have;
    ngx_http_request_t  *r;

    r = ctx->request;

    if (!ctx->job->ended || r->method == NGX_HTTP_HEAD || r->headers_out.status == NGX_HTTP_NO_CONTENT
        || r->headers_out.status == NGX_HTTP_NOT_MODIFIED)
    {
        return NGX_OK;
    }

    have = (b->last - b->pos) + (off_t) ctx->job->answer.used;

    if (r->headers_out.content_length_n > have) {
        return ngx_http_zvm_too_short(ctx, r->headers_out.content_length_n - have);
    }

    if (r == r->main && r->headers_out.content_length_n == -1) {
        r->headers_out.content_length_n = have;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_zvm_too_short(ngx_http_zvm_ctx_t *ctx, off_t missing)
{
    ngx_http_zvm_log(NGX_LOG_ERR, ctx->request, "the guest wrote %O bytes less than its Content-Length", missing);

    return NGX_ERROR;
}


/* The answer to HEAD has no body, whatever the guest writes. It runs to its end all the same: its other channels count. */
static ngx_int_t
ngx_http_zvm_drop(ngx_http_zvm_ctx_t *ctx)
{
    ngx_uint_t   complete;
    ngx_chain_t  *cl;

    cl = ngx_http_zvm_buffer(ctx);
    if (cl == NULL) {
        return NGX_ERROR;
    }

    do {
        cl->buf->last = cl->buf->start;
    } while (ngx_http_zvm_fill(ctx, cl->buf, &complete) > 0);

    cl->next = ctx->free;
    ctx->free = cl;

    return complete ? NGX_OK : NGX_AGAIN;
}


/* Appends what the guest wrote, as far as there are buffers. */
static ngx_int_t
ngx_http_zvm_gather(ngx_http_zvm_ctx_t *ctx, ngx_chain_t **out, ngx_uint_t *complete)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    b = NULL;
    *complete = 0;

    for ( /* void */ ; *out != NULL; out = &(*out)->next) {
        b = (*out)->buf;
    }

    while (ctx->free != NULL || ctx->buffers < ctx->conf->buffers.num) {
        cl = ngx_http_zvm_buffer(ctx);
        if (cl == NULL) {
            return NGX_ERROR;
        }

        if (ngx_http_zvm_fill(ctx, cl->buf, complete) == 0) {
            cl->next = ctx->free;
            ctx->free = cl;
            break;
        }

        if (!ngx_http_zvm_limit(ctx, cl->buf)) {
            cl->next = ctx->free;
            ctx->free = cl;
            continue;
        }

        b = cl->buf;
        *out = cl;
        out = &cl->next;
    }

    if (b == NULL) {
        return NGX_OK;
    }

    if (*complete && ctx->left <= 0) {
        b->last_buf = (ctx->request == ctx->request->main);
        b->last_in_chain = 1;

    } else {
        /* What a guest has written does not wait for what it writes next. */
        b->flush = 1;
    }

    return NGX_OK;
}


/* No more goes out than the header says. Returns whether anything of this does. */
static ngx_uint_t
ngx_http_zvm_limit(ngx_http_zvm_ctx_t *ctx, ngx_buf_t *b)
{
    if (ctx->left != -1 && b->last - b->pos > ctx->left) {
        if (!ctx->cut) {
            ngx_http_zvm_log(NGX_LOG_WARN, ctx->request, "the guest wrote more than its Content-Length: cut");
        }

        ctx->cut = 1;
        b->last = b->pos + ctx->left;
    }

    if (ctx->left != -1) {
        ctx->left -= b->last - b->pos;
    }

    return b->last > b->pos;
}


static ngx_int_t
ngx_http_zvm_end(ngx_http_zvm_ctx_t *ctx, ngx_int_t rc, ngx_uint_t last_sent)
{
    if (ctx->left > 0) {
        return ngx_http_zvm_too_short(ctx, ctx->left);
    }

    return last_sent ? rc : ngx_http_send_special(ctx->request, NGX_HTTP_LAST);
}


static ngx_int_t
ngx_http_zvm_wait(ngx_http_zvm_ctx_t *ctx)
{
    ngx_event_t               *wev;
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = ctx->request;
    c = r->connection;
    wev = c->write;
    clcf = ngx_http_get_module_loc_conf(r->main, ngx_http_core_module);

    if (c->data == r && ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        return NGX_ERROR;
    }

    if (wev->delayed) {
        return NGX_AGAIN;
    }

    /* The client is late only if it is its turn. */
    if (c->buffered && wev->active && !wev->ready) {
        ngx_add_timer(wev, clcf->send_timeout);

    } else if (wev->timer_set) {
        ngx_del_timer(wev);
    }

    return NGX_AGAIN;
}


static ngx_chain_t *
ngx_http_zvm_buffer(ngx_http_zvm_ctx_t *ctx)
{
    size_t        size;
    ngx_buf_t    *b;
    ngx_pool_t   *pool;
    ngx_chain_t  *cl;

    pool = ctx->request->pool;
    size = ctx->conf->buffers.size;

    cl = ngx_chain_get_free_buf(pool, &ctx->free);
    if (cl == NULL) {
        return NULL;
    }

    b = cl->buf;

    if (b->start == NULL) {
        b->start = ngx_palloc(pool, size);
        if (b->start == NULL) {
            return NULL;
        }

        b->end = b->start + size;
        ctx->buffers++;
    }

    b->pos = b->start;
    b->last = b->start;
    b->temporary = 1;
    b->flush = 0;
    b->tag = (ngx_buf_tag_t) &ngx_http_zvm_module;

    return cl;
}


/* Puts into a buffer what the guest wrote, and says whether that was the last of it. */
static size_t
ngx_http_zvm_fill(ngx_http_zvm_ctx_t *ctx, ngx_buf_t *b, ngx_uint_t *complete)
{
    size_t               n;
    ngx_http_zvm_job_t  *job;

    job = ctx->job;

    pthread_mutex_lock(&job->lock);
    n = ngx_http_zvm_pipe_take(&job->answer, b->last, b->end - b->last);
    *complete = job->ended && job->answer.used == 0;
    pthread_cond_broadcast(&job->changed);
    pthread_mutex_unlock(&job->lock);

    b->last += n;
    return n;
}
