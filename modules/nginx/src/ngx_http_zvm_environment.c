/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"

/* More header lines than this are a client's mischief: those of one name are looked for among all. */
#define NGX_HTTP_ZVM_HEADERS_MAX  256


static void ngx_http_zvm_chain(ngx_array_t *variables);
static ngx_int_t ngx_http_zvm_set_param(ngx_http_request_t *r, zvm_session *session, ngx_http_zvm_param_t *param);
static ngx_int_t ngx_http_zvm_set(ngx_http_request_t *r, zvm_session *session, ngx_str_t *name, ngx_str_t *value);
static ngx_int_t ngx_http_zvm_script(ngx_http_request_t *r, zvm_session *session);
static ngx_int_t ngx_http_zvm_header_variables(ngx_http_request_t *r, zvm_session *session);
static ngx_int_t ngx_http_zvm_header_variable(ngx_http_request_t *r, zvm_session *session, ngx_table_elt_t **headers,
    ngx_uint_t i, ngx_uint_t n);


static ngx_keyval_t  ngx_http_zvm_defaults[] = {
    { ngx_string("GATEWAY_INTERFACE"), ngx_string("CGI/1.1") },
    { ngx_string("SERVER_SOFTWARE"), ngx_string("nginx/$nginx_version") },

    /* CGI wants one in any case: the last that is not empty. */
    { ngx_string("SERVER_NAME"), ngx_string("$server_addr") },
    { ngx_string("SERVER_NAME"), ngx_string("$host") },
    { ngx_string("SERVER_NAME"), ngx_string("$server_name") },

    { ngx_string("SERVER_ADDR"), ngx_string("$server_addr") },
    { ngx_string("SERVER_PORT"), ngx_string("$server_port") },
    { ngx_string("SERVER_PROTOCOL"), ngx_string("$server_protocol") },
    { ngx_string("HTTPS"), ngx_string("$https") },
    { ngx_string("REQUEST_METHOD"), ngx_string("$request_method") },
    { ngx_string("REQUEST_SCHEME"), ngx_string("$scheme") },
    { ngx_string("REQUEST_URI"), ngx_string("$request_uri") },
    { ngx_string("REQUEST_ID"), ngx_string("$request_id") },
    { ngx_string("QUERY_STRING"), ngx_string("$query_string") },
    { ngx_string("CONTENT_TYPE"), ngx_string("$content_type") },
    { ngx_string("REMOTE_ADDR"), ngx_string("$remote_addr") },
    { ngx_string("REMOTE_PORT"), ngx_string("$remote_port") },
    { ngx_string("REMOTE_USER"), ngx_string("$remote_user") },
    { ngx_null_string, ngx_null_string }
};


ngx_int_t
ngx_http_zvm_variables(ngx_conf_t *cf, ngx_http_zvm_loc_conf_t *conf)
{
    ngx_int_t                          index;
    ngx_uint_t                         i;
    ngx_keyval_t                      *known;
    ngx_http_zvm_param_t              *param, *given;
    ngx_http_zvm_main_conf_t          *zmcf;
    ngx_http_compile_complex_value_t   ccv;

    zmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_zvm_module);

    index = ngx_http_zvm_request_id_index(cf);
    if (index == NGX_ERROR) {
        return NGX_ERROR;
    }

    zmcf->request_id = index;

    conf->variables = ngx_array_create(cf->pool, 32, sizeof(ngx_http_zvm_param_t));
    if (conf->variables == NULL) {
        return NGX_ERROR;
    }

    for (known = ngx_http_zvm_defaults; known->key.len != 0; known++) {
        param = ngx_array_push(conf->variables);
        if (param == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(param, sizeof(ngx_http_zvm_param_t));
        param->name = known->key;

        ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));
        ccv.cf = cf;
        ccv.value = &known->value;
        ccv.complex_value = &param->value;

        if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    given = conf->params == NGX_CONF_UNSET_PTR ? NULL : conf->params->elts;

    for (i = 0; given != NULL && i < conf->params->nelts; i++) {
        param = ngx_array_push(conf->variables);
        if (param == NULL) {
            return NGX_ERROR;
        }

        *param = given[i];
    }

    ngx_http_zvm_chain(conf->variables);
    return NGX_OK;
}


