/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"


typedef ngx_int_t (*ngx_http_zvm_header_pt)(ngx_http_request_t *r, ngx_table_elt_t *h, ngx_uint_t offset);

typedef struct {
    ngx_str_t               name;
    ngx_http_zvm_header_pt  handler;
    ngx_uint_t              offset; /* of nginx's own pointer to the header, for NGX_HTTP_ZVM_KNOWN */
} ngx_http_zvm_header_t;


static ngx_int_t ngx_http_zvm_header_line(ngx_http_request_t *r);
static ngx_int_t ngx_http_zvm_header_status(ngx_http_request_t *r, ngx_table_elt_t *h, ngx_uint_t offset);
static ngx_int_t ngx_http_zvm_header_type(ngx_http_request_t *r, ngx_table_elt_t *h, ngx_uint_t offset);
static ngx_int_t ngx_http_zvm_header_length(ngx_http_request_t *r, ngx_table_elt_t *h, ngx_uint_t offset);
static ngx_int_t ngx_http_zvm_header_modified(ngx_http_request_t *r, ngx_table_elt_t *h, ngx_uint_t offset);
static ngx_int_t ngx_http_zvm_header_known(ngx_http_request_t *r, ngx_table_elt_t *h, ngx_uint_t offset);
static ngx_int_t ngx_http_zvm_header_dropped(ngx_http_request_t *r, ngx_table_elt_t *h, ngx_uint_t offset);

#define ngx_http_zvm_known(field)  ngx_http_zvm_header_known, offsetof(ngx_http_headers_out_t, field)

/* Headers that mean something here; all others are passed on as they are. */
static ngx_http_zvm_header_t  ngx_http_zvm_headers[] = {
    { ngx_string("status"), ngx_http_zvm_header_status, 0 },
    { ngx_string("content-type"), ngx_http_zvm_header_type, 0 },
    { ngx_string("content-length"), ngx_http_zvm_header_length, 0 },
    { ngx_string("last-modified"), ngx_http_zvm_header_modified, 0 },

    /* nginx makes them itself where there are none, or looks at them. */
    { ngx_string("location"), ngx_http_zvm_known(location) },
    { ngx_string("server"), ngx_http_zvm_known(server) },
    { ngx_string("date"), ngx_http_zvm_known(date) },
    { ngx_string("etag"), ngx_http_zvm_known(etag) },
    { ngx_string("expires"), ngx_http_zvm_known(expires) },
    { ngx_string("content-encoding"), ngx_http_zvm_known(content_encoding) },
    { ngx_string("accept-ranges"), ngx_http_zvm_known(accept_ranges) },
    { ngx_string("www-authenticate"), ngx_http_zvm_known(www_authenticate) },

    /* The connection is nginx's. */
    { ngx_string("connection"), ngx_http_zvm_header_dropped, 0 },
    { ngx_string("keep-alive"), ngx_http_zvm_header_dropped, 0 },
    { ngx_string("proxy-connection"), ngx_http_zvm_header_dropped, 0 },
    { ngx_string("te"), ngx_http_zvm_header_dropped, 0 },
    { ngx_string("trailer"), ngx_http_zvm_header_dropped, 0 },
    { ngx_string("transfer-encoding"), ngx_http_zvm_header_dropped, 0 },
    { ngx_string("upgrade"), ngx_http_zvm_header_dropped, 0 },

    { ngx_null_string, NULL, 0 }
};


