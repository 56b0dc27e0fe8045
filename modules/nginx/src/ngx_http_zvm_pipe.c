/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"


ssize_t
ngx_http_zvm_pipe_put(ngx_http_zvm_pipe_t *pipe, const void *bytes, size_t n)
{
    size_t  at, first;

    if (pipe->start == NULL) {
        pipe->start = malloc(pipe->size);
        if (pipe->start == NULL) {
            return NGX_ERROR;
        }
    }

    n = ngx_min(n, pipe->size - pipe->used);
    at = (pipe->head + pipe->used) % pipe->size;
    first = ngx_min(n, pipe->size - at);

    ngx_memcpy(pipe->start + at, bytes, first);
    ngx_memcpy(pipe->start, (const u_char *) bytes + first, n - first);
    pipe->used += n;

    return (ssize_t) n;
}


size_t
ngx_http_zvm_pipe_take(ngx_http_zvm_pipe_t *pipe, void *bytes, size_t n)
{
    size_t  first;

    n = ngx_min(n, pipe->used);
    if (n == 0) {
        return 0;
    }

    first = ngx_min(n, pipe->size - pipe->head);

    ngx_memcpy(bytes, pipe->start + pipe->head, first);
    ngx_memcpy((u_char *) bytes + first, pipe->start, n - first);
    pipe->head = (pipe->head + n) % pipe->size;
    pipe->used -= n;

    return n;
}


void
ngx_http_zvm_pipe_free(ngx_http_zvm_pipe_t *pipe)
{
    free(pipe->start);
    pipe->start = NULL;
    pipe->used = 0;
}