/* Of one name the last counts that is not empty: those before it are not looked at. */
static void
ngx_http_zvm_chain(ngx_array_t *variables)
{
    ngx_uint_t             i, k;
    ngx_http_zvm_param_t  *params;

    params = variables->elts;

    for (i = 0; i < variables->nelts; i++) {
        params[i].instead = NULL;
        params[i].instead_of_other = 0;

        for (k = i; k > 0 && params[i].instead == NULL; k--) {
            if (ngx_strcmp(params[k - 1].name.data, params[i].name.data) == 0) {
                params[i].instead = &params[k - 1];
                params[k - 1].instead_of_other = 1;
            }
        }
    }
}


ngx_int_t
ngx_http_zvm_environment(ngx_http_request_t *r, ngx_http_zvm_loc_conf_t *conf, zvm_session *session)
{
    u_char                     length[NGX_OFF_T_LEN];
    ngx_int_t                  rc;
    ngx_str_t                  value;
    ngx_uint_t                 i;
    ngx_http_zvm_param_t      *params;
    ngx_http_zvm_main_conf_t  *zmcf;

    static ngx_str_t           content_length = ngx_string("CONTENT_LENGTH");

    zmcf = ngx_http_get_module_main_conf(r, ngx_http_zvm_module);
    ngx_http_zvm_request_id(r, zmcf->request_id);

    rc = ngx_http_zvm_script(r, session);

    if (rc == NGX_OK && r == r->main && r->headers_in.content_length_n >= 0 && !r->headers_in.chunked) {
        value.data = length;
        value.len = ngx_sprintf(length, "%O", r->headers_in.content_length_n) - length;
        rc = ngx_http_zvm_set(r, session, &content_length, &value);
    }

    if (rc == NGX_OK) {
        rc = ngx_http_zvm_header_variables(r, session);
    }

    params = conf->variables->elts;

    for (i = 0; rc == NGX_OK && i < conf->variables->nelts; i++) {
        if (!params[i].instead_of_other) {
            rc = ngx_http_zvm_set_param(r, session, &params[i]);
        }
    }

    return rc;
}


