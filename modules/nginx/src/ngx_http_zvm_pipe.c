/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"


/* What a ring begins with: most answers fit in. */
#define NGX_HTTP_ZVM_PIPE       4096


static ngx_int_t ngx_http_zvm_pipe_grow(ngx_http_zvm_pipe_t *pipe, size_t room);


ssize_t
ngx_http_zvm_pipe_put(ngx_http_zvm_pipe_t *pipe, const void *bytes, size_t n)
{
    size_t  at, first;

    n = ngx_min(n, pipe->size - pipe->used);

    if (pipe->used + n > pipe->room && ngx_http_zvm_pipe_grow(pipe, pipe->used + n) != NGX_OK) {
        return NGX_ERROR;
    }

    at = (pipe->head + pipe->used) % pipe->room;
    first = ngx_min(n, pipe->room - at);

    ngx_memcpy(pipe->start + at, bytes, first);
    ngx_memcpy(pipe->start, (const u_char *) bytes + first, n - first);
    pipe->used += n;

    return (ssize_t) n;
}


/* Twice as much as before, and enough for so many bytes, which are no more than it may have. */
static ngx_int_t
ngx_http_zvm_pipe_grow(ngx_http_zvm_pipe_t *pipe, size_t room)
{
    size_t   used;
    u_char  *start;

    room = ngx_min(ngx_max(room, ngx_max(2 * pipe->room, NGX_HTTP_ZVM_PIPE)), pipe->size);

    start = malloc(room);
    if (start == NULL) {
        return NGX_ERROR;
    }

    used = ngx_http_zvm_pipe_take(pipe, start, pipe->used);
    free(pipe->start);

    pipe->start = start;
    pipe->room = room;
    pipe->used = used;
    pipe->head = 0;

    return NGX_OK;
}


size_t
ngx_http_zvm_pipe_take(ngx_http_zvm_pipe_t *pipe, void *bytes, size_t n)
{
    size_t  first;

    n = ngx_min(n, pipe->used);
    if (n == 0) {
        return 0;
    }

    first = ngx_min(n, pipe->room - pipe->head);

    ngx_memcpy(bytes, pipe->start + pipe->head, first);
    ngx_memcpy((u_char *) bytes + first, pipe->start, n - first);
    pipe->head = (pipe->head + n) % pipe->room;
    pipe->used -= n;

    return n;
}


void
ngx_http_zvm_pipe_reset(ngx_http_zvm_pipe_t *pipe)
{
    if (pipe->room > NGX_HTTP_ZVM_PIPE) {
        ngx_http_zvm_pipe_free(pipe);
    }

    pipe->used = 0;
    pipe->head = 0;
    pipe->closed = 0;
}


void
ngx_http_zvm_pipe_free(ngx_http_zvm_pipe_t *pipe)
{
    free(pipe->start);
    pipe->start = NULL;
    pipe->room = 0;
}