ngx_int_t
ngx_http_zvm_parse_header(ngx_http_request_t *r, ngx_buf_t *b)
{
    ngx_int_t  rc;

    for ( ;; ) {
        rc = ngx_http_parse_header_line(r, b, 1);

        if (rc == NGX_OK && !r->invalid_header) {
            rc = ngx_http_zvm_header_line(r);
            if (rc != NGX_OK) {
                return rc;
            }

            continue;
        }

        if (rc == NGX_HTTP_PARSE_HEADER_DONE) {
            break;
        }

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0, "zvm: the guest wrote an invalid header line");
        return NGX_ERROR;
    }

    if (r->headers_out.status == 0) {
        r->headers_out.status = r->headers_out.location != NULL ? NGX_HTTP_MOVED_TEMPORARILY : NGX_HTTP_OK;
    }

    /* These have no body. nginx sees to that if the words are its own. */
    if (r->headers_out.status == NGX_HTTP_NO_CONTENT || r->headers_out.status == NGX_HTTP_NOT_MODIFIED) {
        ngx_str_null(&r->headers_out.status_line);
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_zvm_header_line(ngx_http_request_t *r)
{
    size_t                  size;
    u_char                 *lowcase;
    ngx_int_t               rc;
    ngx_table_elt_t        *h;
    ngx_http_zvm_header_t  *known;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* Not sent before it is known to be good. */
    h->hash = 0;
    h->key.len = r->header_name_end - r->header_name_start;
    h->value.len = r->header_end - r->header_start;
    size = h->key.len + h->value.len;

    h->key.data = ngx_pnalloc(r->pool, size + 2 + h->key.len);
    if (h->key.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    h->value.data = h->key.data + h->key.len + 1;
    lowcase = h->value.data + h->value.len + 1;
    h->lowcase_key = lowcase;

    ngx_cpystrn(h->key.data, r->header_name_start, h->key.len + 1);
    ngx_cpystrn(h->value.data, r->header_start, h->value.len + 1);
    ngx_strlow(lowcase, h->key.data, h->key.len);

    for (known = ngx_http_zvm_headers; known->handler != NULL; known++) {

        if (known->name.len == h->key.len && ngx_memcmp(known->name.data, lowcase, h->key.len) == 0) {
            rc = known->handler(r, h, known->offset);

            if (rc == NGX_ERROR) {
                ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                              "zvm: the guest wrote an invalid header: \"%V: %V\"", &h->key, &h->value);
            }

            return rc;
        }
    }

    h->hash = 1;
    return NGX_OK;
}


/* "404" or "404 Not Found". An answer is final: no 1xx. */
static ngx_int_t
ngx_http_zvm_header_status(ngx_http_request_t *r, ngx_table_elt_t *h, ngx_uint_t offset)
{
    ngx_int_t  status;

    if (h->value.len < 3 || (h->value.len > 3 && h->value.data[3] != ' ')) {
        return NGX_ERROR;
    }

    status = ngx_atoi(h->value.data, 3);
    if (status < NGX_HTTP_OK || status > 599) {
        return NGX_ERROR;
    }

    r->headers_out.status = status;

    /* Without words nginx has its own. */
    if (h->value.len > 4) {
        r->headers_out.status_line = h->value;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_zvm_header_type(ngx_http_request_t *r, ngx_table_elt_t *h, ngx_uint_t offset)
{
    u_char  *p;

    /* With a parameter it is left alone, and not compared. */
    p = ngx_strlchr(h->value.data, h->value.data + h->value.len, ';');

    r->headers_out.content_type = h->value;
    r->headers_out.content_type_len = p != NULL ? (size_t) (p - h->value.data) : h->value.len;
    r->headers_out.content_type_lowcase = NULL;

    return NGX_OK;
}


static ngx_int_t
ngx_http_zvm_header_length(ngx_http_request_t *r, ngx_table_elt_t *h, ngx_uint_t offset)
{
    off_t  length;

    length = ngx_atoof(h->value.data, h->value.len);

    if (length == NGX_ERROR || (r->headers_out.content_length_n != -1 && r->headers_out.content_length_n != length)) {
        return NGX_ERROR;
    }

    r->headers_out.content_length_n = length;
    return NGX_OK;
}


static ngx_int_t
ngx_http_zvm_header_modified(ngx_http_request_t *r, ngx_table_elt_t *h, ngx_uint_t offset)
{
    h->hash = 1;
    r->headers_out.last_modified = h;
    r->headers_out.last_modified_time = ngx_parse_http_time(h->value.data, h->value.len);

    return NGX_OK;
}


static ngx_int_t
ngx_http_zvm_header_known(ngx_http_request_t *r, ngx_table_elt_t *h, ngx_uint_t offset)
{
    h->hash = 1;
    *(ngx_table_elt_t **) ((char *) &r->headers_out + offset) = h;

    return NGX_OK;
}


static ngx_int_t
ngx_http_zvm_header_dropped(ngx_http_request_t *r, ngx_table_elt_t *h, ngx_uint_t offset)
{
    ngx_log_error(NGX_LOG_WARN, r->connection->log, 0, "zvm: header \"%V\" is not the guest's to set: dropped", &h->key);

    return NGX_OK;
}