static ngx_int_t
ngx_http_zvm_set_param(ngx_http_request_t *r, zvm_session *session, ngx_http_zvm_param_t *param)
{
    ngx_str_t  value;

    for ( /* void */ ; param != NULL; param = param->instead) {
        if (ngx_http_complex_value(r, &param->value, &value) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        /* CGI wants QUERY_STRING in any case. */
        if (value.len != 0 || ngx_strcmp(param->name.data, "QUERY_STRING") == 0) {
            return ngx_http_zvm_set(r, session, &param->name, &value);
        }
    }

    return NGX_OK;
}


/* `name` ends with a NUL. */
static ngx_int_t
ngx_http_zvm_set(ngx_http_request_t *r, zvm_session *session, ngx_str_t *name, ngx_str_t *value)
{
    u_char      *text;
    zvfs_error   error;

    text = ngx_pnalloc(r->pool, value->len + 1);
    if (text == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memcpy(text, value->data, value->len);
    text[value->len] = '\0';

    if (zvm_session_environment(session, (const char *) name->data, (const char *) text, &error) != 0) {
        ngx_http_zvm_log(NGX_LOG_ERR, r, "set \"%V\": %s", name, error.message);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_OK;
}


/* The location's name is the script's, what follows it is the path; elsewhere than in a prefix location all is the script's. */
static ngx_int_t
ngx_http_zvm_script(ngx_http_request_t *r, zvm_session *session)
{
    ngx_int_t                  rc;
    ngx_str_t                  script, path;
    ngx_http_core_loc_conf_t  *clcf;

    static ngx_str_t           script_name = ngx_string("SCRIPT_NAME");
    static ngx_str_t           path_info = ngx_string("PATH_INFO");

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    script = r->uri;
    ngx_str_null(&path);

#if (NGX_PCRE)
    if (clcf->regex == NULL)
#endif
    if (!clcf->named && !clcf->noname && clcf->name.len <= r->uri.len
        && ngx_strncmp(clcf->name.data, r->uri.data, clcf->name.len) == 0)
    {
        script.len = clcf->name.len;

        if (script.len > 0 && script.data[script.len - 1] == '/') {
            script.len--;
        }

        path.data = r->uri.data + script.len;
        path.len = r->uri.len - script.len;
    }

    rc = ngx_http_zvm_set(r, session, &script_name, &script);

    return rc != NGX_OK ? rc : ngx_http_zvm_set(r, session, &path_info, &path);
}


/* HTTP_NAME for each header Name, but for those that have a variable of their own, for Transfer-Encoding, since the guest gets the
 * body without it, and for Proxy, which programs take for their own HTTP_PROXY. */
static ngx_int_t
ngx_http_zvm_header_variables(ngx_http_request_t *r, zvm_session *session)
{
    ngx_int_t         rc;
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *header, *headers[NGX_HTTP_ZVM_HEADERS_MAX];

    n = 0;

    for (part = &r->headers_in.headers.part; part != NULL; part = part->next) {
        header = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (n == NGX_HTTP_ZVM_HEADERS_MAX) {
                ngx_log_error(NGX_LOG_INFO, r->connection->log, 0, "zvm: client sent more than %d header lines",
                              NGX_HTTP_ZVM_HEADERS_MAX);
                return NGX_HTTP_REQUEST_HEADER_TOO_LARGE;
            }

            headers[n++] = &header[i];
        }
    }

    for (i = 0; i < n; i++) {
        rc = ngx_http_zvm_header_variable(r, session, headers, i, n);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_zvm_same_header(ngx_table_elt_t *a, ngx_table_elt_t *b)
{
    return a->hash == b->hash && a->key.len == b->key.len && ngx_memcmp(a->lowcase_key, b->lowcase_key, a->key.len) == 0;
}


/* Lines of one name become one value, at the first of them. */
static ngx_int_t
ngx_http_zvm_header_variable(ngx_http_request_t *r, zvm_session *session, ngx_table_elt_t **headers, ngx_uint_t i,
    ngx_uint_t n)
{
    u_char            c, *p, *separator;
    ngx_str_t         name, value;
    ngx_uint_t        k, own;
    ngx_table_elt_t  *h;

    static ngx_str_t  others[] = {
        ngx_string("content-length"), ngx_string("content-type"), ngx_string("proxy"), ngx_string("transfer-encoding"),
        ngx_null_string
    };

    h = headers[i];

    for (k = 0; others[k].len != 0; k++) {
        own = others[k].len == h->key.len && ngx_memcmp(others[k].data, h->lowcase_key, h->key.len) == 0;
        if (own) {
            return NGX_OK;
        }
    }

    for (k = 0; k < i; k++) {
        if (ngx_http_zvm_same_header(headers[k], h)) {
            return NGX_OK;
        }
    }

    separator = (u_char *) (h->key.len == 6 && ngx_memcmp(h->lowcase_key, "cookie", 6) == 0 ? "; " : ", ");
    value.len = 0;

    for (k = i; k < n; k++) {
        if (ngx_http_zvm_same_header(headers[k], h)) {
            value.len += headers[k]->value.len + 2;
        }
    }

    p = ngx_pnalloc(r->pool, value.len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    value.data = p;

    for (k = i; k < n; k++) {
        if (ngx_http_zvm_same_header(headers[k], h)) {
            p = ngx_cpymem(p, headers[k]->value.data, headers[k]->value.len);
            p = ngx_cpymem(p, separator, 2);
        }
    }

    value.len -= 2;

    name.len = sizeof("HTTP_") - 1 + h->key.len;
    name.data = ngx_pnalloc(r->pool, name.len + 1);
    if (name.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(name.data, "HTTP_", sizeof("HTTP_") - 1);

    for (k = 0; k < h->key.len; k++) {
        c = ngx_toupper(h->key.data[k]);
        *p++ = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? c : '_';
    }

    *p = '\0';

    return ngx_http_zvm_set(r, session, &name, &value);
}
