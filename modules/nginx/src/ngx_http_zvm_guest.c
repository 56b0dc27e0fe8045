/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"


static ngx_int_t ngx_http_zvm_guest_compare(const void *one, const void *two);
static void ngx_http_zvm_guest_init(ngx_http_zvm_guest_t *guest, ngx_cycle_t *cycle);
static int32_t ngx_http_zvm_guest_host(ngx_http_zvm_guest_t *guest, ngx_log_t *log, zvfs_error *error);
static ngx_uint_t ngx_http_zvm_guests_have_compiler(ngx_array_t *guests);


void
ngx_http_zvm_guests_init(ngx_cycle_t *cycle, ngx_array_t *guests)
{
    ngx_uint_t              i;
    ngx_http_zvm_guest_t  **known;

    known = guests->elts;

    /* As they are compiled: the smallest first. */
    ngx_sort(known, guests->nelts, sizeof(ngx_http_zvm_guest_t *), ngx_http_zvm_guest_compare);

    /* A worker has no children but the compilers, which libzvm waits for: nginx would take their ends from it. */
    if (ngx_http_zvm_guests_have_compiler(guests)) {
        (void) signal(SIGCHLD, SIG_DFL);
    }

    for (i = 0; i < guests->nelts; i++) {
        ngx_http_zvm_guest_init(known[i], cycle);

        if (!known[i]->ready) {
            ngx_http_zvm_compile(known[i], cycle->log);
        }
    }
}


static ngx_int_t
ngx_http_zvm_guest_compare(const void *one, const void *two)
{
    size_t  a, b;

    a = (*(ngx_http_zvm_guest_t *const *) one)->program.len;
    b = (*(ngx_http_zvm_guest_t *const *) two)->program.len;

    return (a > b) - (a < b);
}


static void
ngx_http_zvm_guest_init(ngx_http_zvm_guest_t *guest, ngx_cycle_t *cycle)
{
    u_char               *text;
    zvfs_error            error;
    zvm_template         *template;
    zvm_session_options   options = { .struct_size = sizeof(zvm_session_options) };

    template = NULL;

    if (ngx_http_zvm_guest_host(guest, cycle->log, &error) != 0) {
        goto failed;
    }

    options.host = guest->host;

    if (zvm_template_new((const char *) guest->manifest.data, guest->manifest.len, &options, &template, &error) != 0) {
        goto failed;
    }

    if (guest->program.data != NULL && zvm_template_program(template, guest->program.data, guest->program.len, &error) != 0) {
        goto failed;
    }

    guest->template = template;
    return;

failed:

    zvm_template_free(template);

    /* There is nothing to wait for. */
    guest->ready = 1;

    ngx_log_error(NGX_LOG_ERR, cycle->log, 0, "zvm: \"%V\": %s: requests are answered by 500", &guest->name, error.message);

    text = ngx_pnalloc(cycle->pool, ngx_strlen(error.message));
    if (text != NULL) {
        guest->fault.data = text;
        guest->fault.len = ngx_cpymem(text, error.message, ngx_strlen(error.message)) - text;
    }
}


/* Where a worker has no room for it, memory is not kept for the next session: slower, and nothing else. */
static int32_t
ngx_http_zvm_guest_host(ngx_http_zvm_guest_t *guest, ngx_log_t *log, zvfs_error *error)
{
    int32_t  code;

    guest->host_options.flags = ZVM_HOST_POOLED;

    code = zvm_host_new(&guest->host_options, &guest->host, error);
    if (code != -ZVFS_ENOMEM) {
        return code;
    }

    ngx_log_error(NGX_LOG_WARN, log, 0, "zvm: \"%V\": %s: each session maps its own", &guest->name, error->message);
    guest->host_options.flags = 0;

    return zvm_host_new(&guest->host_options, &guest->host, error);
}


