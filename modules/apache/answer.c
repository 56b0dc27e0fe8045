/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"
#include "header_field.h"
#include <apr_buckets.h>
#include <apr_strings.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <string.h>
#include <util_filter.h>
#include <util_script.h>

APLOG_USE_MODULE(zvm);

void answer_begin(struct answer *answer, request_rec *r) {
    memset(answer, 0, sizeof *answer);
    answer->r = r;
    answer->head = apr_palloc(r->pool, ANSWER_HEAD_MAX + 1);
}

/* Where the body begins, if all header lines are there; else 0. */
static apr_size_t end_of_head(const struct answer *answer) {
    apr_size_t line = 0;
    for (apr_size_t i = 0; i < answer->head_size; i++) {
        if (answer->head[i] != '\n') continue;
        if (i == line || (i == line + 1 && answer->head[line] == '\r')) return i + 1;
        line = i + 1;
    }
    return 0;
}

/* The next line of the head, for Apache's parser. */
static int next_line(char *to, int size, void *data) {
    struct answer *answer = data;
    int count = 0;
    while (count < size - 1 && answer->head_at < answer->head_size) {
        char byte = answer->head[answer->head_at++];
        to[count++] = byte;
        if (byte == '\n') break;
    }
    to[count] = '\0';
    return count > 0;
}

/* What a client sees of a Status is what the server takes it for: three digits from 200 on, and words. */
static bool is_final_status(const request_rec *r) {
    const char *line = r->status_line;
    if (r->status < HTTP_OK || r->status > 599) return false;
    return !line || (strspn(line, "0123456789") == 3 && (line[3] == '\0' || line[3] == ' '));
}

/* The connection is the server's. A guest that could say where a body ends, or counted wrong, would say where the connection's next
 * answer begins. */
static void drop_connection_headers(request_rec *r) {
    static const char *const names[] = {
        "Connection", "Content-Length", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        apr_table_unset(r->headers_out, names[i]);
        apr_table_unset(r->err_headers_out, names[i]); /* where the parser puts what it does not know */
    }
}

/* Whether a header line, without its end, is one that HTTP can carry, and says nothing that `said` has already. Apache's parser lets some
 * pass that are not. */
static bool is_header_line(request_rec *r, const char *line, apr_size_t size, unsigned *said) {
    const unsigned char *bytes = (const unsigned char *)line;
    const char *name = apr_pstrmemdup(r->pool, line, header_name_bytes(bytes, size));
    apr_size_t name_size = strlen(name), value = name_size + 1, good;
    unsigned once = header_said_once(bytes, name_size);
    if (name_size == 0 || name_size == size || line[name_size] != ':') {
        const char *shown = apr_pstrmemdup(r->pool, line, size < 100 ? size : 100);
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "zvm: the guest's header line `%s` does not begin with a name and a colon", shown);
        return false;
    }
    good = header_value_bytes(bytes + value, size - value);
    if (good < size - value) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "zvm: the guest's header %s has the byte 0x%02x, which no header may have", name,
                      bytes[value + good]);
        return false;
    }
    if (*said & once) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "zvm: the guest's header lines have %s twice", name);
        return false;
    }
    if (once == HEADER_LOCATION && header_value_is_blank(bytes + value, size - value)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "zvm: the guest's header %s is empty", name);
        return false;
    }
    *said |= once;
    return true;
}

/* Whether all header lines are such, in the first `size` bytes. */
static bool are_header_lines(const struct answer *answer, apr_size_t size) {
    const char *line = answer->head, *end = answer->head + size;
    unsigned said = 0;
    while (line < end) {
        const char *next = memchr(line, '\n', (apr_size_t)(end - line));
        apr_size_t length = (apr_size_t)((next ? next : end) - line);
        if (length > 0 && line[length - 1] == '\r') length--;
        if (length > 0 && !is_header_line(answer->r, line, length, &said)) return false;
        line = next ? next + 1 : end;
    }
    return true;
}

