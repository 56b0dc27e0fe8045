/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"

/* nginx cuts a line at NGX_MAX_ERROR_STR: this leaves room for the time before a message, and for the id behind it. */
#define NGX_HTTP_ZVM_LOG_TEXT    (NGX_MAX_ERROR_STR - 256)


void
ngx_http_zvm_log(ngx_uint_t level, ngx_http_request_t *r, const char *fmt, ...)
{
    u_char                      text[NGX_HTTP_ZVM_LOG_TEXT], *end;
    va_list                     args;
    ngx_str_t                   none = ngx_null_string, id;
    ngx_http_zvm_main_conf_t   *zmcf;
    ngx_http_variable_value_t  *v;

    if (r->connection->log->log_level < level) {
        return;
    }

    zmcf = ngx_http_get_module_main_conf(r, ngx_http_zvm_module);
    ngx_http_zvm_request_id(r, zmcf->request_id);
    v = ngx_http_get_indexed_variable(r, zmcf->request_id);
    id = none;

    if (v != NULL && !v->not_found) {
        id.data = v->data;
        id.len = v->len;
    }

    va_start(args, fmt);
    end = ngx_vslprintf(text, text + sizeof(text), fmt, args);
    va_end(args);

    ngx_log_error(level, r->connection->log, 0, "zvm: %*s, id: \"%V\"", (size_t) (end - text), text, &id);
}
