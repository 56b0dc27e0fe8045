/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"
#include "header_field.h"


/* How much of a wrong line the log has. */
#define NGX_HTTP_ZVM_HEADER_SHOWN  100


typedef ngx_int_t (*ngx_http_zvm_header_pt)(ngx_http_request_t *r, ngx_table_elt_t *h, ngx_uint_t offset);

typedef struct {
    ngx_str_t               name;
    ngx_http_zvm_header_pt  handler;
    ngx_uint_t              offset; /* of nginx's own pointer to the header, for NGX_HTTP_ZVM_KNOWN */
} ngx_http_zvm_header_t;


static ngx_int_t ngx_http_zvm_header_line(ngx_http_request_t *r, ngx_str_t *line);
static ngx_int_t ngx_http_zvm_header_check(ngx_http_request_t *r, ngx_str_t *line, size_t *name);
static ngx_int_t ngx_http_zvm_header_wrong(ngx_http_request_t *r, ngx_table_elt_t *h, const char *why);
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
    u_char     *end;
    ngx_int_t   rc;
    ngx_str_t   line;

    for ( ;; ) {
        end = memchr(b->pos, LF, b->last - b->pos);
        if (end == NULL) {
            return NGX_AGAIN;
        }

        line.data = b->pos;
        line.len = end - b->pos;
        b->pos = end + 1;

        if (line.len != 0 && line.data[line.len - 1] == CR) {
            line.len--;
        }

        if (line.len == 0) {
            break;
        }

        rc = ngx_http_zvm_header_line(r, &line);
        if (rc != NGX_OK) {
            return rc;
        }
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
ngx_http_zvm_header_line(ngx_http_request_t *r, ngx_str_t *line)
{
    size_t                  name;
    u_char                 *lowcase;
    ngx_str_t               value;
    ngx_table_elt_t        *h;
    ngx_http_zvm_header_t  *known;

    if (ngx_http_zvm_header_check(r, line, &name) != NGX_OK) {
        return NGX_ERROR;
    }

    value.data = line->data + name + 1;
    value.len = line->len - name - 1;

    while (value.len != 0 && (*value.data == ' ' || *value.data == '\t')) {
        value.data++;
        value.len--;
    }

    while (value.len != 0 && (value.data[value.len - 1] == ' ' || value.data[value.len - 1] == '\t')) {
        value.len--;
    }

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* Not sent before it is known to be good. */
    h->hash = 0;
    h->key.len = name;
    h->value.len = value.len;

    h->key.data = ngx_pnalloc(r->pool, name + 1 + value.len + 1 + name);
    if (h->key.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    h->value.data = h->key.data + name + 1;
    lowcase = h->value.data + value.len + 1;
    h->lowcase_key = lowcase;

    ngx_cpystrn(h->key.data, line->data, name + 1);
    ngx_cpystrn(h->value.data, value.data, value.len + 1);
    ngx_strlow(lowcase, h->key.data, name);

    for (known = ngx_http_zvm_headers; known->handler != NULL; known++) {

        if (known->name.len == h->key.len && ngx_memcmp(known->name.data, lowcase, h->key.len) == 0) {
            return known->handler(r, h, known->offset);
        }
    }

    h->hash = 1;
    return NGX_OK;
}


/* Whether a line, without its end, is one that HTTP can carry, and says nothing that was said already. `name`: how long its name is. */
static ngx_int_t
ngx_http_zvm_header_check(ngx_http_request_t *r, ngx_str_t *line, size_t *name)
{
    u_char               text[4 * NGX_HTTP_ZVM_HEADER_SHOWN], *end;
    size_t               n, left;
    ngx_uint_t           once;
    ngx_http_zvm_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_zvm_module);
    n = header_name_bytes(line->data, line->len);

    if (n == 0 || n == line->len || line->data[n] != ':') {
        end = ngx_http_zvm_printable(text, line->data, ngx_min(line->len, NGX_HTTP_ZVM_HEADER_SHOWN));
        ngx_http_zvm_log(NGX_LOG_ERR, r, "the guest's header line \"%*s\" does not begin with a name and a colon",
                         (size_t) (end - text), text);
        return NGX_ERROR;
    }

    *name = n;
    left = line->len - n - 1;
    left -= header_value_bytes(line->data + n + 1, left);

    if (left != 0) {
        ngx_http_zvm_log(NGX_LOG_ERR, r, "the guest's header %*s has the byte 0x%02xd, which no header may have",
                         ngx_min(n, NGX_HTTP_ZVM_HEADER_SHOWN), line->data, line->data[line->len - left]);
        return NGX_ERROR;
    }

    once = header_said_once(line->data, n);

    if (ctx->said & once) {
        ngx_http_zvm_log(NGX_LOG_ERR, r, "the guest's header lines have %*s twice", n, line->data);
        return NGX_ERROR;
    }

    if (once == HEADER_LOCATION && header_value_is_blank(line->data + n + 1, line->len - n - 1)) {
        ngx_http_zvm_log(NGX_LOG_ERR, r, "the guest's header %*s is empty", n, line->data);
        return NGX_ERROR;
    }

    ctx->said |= once;
    return NGX_OK;
}


/* Says what is wrong with a header's value. */
static ngx_int_t
ngx_http_zvm_header_wrong(ngx_http_request_t *r, ngx_table_elt_t *h, const char *why)
{
    u_char  text[4 * NGX_HTTP_ZVM_HEADER_SHOWN], *end;

    end = ngx_http_zvm_printable(text, h->value.data, ngx_min(h->value.len, NGX_HTTP_ZVM_HEADER_SHOWN));
    ngx_http_zvm_log(NGX_LOG_ERR, r, "the guest's %V is \"%*s\", %s", &h->key, (size_t) (end - text), text, why);

    return NGX_ERROR;
}


/* "404" or "404 Not Found". An answer is final: no 1xx. */
static ngx_int_t
ngx_http_zvm_header_status(ngx_http_request_t *r, ngx_table_elt_t *h, ngx_uint_t offset)
{
    ngx_int_t  status;

    status = NGX_ERROR;

    if (h->value.len == 3 || (h->value.len > 3 && h->value.data[3] == ' ')) {
        status = ngx_atoi(h->value.data, 3);
    }

    if (status < NGX_HTTP_OK || status > 599) {
        return ngx_http_zvm_header_wrong(r, h, "not 200 to 599");
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

    if (length == NGX_ERROR) {
        return ngx_http_zvm_header_wrong(r, h, "not a number of bytes");
    }

    if (r->headers_out.content_length_n != -1 && r->headers_out.content_length_n != length) {
        ngx_http_zvm_log(NGX_LOG_ERR, r, "the guest's header lines have Content-Length twice: %O and %O",
                         r->headers_out.content_length_n, length);
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
    ngx_http_zvm_log(NGX_LOG_WARN, r, "header \"%V\" is not the guest's to set: dropped", &h->key);

    return NGX_OK;
}
