/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"
#include "checked.h"


static ngx_uint_t ngx_http_zvm_check_user(ngx_conf_t *cf, struct checked_user *user);


/* Opens and runs nothing. */
ngx_int_t
ngx_http_zvm_check_manifest(ngx_conf_t *cf, ngx_http_zvm_guest_t *guest)
{
    unsigned long  line;
    const char    *message;
    zvfs_error     error;
    zvm_session   *session;

    if (zvm_session_new((const char *) guest->manifest.data, guest->manifest.len, NULL, &session, &error) == 0) {
        zvm_session_free(session);
        return NGX_OK;
    }

    message = error.message;
    line = checked_line(&message);
    ngx_http_zvm_wrong_line(cf, guest, line, message);

    return NGX_ERROR;
}


ngx_int_t
ngx_http_zvm_check_guests(ngx_conf_t *cf)
{
    ngx_uint_t                  i, is_known;
    const char                 *directive;
    struct checked_user         user;
    struct checked_fault        fault;
    struct checked_place       *places;
    ngx_http_zvm_guest_t      **guests;
    ngx_http_zvm_main_conf_t   *zmcf;

    zmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_zvm_module);

    /* `nginx -s` reads the configuration too, and uses nothing of it. */
    if (zmcf->guests.nelts == 0 || ngx_process == NGX_PROCESS_SIGNALLER) {
        return NGX_OK;
    }

    places = ngx_pcalloc(cf->temp_pool, zmcf->guests.nelts * sizeof(struct checked_place));
    if (places == NULL) {
        return NGX_ERROR;
    }

    is_known = ngx_http_zvm_check_user(cf, &user);
    guests = zmcf->guests.elts;

    for (i = 0; i < zmcf->guests.nelts; i++) {
        places[i].host = guests[i]->host_options;
        places[i].configured_by = "zvm_config";
        places[i].manifest = (const char *) guests[i]->manifest.data;
        places[i].manifest_size = guests[i]->manifest.len;
        places[i].program = guests[i]->program.data;
        places[i].program_size = guests[i]->program.len;

        if (!is_known) {
            places[i].host.cache_folder = NULL;
            places[i].host.cache_key = NULL;
        }
    }

    fault = check_places(places, zmcf->guests.nelts, &user);

    switch (fault.part) {

    case CHECKED_NOTHING:
        return NGX_OK;

    case CHECKED_ITSELF:
        /* No reason to refuse a configuration: the workers will say what they find. */
        ngx_log_error(NGX_LOG_WARN, cf->log, 0, "zvm: check the configuration: %s", fault.text);
        return NGX_OK;

    case CHECKED_MANIFEST:
        ngx_http_zvm_wrong_line(cf, guests[fault.place], fault.line, fault.text);
        return NGX_ERROR;

    case CHECKED_CONFIGURATION:
        directive = "zvm_config";
        break;

    case CHECKED_CACHE:
        directive = "zvm_cache";
        break;

    case CHECKED_WORKER:
        directive = "zvm_compiler";
        break;

    default: /* CHECKED_PROGRAM */
        directive = guests[fault.place]->conf->program.data != NULL ? "zvm_program" : "zvm_manifest";
    }

    ngx_http_zvm_wrong(cf, guests[fault.place], directive, fault.text);
    return NGX_ERROR;
}


/* The user that the workers run as. Returns whether that is known: a `user` that stands behind `http` has not been read yet. */
static ngx_uint_t
ngx_http_zvm_check_user(ngx_conf_t *cf, struct checked_user *user)
{
    ngx_core_conf_t  *ccf;

    ngx_memzero(user, sizeof(struct checked_user));

    /* Without root's rights they run as this process does. */
    if (geteuid() != 0) {
        return 1;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cf->cycle->conf_ctx, ngx_core_module);

    if (ccf->username == NULL) {
        return 0;
    }

    user->name = ccf->username;
    user->uid = ccf->user;
    user->gid = ccf->group;
    return 1;
}