/* Has Apache parse the header lines, which have `size` bytes. */
static bool parse_head(struct answer *answer, apr_size_t size) {
    request_rec *r = answer->r;
    char wrong[MAX_STRING_LEN];
    /* What stands there without the guest's: an error's answer has none of that. */
    apr_table_t *headers = apr_table_copy(r->pool, r->headers_out), *err_headers = apr_table_copy(r->pool, r->err_headers_out);
    const char *location;
    int status;
    if (!are_header_lines(answer, size)) {
        answer->status = HTTP_INTERNAL_SERVER_ERROR;
        return false;
    }
    status = ap_scan_script_header_err_core_ex(r, wrong, next_line, answer, APLOG_MODULE_INDEX);
    drop_connection_headers(r);
    if (status == HTTP_NOT_MODIFIED) r->status = status;
    if (!status && !is_final_status(r)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "zvm: the guest's Status is `%s`, not 200 to 599",
                      r->status_line ? r->status_line : apr_itoa(r->pool, r->status));
        r->status = HTTP_OK;
        r->status_line = NULL;
        status = HTTP_INTERNAL_SERVER_ERROR;
    }
    answer->status = status;
    if (status == HTTP_INTERNAL_SERVER_ERROR) {
        r->headers_out = headers;
        r->err_headers_out = err_headers;
    }
    if (status) return false;
    answer->has_head = true;
    location = apr_table_get(r->headers_out, "Location");
    answer->is_redirect = location && r->status == HTTP_OK;
    return true;
}

static bool send_body(struct answer *answer, const char *bytes, apr_size_t size) {
    if (answer->is_redirect || size == 0) return true;
    answer->is_unflushed = true;
    /* The filter of HTTP/2 drops only what comes together with the header. */
    if (answer->r->header_only) return !answer->r->connection->aborted;
    return ap_rwrite(bytes, (int)size, answer->r) >= 0 && !answer->r->connection->aborted;
}

bool answer_write(struct answer *answer, const char *bytes, apr_size_t size) {
    apr_size_t taken, body;
    if (answer->status) return false;
    if (answer->has_head) return send_body(answer, bytes, size);
    taken = ANSWER_HEAD_MAX - answer->head_size;
    if (taken > size) taken = size;
    memcpy(answer->head + answer->head_size, bytes, taken);
    answer->head_size += taken;
    body = end_of_head(answer);
    if (body == 0 && answer->head_size < ANSWER_HEAD_MAX) return true;
    if (body == 0) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, answer->r, "zvm: the guest's header lines have over %d bytes", ANSWER_HEAD_MAX);
        answer->status = HTTP_INTERNAL_SERVER_ERROR;
        return false;
    }
    return parse_head(answer, body) && send_body(answer, answer->head + body, answer->head_size - body) &&
           send_body(answer, bytes + taken, size - taken);
}

void answer_flush(struct answer *answer) {
    if (answer->is_unflushed) ap_rflush(answer->r);
    answer->is_unflushed = false;
}

int answer_end(struct answer *answer, const char **next) {
    request_rec *r = answer->r;
    const char *location;
    if (answer->status) return answer->status;
    if (!answer->has_head) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "zvm: the guest ended before its header lines did");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (!answer->is_redirect) return OK;
    location = apr_table_get(r->headers_out, "Location");
    if (location[0] != '/') return HTTP_MOVED_TEMPORARILY;
    *next = location;
    return OK;
}

int answer_follow(request_rec *r, const char *next) {
    /* They are about the body that the guest would have sent, and would go with the other one. Its cookies do go. */
    static const char *const names[] = {"Content-Encoding", "Content-Language", "Content-Location", "Content-Disposition"};
    /* What the guest left of the body would pass for the connection's next request, once nothing says how long the body is. */
    int status = ap_discard_request_body(r);
    if (status != OK) return status;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) apr_table_unset(r->err_headers_out, names[i]);
    r->method = "GET";
    r->method_number = M_GET;
    apr_table_unset(r->headers_in, "Content-Length");
    apr_table_unset(r->headers_in, "Transfer-Encoding");
    ap_internal_redirect_handler(next, r);
    return OK;
}

int answer_break(struct answer *answer, int status) {
    request_rec *r = answer->r;
    apr_bucket_brigade *brigade;
    if (answer->status) return answer->status;
    if (!answer->has_head || answer->is_redirect) return status;
    /* The filters take this bucket for a gateway's answer that broke off: they write no last chunk, and the connection ends. */
    r->connection->keepalive = AP_CONN_CLOSE;
    brigade = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    APR_BRIGADE_INSERT_TAIL(brigade, ap_bucket_error_create(HTTP_BAD_GATEWAY, NULL, r->pool, r->connection->bucket_alloc));
    APR_BRIGADE_INSERT_TAIL(brigade, apr_bucket_eos_create(r->connection->bucket_alloc));
    ap_pass_brigade(r->output_filters, brigade);
    return OK;
}
