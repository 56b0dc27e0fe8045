/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"

/* As many bytes as a client sends, or takes; a guest that needs a limit gets one by its Timeout, or by a manifest of its own. What
 * it writes into the error log is limited. What has come of a body is there to be read, however little. */
#define NGX_HTTP_ZVM_DEFAULT                                                                                            \
    "Version = 20140509\n"                                                                                              \
    "Program = %V\n"                                                                                                    \
    "Memory = 64m, 0\n"                                                                                                 \
    "Timeout = 10\n"                                                                                                    \
    "Deterministic = 0\n"                                                                                               \
    "Interactive = /dev/stdin\n"                                                                                        \
    "Channel = /dev/null, /dev/stdin, 0, 0x7fffffffffffffff, 0x7fffffffffffffff, 0, 0\n"                                \
    "Channel = /dev/null, /dev/stdout, 0, 0, 0, 0x7fffffffffffffff, 0x7fffffffffffffff\n"                               \
    "Channel = /dev/null, /dev/stderr, 0, 0, 0, 1000, 64k\n"

/* The line of it that has a directive's value. */
#define NGX_HTTP_ZVM_DEFAULT_PROGRAM  2

/* A line's words beside its value. */
#define NGX_HTTP_ZVM_LINE  sizeof("Channel = \n")


static ngx_int_t ngx_http_zvm_set(ngx_conf_t *cf, ngx_http_zvm_guest_t *guest, const char *directive, const char *key, ngx_str_t *value);
static ngx_int_t ngx_http_zvm_append(ngx_conf_t *cf, ngx_http_zvm_guest_t *guest, ngx_http_zvm_origin_t *origin, const char *key,
    ngx_str_t *value);
static ngx_int_t ngx_http_zvm_note(ngx_http_zvm_guest_t *guest, ngx_uint_t number, ngx_http_zvm_origin_t *origin);
static void ngx_http_zvm_wrong_file(ngx_conf_t *cf, ngx_http_zvm_guest_t *guest, const char *directive, const char *call, ngx_str_t *path,
    ngx_err_t err);


