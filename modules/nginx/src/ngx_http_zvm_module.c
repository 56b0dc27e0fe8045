/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"


static void *ngx_http_zvm_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_zvm_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_zvm_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child);
static ngx_http_zvm_guest_t *ngx_http_zvm_make_guest(ngx_conf_t *cf, ngx_http_zvm_loc_conf_t *conf);
static ngx_int_t ngx_http_zvm_init_process(ngx_cycle_t *cycle);
static void ngx_http_zvm_exit_process(ngx_cycle_t *cycle);


static ngx_http_module_t  ngx_http_zvm_module_ctx = {
    ngx_http_zvm_add_variables,            /* preconfiguration */
    ngx_http_zvm_check_guests,             /* postconfiguration */

    ngx_http_zvm_create_main_conf,         /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_zvm_create_loc_conf,          /* create location configuration */
    ngx_http_zvm_merge_loc_conf            /* merge location configuration */
};


ngx_module_t  ngx_http_zvm_module = {
    NGX_MODULE_V1,
    &ngx_http_zvm_module_ctx,              /* module context */
    ngx_http_zvm_commands,                 /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_zvm_init_process,             /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_zvm_exit_process,             /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_zvm_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_zvm_main_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_zvm_main_conf_t));

    if (conf == NULL || ngx_array_init(&conf->guests, cf->pool, 4, sizeof(ngx_http_zvm_guest_t *)) != NGX_OK) {
        return NULL;
    }

    return conf;
}


/* Set by ngx_pcalloc(): strings are empty, `variables` and `guest` are NULL. */
static void *
ngx_http_zvm_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_zvm_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_zvm_loc_conf_t));
    if (conf == NULL) {
        return NULL;
    }

    conf->channels = NGX_CONF_UNSET_PTR;
    conf->params = NGX_CONF_UNSET_PTR;
    conf->memory = NGX_CONF_UNSET_SIZE;
    conf->timeout = NGX_CONF_UNSET;
    conf->fuel = NGX_CONF_UNSET;
    conf->sessions = NGX_CONF_UNSET_UINT;
    conf->queue = NGX_CONF_UNSET_UINT;
    conf->queue_timeout = NGX_CONF_UNSET_MSEC;

    return conf;
}


static char *
ngx_http_zvm_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_zvm_loc_conf_t   *prev = parent;
    ngx_http_zvm_loc_conf_t   *conf = child;
    ngx_http_core_loc_conf_t  *clcf;

    conf->outer = prev;

    ngx_conf_merge_str_value(conf->args, prev->args, "");
    ngx_conf_merge_ptr_value(conf->channels, prev->channels, NGX_CONF_UNSET_PTR);
    ngx_conf_merge_ptr_value(conf->params, prev->params, NGX_CONF_UNSET_PTR);
    ngx_conf_merge_size_value(conf->memory, prev->memory, NGX_CONF_UNSET_SIZE);
    ngx_conf_merge_value(conf->timeout, prev->timeout, NGX_CONF_UNSET);
    ngx_conf_merge_value(conf->fuel, prev->fuel, NGX_CONF_UNSET);
    ngx_conf_merge_str_value(conf->configuration, prev->configuration, "");
    ngx_conf_merge_str_value(conf->compiler, prev->compiler, "");
    ngx_conf_merge_uint_value(conf->sessions, prev->sessions, 32);
    ngx_conf_merge_uint_value(conf->queue, prev->queue, 512);
    ngx_conf_merge_msec_value(conf->queue_timeout, prev->queue_timeout, 60000);
    ngx_conf_merge_bufs_value(conf->buffers, prev->buffers, 4, 32768);

    if (conf->cache_folder.data == NULL) {
        conf->cache_folder = prev->cache_folder;
        conf->cache_key = prev->cache_key;
    }

    if (conf->buffers.num < 2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "there must be at least 2 \"zvm_buffers\"");
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->program.data != NULL || conf->manifest.data != NULL) {
        conf->guest = ngx_http_zvm_make_guest(cf, conf);
        if (conf->guest == NULL) {
            return NGX_CONF_ERROR;
        }

    } else if (clcf->noname) {
        /* A block of `if` or `limit_except`. */
        conf->guest = prev->guest;

        if (clcf->lmt_excpt && clcf->handler == NULL && conf->guest != NULL) {
            clcf->handler = ngx_http_zvm_handler;
        }
    }

    if (conf->guest != NULL && ngx_http_zvm_variables(cf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static const char *
ngx_http_zvm_text(ngx_str_t *value)
{
    return value->len != 0 ? (const char *) value->data : NULL;
}


static ngx_http_zvm_guest_t *
ngx_http_zvm_make_guest(ngx_conf_t *cf, ngx_http_zvm_loc_conf_t *conf)
{
    ngx_http_zvm_guest_t       *guest, **known;
    ngx_http_zvm_main_conf_t   *zmcf;

    guest = ngx_pcalloc(cf->pool, sizeof(ngx_http_zvm_guest_t));
    if (guest == NULL) {
        return NULL;
    }

    guest->name = conf->program.data != NULL ? conf->program : conf->manifest;
    guest->conf = conf;
    guest->sessions = conf->sessions;
    guest->queue = conf->queue;
    guest->host_options.struct_size = sizeof(zvm_host_options);
    guest->host_options.configuration = ngx_http_zvm_text(&conf->configuration);
    guest->host_options.worker = ngx_http_zvm_text(&conf->compiler);
    guest->host_options.cache_folder = ngx_http_zvm_text(&conf->cache_folder);
    guest->host_options.cache_key = ngx_http_zvm_text(&conf->cache_key);
    guest->host_options.jobs = conf->sessions;
    ngx_queue_init(&guest->requests);
    ngx_str_set(&guest->fault, "see what it logged at its start");

    if (conf->program.data != NULL && ngx_http_zvm_read_file(cf, guest, "zvm_program", &conf->program, &guest->program) != NGX_OK) {
        return NULL;
    }

    if (ngx_http_zvm_manifest(cf, guest) != NGX_OK || ngx_http_zvm_check_manifest(cf, guest) != NGX_OK) {
        return NULL;
    }

    zmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_zvm_module);

    known = ngx_array_push(&zmcf->guests);
    if (known == NULL) {
        return NULL;
    }

    *known = guest;
    return guest;
}


static ngx_array_t *
ngx_http_zvm_guests(ngx_cycle_t *cycle)
{
    ngx_http_zvm_main_conf_t  *zmcf;

    /* The master and the helpers for caches answer no requests. */
    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE) {
        return NULL;
    }

    zmcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_zvm_module);

    return zmcf != NULL && zmcf->guests.nelts != 0 ? &zmcf->guests : NULL;
}


/* Never a failure: a worker that does not start is not started again, and answers nothing of its other sites either. */
static ngx_int_t
ngx_http_zvm_init_process(ngx_cycle_t *cycle)
{
    ngx_array_t  *guests;

    guests = ngx_http_zvm_guests(cycle);

    if (guests != NULL && ngx_http_zvm_jobs_init(cycle) == NGX_OK) {
        ngx_http_zvm_guests_init(cycle, guests);
    }

    return NGX_OK;
}


static void
ngx_http_zvm_exit_process(ngx_cycle_t *cycle)
{
    ngx_array_t  *guests;

    guests = ngx_http_zvm_guests(cycle);

    if (guests != NULL) {
        ngx_http_zvm_jobs_exit();
        ngx_http_zvm_guests_exit(guests);
    }
}
