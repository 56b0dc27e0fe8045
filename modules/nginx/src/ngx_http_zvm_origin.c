/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"

/* Before what is wrong with a line that nobody wrote. */
#define NGX_HTTP_ZVM_NO_MEMORY  "without zvm_memory: "


static void ngx_http_zvm_wrong_at(ngx_conf_t *cf, ngx_http_zvm_guest_t *guest, ngx_http_zvm_origin_t *origin, const char *where,
    const char *text);


ngx_http_zvm_origin_t *
ngx_http_zvm_record(ngx_conf_t *cf, ngx_http_zvm_loc_conf_t *conf)
{
    ngx_str_t               *value;
    ngx_http_zvm_origin_t   *origin, **known;

    if (conf->origins == NULL) {
        conf->origins = ngx_array_create(cf->pool, 4, sizeof(ngx_http_zvm_origin_t *));
        if (conf->origins == NULL) {
            return NULL;
        }
    }

    origin = ngx_palloc(cf->pool, sizeof(ngx_http_zvm_origin_t));
    known = ngx_array_push(conf->origins);
    if (origin == NULL || known == NULL) {
        return NULL;
    }

    value = cf->args->elts;
    origin->directive = value[0];
    origin->file = cf->conf_file->file.name;
    origin->line = cf->conf_file->line;

    *known = origin;
    return origin;
}


ngx_http_zvm_origin_t *
ngx_http_zvm_origin(ngx_http_zvm_loc_conf_t *conf, const char *directive)
{
    ngx_uint_t               i;
    ngx_http_zvm_origin_t  **known;

    for ( /* void */ ; conf != NULL; conf = conf->outer) {
        if (conf->origins == NULL) {
            continue;
        }

        known = conf->origins->elts;

        for (i = 0; i < conf->origins->nelts; i++) {
            if (ngx_strcmp(known[i]->directive.data, directive) == 0) {
                return known[i];
            }
        }
    }

    return NULL;
}


void
ngx_http_zvm_wrong(ngx_conf_t *cf, ngx_http_zvm_guest_t *guest, const char *directive, const char *text)
{
    ngx_http_zvm_wrong_at(cf, guest, ngx_http_zvm_origin(guest->conf, directive), "", text);
}


void
ngx_http_zvm_wrong_line(ngx_conf_t *cf, ngx_http_zvm_guest_t *guest, ngx_uint_t number, const char *text)
{
    u_char                   where[sizeof(NGX_HTTP_ZVM_NO_MEMORY) + NGX_INT64_LEN];
    ngx_uint_t               i;
    ngx_http_zvm_line_t     *line;
    ngx_http_zvm_origin_t   *origin;

    line = guest->lines.elts;

    for (i = 0; i < guest->lines.nelts; i++) {
        if (line[i].number == number) {
            ngx_http_zvm_wrong_at(cf, guest, line[i].origin, "", text);
            return;
        }
    }

    *where = '\0';

    if (number != 0 && guest->conf->manifest.data == NULL) {
        /* Of the defaults only this one can be wrong for a program. */
        ngx_cpystrn(where, (u_char *) NGX_HTTP_ZVM_NO_MEMORY, sizeof(where));

    } else if (number != 0) {
        *ngx_sprintf(where, "MANIFEST %ui: ", number) = '\0';
    }

    origin = ngx_http_zvm_origin(guest->conf, guest->conf->manifest.data != NULL ? "zvm_manifest" : "zvm_program");
    ngx_http_zvm_wrong_at(cf, guest, origin, (const char *) where, text);
}


/* As nginx's own errors: what, then in which line of which file. */
static void
ngx_http_zvm_wrong_at(ngx_conf_t *cf, ngx_http_zvm_guest_t *guest, ngx_http_zvm_origin_t *origin, const char *where, const char *text)
{
    if (origin == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "\"%V\": %s%s", &guest->name, where, text);
        return;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "\"%V\" directive: \"%V\": %s%s in %V:%ui", &origin->directive, &guest->name, where, text,
                  &origin->file, origin->line);
}