ngx_int_t
ngx_http_zvm_manifest(ngx_conf_t *cf, ngx_http_zvm_guest_t *guest)
{
    u_char                    number[NGX_INT64_LEN + sizeof(", 0")];
    ngx_str_t                 value, *text;
    ngx_uint_t                i;
    ngx_http_zvm_channel_t   *channel;
    ngx_http_zvm_loc_conf_t  *conf;

    conf = guest->conf;
    text = &guest->manifest;

    if (ngx_array_init(&guest->lines, cf->pool, 4, sizeof(ngx_http_zvm_line_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    if (conf->manifest.data != NULL) {
        if (ngx_http_zvm_read_file(cf, guest, "zvm_manifest", &conf->manifest, text) != NGX_OK) {
            return NGX_ERROR;
        }

    } else {
        text->data = ngx_pnalloc(cf->pool, sizeof(NGX_HTTP_ZVM_DEFAULT) + conf->program.len);
        if (text->data == NULL
            || ngx_http_zvm_note(guest, NGX_HTTP_ZVM_DEFAULT_PROGRAM, ngx_http_zvm_origin(conf, "zvm_program")) != NGX_OK)
        {
            return NGX_ERROR;
        }

        text->len = ngx_sprintf(text->data, NGX_HTTP_ZVM_DEFAULT, &conf->program) - text->data;
    }

    value.data = number;

    if (conf->memory != NGX_CONF_UNSET_SIZE) {
        value.len = ngx_sprintf(number, "%uz, 0", conf->memory) - number;
        if (ngx_http_zvm_set(cf, guest, "zvm_memory", "Memory", &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (conf->timeout != NGX_CONF_UNSET) {
        value.len = ngx_sprintf(number, "%T", conf->timeout) - number;
        if (ngx_http_zvm_set(cf, guest, "zvm_timeout", "Timeout", &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (conf->fuel != NGX_CONF_UNSET) {
        value.len = ngx_sprintf(number, "%i", conf->fuel) - number;
        if (ngx_http_zvm_set(cf, guest, "zvm_fuel", "Fuel", &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (conf->args.len != 0 && ngx_http_zvm_set(cf, guest, "zvm_args", "Args", &conf->args) != NGX_OK) {
        return NGX_ERROR;
    }

    if (conf->channels != NGX_CONF_UNSET_PTR) {
        channel = conf->channels->elts;

        for (i = 0; i < conf->channels->nelts; i++) {
            if (ngx_http_zvm_append(cf, guest, channel[i].origin, "Channel", &channel[i].text) != NGX_OK) {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/* Lines keep their numbers, which errors name: the old line becomes a comment, the new one comes last. */
static ngx_int_t
ngx_http_zvm_set(ngx_conf_t *cf, ngx_http_zvm_guest_t *guest, const char *directive, const char *key, ngx_str_t *value)
{
    u_char     *line, *end, *p;
    size_t      len;
    ngx_str_t  *text;

    text = &guest->manifest;
    len = ngx_strlen(key);

    for (line = text->data; line < text->data + text->len; line = end + 1) {
        end = ngx_strlchr(line, text->data + text->len, '\n');
        if (end == NULL) {
            end = text->data + text->len;
        }

        for (p = line; p < end && (*p == ' ' || *p == '\t'); p++) { /* void */ }

        if ((size_t) (end - p) <= len || ngx_strncmp(p, key, len) != 0) {
            continue;
        }

        for (p += len; p < end && (*p == ' ' || *p == '\t'); p++) { /* void */ }

        if (p < end && *p == '=') {
            *line = '#';
        }
    }

    return ngx_http_zvm_append(cf, guest, ngx_http_zvm_origin(guest->conf, directive), key, value);
}


static ngx_int_t
ngx_http_zvm_append(ngx_conf_t *cf, ngx_http_zvm_guest_t *guest, ngx_http_zvm_origin_t *origin, const char *key, ngx_str_t *value)
{
    u_char      *p, *longer;
    ngx_str_t   *text;
    ngx_uint_t   number;

    text = &guest->manifest;

    longer = ngx_pnalloc(cf->pool, text->len + 1 + NGX_HTTP_ZVM_LINE + value->len);
    if (longer == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(longer, text->data, text->len);

    if (text->len != 0 && p[-1] != '\n') {
        *p++ = '\n';
    }

    number = 1;

    for (text->data = longer; longer < p; longer++) {
        number += (*longer == '\n');
    }

    p = ngx_sprintf(p, "%s = %V\n", key, value);
    text->len = p - text->data;

    if (ngx_http_zvm_note(guest, number, origin) != NGX_OK) {
        return NGX_ERROR;
    }

    /* It would be one more line of the manifest. */
    if (ngx_strlchr(value->data, value->data + value->len, '\n') != NULL) {
        ngx_http_zvm_wrong_line(cf, guest, number, "has a line break");
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Keeps which directive is a line. */
static ngx_int_t
ngx_http_zvm_note(ngx_http_zvm_guest_t *guest, ngx_uint_t number, ngx_http_zvm_origin_t *origin)
{
    ngx_http_zvm_line_t  *line;

    line = ngx_array_push(&guest->lines);
    if (line == NULL) {
        return NGX_ERROR;
    }

    line->number = number;
    line->origin = origin;
    return NGX_OK;
}


ngx_int_t
ngx_http_zvm_read_file(ngx_conf_t *cf, ngx_http_zvm_guest_t *guest, const char *directive, ngx_str_t *path, ngx_str_t *bytes)
{
    ssize_t     n;
    ngx_int_t   rc;
    ngx_file_t  file;

    ngx_memzero(&file, sizeof(ngx_file_t));
    file.name = *path;
    file.log = cf->log;

    file.fd = ngx_open_file(path->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    if (file.fd == NGX_INVALID_FILE) {
        ngx_http_zvm_wrong_file(cf, guest, directive, ngx_open_file_n, path, ngx_errno);
        return NGX_ERROR;
    }

    rc = NGX_ERROR;

    if (ngx_fd_info(file.fd, &file.info) == NGX_FILE_ERROR) {
        ngx_http_zvm_wrong_file(cf, guest, directive, ngx_fd_info_n, path, ngx_errno);
        goto done;
    }

    if (ngx_is_dir(&file.info)) {
        ngx_http_zvm_wrong_file(cf, guest, directive, ngx_read_fd_n, path, NGX_EISDIR);
        goto done;
    }

    bytes->len = (size_t) ngx_file_size(&file.info);
    bytes->data = ngx_pnalloc(cf->pool, bytes->len + 1);
    if (bytes->data == NULL) {
        goto done;
    }

    n = ngx_read_file(&file, bytes->data, bytes->len, 0);

    if (n != (ssize_t) bytes->len) {
        if (n == NGX_ERROR) {
            ngx_http_zvm_wrong_file(cf, guest, directive, ngx_read_fd_n, path, ngx_errno);

        } else {
            ngx_http_zvm_wrong(cf, guest, directive, "changed while it was read");
        }

        goto done;
    }

    rc = NGX_OK;

done:

    if (ngx_close_file(file.fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, cf->log, ngx_errno, ngx_close_file_n " \"%V\" failed", path);
    }

    return rc;
}


static void
ngx_http_zvm_wrong_file(ngx_conf_t *cf, ngx_http_zvm_guest_t *guest, const char *directive, const char *call, ngx_str_t *path, ngx_err_t err)
{
    u_char  text[NGX_MAX_CONF_ERRSTR], *p, *last;

    last = text + sizeof(text) - 1;
    p = ngx_slprintf(text, last, "%s \"%V\" failed", call, path);
    *ngx_log_errno(p, last, err) = '\0';

    ngx_http_zvm_wrong(cf, guest, directive, (const char *) text);
}
