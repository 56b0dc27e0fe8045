/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"
#include <sys/random.h>

#define NGX_HTTP_ZVM_ID            16
/* As much as the kernel gives in one piece, whatever signal comes. */
#define NGX_HTTP_ZVM_RANDOM        256


static ngx_str_t  ngx_http_zvm_request_id_name = ngx_string("request_id");


ngx_int_t
ngx_http_zvm_request_id_index(ngx_conf_t *cf)
{
    return ngx_http_get_variable_index(cf, &ngx_http_zvm_request_id_name);
}


/* nginx makes these 16 bytes by OpenSSL's generator when they are first asked for, which takes as long as a tenth of a small session does.
 * The kernel's, for 16 requests at a time, are as good, and whoever asks for the variable later gets the same. */
void
ngx_http_zvm_request_id(ngx_http_request_t *r, ngx_uint_t index)
{
    u_char                     *text;
    ngx_http_variable_value_t  *v;

    /* The worker's alone: nothing is taken of it before the fork. */
    static u_char               random[NGX_HTTP_ZVM_RANDOM];
    static size_t               left;

    v = &r->variables[index];

    if (v->valid || v->not_found) {
        return;
    }

    if (left == 0) {
        /* nginx makes its own, where the kernel does not. */
        if (getrandom(random, sizeof(random), 0) != (ssize_t) sizeof(random)) {
            return;
        }

        left = sizeof(random);
    }

    text = ngx_pnalloc(r->pool, 2 * NGX_HTTP_ZVM_ID);
    if (text == NULL) {
        return;
    }

    left -= NGX_HTTP_ZVM_ID;
    (void) ngx_hex_dump(text, random + left, NGX_HTTP_ZVM_ID);

    v->data = text;
    v->len = 2 * NGX_HTTP_ZVM_ID;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
}
