/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"

/* The longest line of a guest's message. */
#define NGX_HTTP_ZVM_MESSAGE    1024


static void ngx_http_zvm_exited(ngx_http_request_t *r, int64_t guest_code, ngx_str_t *state);
static ngx_int_t ngx_http_zvm_state_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_zvm_report_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_zvm_fuel_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data);
static ngx_http_zvm_ctx_t *ngx_http_zvm_ended(ngx_http_request_t *r, ngx_http_variable_value_t *v);
static ngx_http_zvm_ctx_t *ngx_http_zvm_context(ngx_http_request_t *r);
static void ngx_http_zvm_context_gone(void *data);


static ngx_http_variable_t  ngx_http_zvm_vars[] = {

    { ngx_string("zvm_state"), NULL, ngx_http_zvm_state_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("zvm_report"), NULL, ngx_http_zvm_report_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("zvm_fuel"), NULL, ngx_http_zvm_fuel_variable, 0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_zvm_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_zvm_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


void
ngx_http_zvm_messages(ngx_http_zvm_ctx_t *ctx)
{
    u_char               text[NGX_HTTP_ZVM_MESSAGE], line[4 * NGX_HTTP_ZVM_MESSAGE], *p, *end, *q;
    size_t               n;
    ngx_http_zvm_job_t  *job;

    job = ctx->job;

    for ( ;; ) {
        pthread_mutex_lock(&job->lock);
        n = ngx_http_zvm_pipe_take(&job->messages, text, sizeof(text));
        pthread_cond_broadcast(&job->changed);
        pthread_mutex_unlock(&job->lock);

        if (n == 0) {
            return;
        }

        for (p = text; p < text + n; p = end + 1) {
            end = ngx_strlchr(p, text + n, '\n');
            if (end == NULL) {
                end = text + n;
            }

            q = ngx_http_zvm_printable(line, p, end - p);

            ngx_http_zvm_log(NGX_LOG_ERR, ctx->request, "guest wrote to stderr: \"%*s\"", (size_t) (q - line), line);
        }
    }
}


u_char *
ngx_http_zvm_printable(u_char *to, const u_char *bytes, size_t n)
{
    const u_char  *end;

    for (end = bytes + n; bytes < end; bytes++) {
        if (*bytes >= 0x20 && *bytes < 0x7f && *bytes != '"' && *bytes != '\\') {
            *to++ = *bytes;

        } else {
            to = ngx_sprintf(to, "\\x%02Xd", *bytes);
        }
    }

    return to;
}


void
ngx_http_zvm_outcome(ngx_http_zvm_ctx_t *ctx)
{
    int32_t              exit_code;
    int64_t              guest_code;
    ngx_http_request_t  *r;
    ngx_http_zvm_job_t  *job;

    r = ctx->request;
    job = ctx->job;

    /* What a log may ask for is made when it does, so the session stays for as long as the request. */
    ctx->session = job->session;
    job->session = NULL;

    exit_code = zvm_session_exit_code(ctx->session);
    guest_code = zvm_session_guest_code(ctx->session);
    ctx->failed = exit_code != 0 || guest_code != 0;

    if (!ctx->failed) {
        return;
    }

    ctx->state.data = (u_char *) zvm_session_state(ctx->session);
    ctx->state.len = ngx_strlen(ctx->state.data);

    /* For a session that is a good one: a guest may say by its code what it found. For an answer it is not. */
    if (exit_code == 0 && guest_code != 0) {
        ngx_http_zvm_exited(r, guest_code, &ctx->state);
    }

    ngx_http_zvm_log(NGX_LOG_ERR, r, "\"%V\": %V (%D)", &job->guest->name, &ctx->state, exit_code);
}


ngx_uint_t
ngx_http_zvm_has_outcome(ngx_http_zvm_ctx_t *ctx)
{
    return ctx->session != NULL || ctx->state.data != NULL;
}


/* Without memory for it the state stays what it is. */
static void
ngx_http_zvm_exited(ngx_http_request_t *r, int64_t guest_code, ngx_str_t *state)
{
    u_char  *text;

    text = ngx_pnalloc(r->pool, sizeof("the guest exited with code ") + NGX_INT64_LEN);
    if (text == NULL) {
        return;
    }

    state->data = text;
    state->len = ngx_sprintf(text, "the guest exited with code %L", guest_code) - text;
}


ngx_int_t
ngx_http_zvm_failure(ngx_http_zvm_ctx_t *ctx)
{
    if (ctx->sent) {
        return NGX_ERROR;
    }

    ngx_http_clean_header(ctx->request);

    switch (zvm_session_exit_code(ctx->session)) {

    case 0:     /* the guest's own code says that it failed */
    case 125:
        return NGX_HTTP_BAD_GATEWAY;

    case 4:
        return ngx_strncmp(ctx->state.data, "timeout", ngx_min(ctx->state.len, 7)) == 0 ? NGX_HTTP_GATEWAY_TIME_OUT
                                                                                        : NGX_HTTP_BAD_GATEWAY;
    default:
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
}


static ngx_int_t
ngx_http_zvm_state_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_zvm_ctx_t  *ctx;

    ctx = ngx_http_zvm_ended(r, v);
    if (ctx == NULL) {
        return NGX_OK;
    }

    if (ctx->state.data == NULL) {
        ctx->state.data = (u_char *) zvm_session_state(ctx->session);
        ctx->state.len = ngx_strlen(ctx->state.data);
    }

    v->data = ctx->state.data;
    v->len = ctx->state.len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_zvm_report_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_zvm_ctx_t  *ctx;

    ctx = ngx_http_zvm_ended(r, v);
    if (ctx == NULL) {
        return NGX_OK;
    }

    if (ctx->session == NULL) {
        v->valid = 0;
        v->not_found = 1;
        return NGX_OK;
    }

    v->data = (u_char *) zvm_session_report(ctx->session, ZVM_REPORT_LINE);
    v->len = ngx_strlen(v->data);

    return NGX_OK;
}


static ngx_int_t
ngx_http_zvm_fuel_variable(ngx_http_request_t *r, ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_http_zvm_ctx_t  *ctx;

    ctx = ngx_http_zvm_ended(r, v);
    if (ctx == NULL) {
        return NGX_OK;
    }

    v->data = ngx_pnalloc(r->pool, NGX_INT64_LEN);
    if (v->data == NULL) {
        return NGX_ERROR;
    }

    v->len = ngx_sprintf(v->data, "%L", ngx_max(zvm_session_fuel(ctx->session), 0)) - v->data;

    return NGX_OK;
}


/* The context of a request whose session has ended, or could not begin, and whose variables have a value then. */
static ngx_http_zvm_ctx_t *
ngx_http_zvm_ended(ngx_http_request_t *r, ngx_http_variable_value_t *v)
{
    ngx_http_zvm_ctx_t  *ctx;

    ctx = ngx_http_zvm_context(r);

    v->not_found = ctx == NULL || !ngx_http_zvm_has_outcome(ctx);
    v->valid = !v->not_found;
    v->no_cacheable = 0;

    return v->not_found ? NULL : ctx;
}


ngx_http_zvm_ctx_t *
ngx_http_zvm_make_context(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;
    ngx_http_zvm_ctx_t  *ctx;

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_zvm_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_zvm_ctx_t));
    ctx->request = r;

    cln->handler = ngx_http_zvm_context_gone;
    ngx_http_set_ctx(r, ctx, ngx_http_zvm_module);

    return ctx;
}


/* Marks a context, too, among what its pool cleans up, the newest first. */
static void
ngx_http_zvm_context_gone(void *data)
{
    ngx_http_zvm_ctx_t  *ctx = data;

    zvm_session_free(ctx->session);
}


/* nginx forgets the contexts of a request that is redirected. */
static ngx_http_zvm_ctx_t *
ngx_http_zvm_context(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;
    ngx_http_zvm_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_zvm_module);
    if (ctx != NULL) {
        return ctx;
    }

    for (cln = r->pool->cleanup; cln != NULL; cln = cln->next) {
        ctx = cln->data;
        if (cln->handler == ngx_http_zvm_context_gone && ctx->request == r) {
            return ctx;
        }
    }

    return NULL;
}