static ngx_uint_t
ngx_http_zvm_guests_have_compiler(ngx_array_t *guests)
{
    ngx_uint_t              i;
    ngx_http_zvm_guest_t  **known;

    known = guests->elts;

    for (i = 0; i < guests->nelts; i++) {
        if (known[i]->host_options.worker != NULL) {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_zvm_guests_exit(ngx_array_t *guests)
{
    ngx_uint_t              i;
    ngx_http_zvm_guest_t  **known;

    known = guests->elts;

    /* Ends what is still being compiled. */
    for (i = 0; i < guests->nelts; i++) {
        zvm_template_free(known[i]->template);
    }

    ngx_http_zvm_compilers_exit();

    for (i = 0; i < guests->nelts; i++) {
        zvm_host_free(known[i]->host);
    }
}


void
ngx_http_zvm_news(ngx_http_zvm_job_t *job)
{
    ngx_uint_t             over;
    ngx_connection_t      *c;
    ngx_http_request_t    *r;
    ngx_http_zvm_guest_t  *guest;

    guest = job->guest;
    over = (job->over && !job->settled);

    /* Its place is free before its answer goes on, which may be to this guest again, as its error page. */
    if (over) {
        guest->running--;
    }

    if (job->ctx != NULL) {
        r = job->ctx->request;
        c = r->connection;
        ngx_http_set_log_request(c->log, r);

        ngx_http_zvm_advance(job->ctx);
        ngx_http_run_posted_requests(c);
    }

    /* The session's thread keeps its place until it has let go of everything. The answer may be longer on its way: the job is freed
     * with the last of the two. */
    if (over) {
        zvm_session_free(job->session);
        job->session = NULL;
        job->settled = 1;

        if (job->ctx == NULL) {
            ngx_http_zvm_job_free(job);
        }

        ngx_http_zvm_guest_next(guest);
    }
}


void
ngx_http_zvm_unstarted(ngx_http_zvm_job_t *job, ngx_int_t status, const char *why)
{
    ngx_connection_t      *c;
    ngx_http_zvm_ctx_t    *ctx;
    ngx_http_zvm_guest_t  *guest;

    guest = job->guest;
    guest->running--;

    ctx = job->ctx;

    if (ctx != NULL) {
        c = ctx->request->connection;
        ngx_http_set_log_request(c->log, ctx->request);

        ngx_http_zvm_refuse(ctx, status, why);
        ngx_http_run_posted_requests(c);
    }

    ngx_http_zvm_job_free(job);
    ngx_http_zvm_guest_next(guest);
}


ngx_uint_t
ngx_http_zvm_guest_is_free(ngx_http_zvm_guest_t *guest)
{
    return guest->ready && guest->running < guest->sessions;
}


void
ngx_http_zvm_guest_next(ngx_http_zvm_guest_t *guest)
{
    ngx_connection_t    *c;
    ngx_http_zvm_ctx_t  *ctx;

    while (ngx_http_zvm_guest_is_free(guest) && !ngx_queue_empty(&guest->requests)) {
        ctx = ngx_queue_data(ngx_queue_head(&guest->requests), ngx_http_zvm_ctx_t, link);
        c = ctx->request->connection;
        ngx_http_set_log_request(c->log, ctx->request);

        ngx_http_zvm_start(ctx);
        ngx_http_run_posted_requests(c);
    }
}


void
ngx_http_zvm_guest_refuse(ngx_http_zvm_guest_t *guest, const char *why)
{
    ngx_queue_t          refused;
    ngx_connection_t    *c;
    ngx_http_zvm_ctx_t  *ctx;

    ngx_queue_init(&refused);

    /* An error page may be this guest's too: it waits for the next try. */
    if (!ngx_queue_empty(&guest->requests)) {
        ngx_queue_add(&refused, &guest->requests);
        ngx_queue_init(&guest->requests);
    }

    while (!ngx_queue_empty(&refused)) {
        ctx = ngx_queue_data(ngx_queue_head(&refused), ngx_http_zvm_ctx_t, link);
        c = ctx->request->connection;
        ngx_http_set_log_request(c->log, ctx->request);

        ngx_http_zvm_refuse(ctx, NGX_HTTP_INTERNAL_SERVER_ERROR, why);
        ngx_http_run_posted_requests(c);
    }
}
