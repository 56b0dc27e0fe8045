/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"


static char *ngx_http_zvm_args(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_zvm_memory(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_zvm_timeout(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_zvm_fuel(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_zvm_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_zvm_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_zvm_channel(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_zvm_cache(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_zvm_queue(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
static char *ngx_http_zvm_param(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

static ngx_conf_num_bounds_t  ngx_http_zvm_positive = { ngx_conf_check_num_bounds, 1, -1 };
/* As many as a host of libzvm's may have. */
static ngx_conf_num_bounds_t  ngx_http_zvm_jobs = { ngx_conf_check_num_bounds, 1, 4096 };

#define NGX_HTTP_ZVM_ANY  (NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF)


ngx_command_t  ngx_http_zvm_commands[] = {

    { ngx_string("zvm_program"),
      NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF|NGX_HTTP_LMT_CONF|NGX_CONF_TAKE1,
      ngx_http_zvm_pass,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_zvm_loc_conf_t, program),
      NULL },

    { ngx_string("zvm_manifest"),
      NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF|NGX_HTTP_LMT_CONF|NGX_CONF_TAKE1,
      ngx_http_zvm_pass,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_zvm_loc_conf_t, manifest),
      NULL },

    { ngx_string("zvm_args"),
      NGX_HTTP_ZVM_ANY|NGX_CONF_TAKE1,
      ngx_http_zvm_args,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_zvm_loc_conf_t, args),
      NULL },

    { ngx_string("zvm_channel"),
      NGX_HTTP_ZVM_ANY|NGX_CONF_TAKE1,
      ngx_http_zvm_channel,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("zvm_memory"),
      NGX_HTTP_ZVM_ANY|NGX_CONF_TAKE1,
      ngx_http_zvm_memory,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("zvm_timeout"),
      NGX_HTTP_ZVM_ANY|NGX_CONF_TAKE1,
      ngx_http_zvm_timeout,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("zvm_fuel"),
      NGX_HTTP_ZVM_ANY|NGX_CONF_TAKE1,
      ngx_http_zvm_fuel,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_zvm_loc_conf_t, fuel),
      &ngx_http_zvm_positive },

    { ngx_string("zvm_config"),
      NGX_HTTP_ZVM_ANY|NGX_CONF_TAKE1,
      ngx_http_zvm_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_zvm_loc_conf_t, configuration),
      NULL },

    { ngx_string("zvm_compiler"),
      NGX_HTTP_ZVM_ANY|NGX_CONF_TAKE1,
      ngx_http_zvm_file,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_zvm_loc_conf_t, compiler),
      NULL },

    { ngx_string("zvm_cache"),
      NGX_HTTP_ZVM_ANY|NGX_CONF_TAKE12,
      ngx_http_zvm_cache,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("zvm_sessions"),
      NGX_HTTP_ZVM_ANY|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_zvm_loc_conf_t, sessions),
      &ngx_http_zvm_jobs },

    { ngx_string("zvm_queue"),
      NGX_HTTP_ZVM_ANY|NGX_CONF_TAKE12,
      ngx_http_zvm_queue,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("zvm_buffers"),
      NGX_HTTP_ZVM_ANY|NGX_CONF_TAKE2,
      ngx_conf_set_bufs_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_zvm_loc_conf_t, buffers),
      NULL },

    { ngx_string("zvm_param"),
      NGX_HTTP_ZVM_ANY|NGX_HTTP_LIF_CONF|NGX_CONF_TAKE2,
      ngx_http_zvm_param,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


/* Those of nginx's own slots whose place is remembered. */
#define ngx_http_zvm_slot(name, set)                                                                                    \
    static char *                                                                                                       \
    name(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)                                                                \
    {                                                                                                                   \
        return ngx_http_zvm_record(cf, conf) != NULL ? set(cf, cmd, conf) : NGX_CONF_ERROR;                             \
    }

ngx_http_zvm_slot(ngx_http_zvm_args, ngx_conf_set_str_slot)
ngx_http_zvm_slot(ngx_http_zvm_fuel, ngx_conf_set_num_slot)


/* A size that may be 2 GiB or more: nginx's own slot for sizes takes no g. */
static char *
ngx_http_zvm_memory(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_zvm_loc_conf_t  *zlcf = conf;

    off_t       size;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (zlcf->memory != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    size = ngx_parse_offset(&value[1]);
    if (size == NGX_ERROR || size > (off_t) NGX_MAX_SIZE_T_VALUE) {
        return "needs a size, for example 64m or 2g";
    }

    zlcf->memory = (size_t) size;

    return ngx_http_zvm_record(cf, zlcf) != NULL ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_zvm_timeout(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_zvm_loc_conf_t  *zlcf = conf;

    ngx_int_t   seconds;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (zlcf->timeout != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    seconds = ngx_parse_time(&value[1], 1);
    if (seconds == NGX_ERROR) {
        return "needs a time in whole seconds, for example 30s or 5m";
    }

    zlcf->timeout = seconds;

    return ngx_http_zvm_record(cf, zlcf) != NULL ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* Names the guest of a location, or its manifest, or both. */
static char *
ngx_http_zvm_pass(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_zvm_handler;

    return ngx_http_zvm_file(cf, cmd, conf);
}


/* A path, relative to the configuration's folder. */
static char *
ngx_http_zvm_file(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char       *rv;
    ngx_str_t  *path;

    if (ngx_http_zvm_record(cf, conf) == NULL) {
        return NGX_CONF_ERROR;
    }

    rv = ngx_conf_set_str_slot(cf, cmd, conf);
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    path = (ngx_str_t *) ((char *) conf + cmd->offset);

    return ngx_conf_full_name(cf->cycle, path, 1) == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}


static char *
ngx_http_zvm_channel(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_zvm_loc_conf_t  *zlcf = conf;

    ngx_str_t               *value;
    ngx_http_zvm_channel_t  *channel;

    value = cf->args->elts;

    if (zlcf->channels == NGX_CONF_UNSET_PTR) {
        zlcf->channels = ngx_array_create(cf->pool, 4, sizeof(ngx_http_zvm_channel_t));
        if (zlcf->channels == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    channel = ngx_array_push(zlcf->channels);
    if (channel == NULL) {
        return NGX_CONF_ERROR;
    }

    channel->text = value[1];
    channel->origin = ngx_http_zvm_record(cf, zlcf);

    return channel->origin != NULL ? NGX_CONF_OK : NGX_CONF_ERROR;
}


/* zvm_cache FOLDER KEY | off */
static char *
ngx_http_zvm_cache(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_zvm_loc_conf_t  *zlcf = conf;

    ngx_str_t  *value;

    value = cf->args->elts;

    if (zlcf->cache_folder.data != NULL) {
        return "is duplicate";
    }

    if (ngx_http_zvm_record(cf, zlcf) == NULL) {
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2) {
        if (ngx_strcmp(value[1].data, "off") != 0) {
            return "needs a folder and the file of a key, or \"off\"";
        }

        ngx_str_set(&zlcf->cache_folder, "");
        return NGX_CONF_OK;
    }

    zlcf->cache_folder = value[1];
    zlcf->cache_key = value[2];

    if (ngx_conf_full_name(cf->cycle, &zlcf->cache_folder, 1) != NGX_OK
        || ngx_conf_full_name(cf->cycle, &zlcf->cache_key, 1) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* zvm_queue NUMBER [timeout=TIME] */
static char *
ngx_http_zvm_queue(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_zvm_loc_conf_t  *zlcf = conf;

    ngx_int_t   number;
    ngx_str_t  *value, time;

    value = cf->args->elts;

    if (zlcf->queue != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    number = ngx_atoi(value[1].data, value[1].len);
    if (number == NGX_ERROR) {
        return "has an invalid number";
    }

    zlcf->queue = number;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(value[2].data, "timeout=", 8) != 0) {
        return "has an unknown parameter: \"timeout=TIME\" is the only one";
    }

    time.data = value[2].data + 8;
    time.len = value[2].len - 8;

    zlcf->queue_timeout = ngx_parse_time(&time, 0);
    if (zlcf->queue_timeout == (ngx_msec_t) NGX_ERROR || zlcf->queue_timeout == 0) {
        return "has an invalid timeout";
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_zvm_param(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_zvm_loc_conf_t  *zlcf = conf;

    ngx_str_t                         *value;
    ngx_http_zvm_param_t              *param;
    ngx_http_compile_complex_value_t   ccv;

    value = cf->args->elts;

    if (value[1].len == 0 || ngx_strlchr(value[1].data, value[1].data + value[1].len, '=') != NULL) {
        return "needs a name without \"=\"";
    }

    if (zlcf->params == NGX_CONF_UNSET_PTR) {
        zlcf->params = ngx_array_create(cf->pool, 4, sizeof(ngx_http_zvm_param_t));
        if (zlcf->params == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    param = ngx_array_push(zlcf->params);
    if (param == NULL) {
        return NGX_CONF_ERROR;
    }

    param->name = value[1];

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));
    ccv.cf = cf;
    ccv.value = &value[2];
    ccv.complex_value = &param->value;

    return ngx_http_compile_complex_value(&ccv) == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}
