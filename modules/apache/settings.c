/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"
#include <apr_strings.h>
#include <httpd.h>
#include <stddef.h>
#include <stdlib.h>

struct server_settings server_settings;

zvm_host_options settings_host(void) {
    const struct server_settings *settings = &server_settings;
    return (zvm_host_options){.struct_size = sizeof(zvm_host_options),
                              .configuration = settings->configuration.path,
                              .worker = settings->worker.path,
                              .cache_folder = settings->cache.path,
                              .cache_key = settings->cache_key};
}

int place_sessions(const struct place_settings *settings) {
    return settings->sessions.number >= 0 ? settings->sessions.number : DEFAULT_SESSIONS;
}

int place_queue(const struct place_settings *settings) {
    return settings->queue.number >= 0 ? settings->queue.number : DEFAULT_QUEUE;
}

void *place_settings_make(apr_pool_t *pool, char *place) {
    struct place_settings *settings = apr_pcalloc(pool, sizeof *settings);
    (void)place;
    settings->sessions.number = settings->queue.number = -1;
    return settings;
}

void *place_settings_merge(apr_pool_t *pool, void *outer, void *inner) {
    const struct place_settings *from = outer, *over = inner;
    struct place_settings *settings = apr_pcalloc(pool, sizeof *settings);
    settings->site = over->site ? over->site : from->site;
    settings->sessions = over->sessions.number >= 0 ? over->sessions : from->sessions;
    settings->queue = over->queue.number >= 0 ? over->queue : from->queue;
    return settings;
}

/* Each directive stands once in its section, or once outside of all: of two, nobody could see which one counts. */
static const char *said_twice(cmd_parms *cmd, const ap_directive_t *first) {
    if (!first) return NULL;
    return apr_psprintf(cmd->pool, "%s: stands in line %d of %s already, with `%s`: remove one of the two", cmd->cmd->name,
                        first->line_num, first->filename, first->args);
}

static const char *set_manifest(cmd_parms *cmd, void *place, const char *file) {
    struct place_settings *settings = place;
    const char *path = ap_server_root_relative(cmd->pool, file);
    const char *wrong = path ? site_read(cmd->pool, path, &settings->site) : "not a path";
    struct named_site *named;
    if (settings->manifest) return said_twice(cmd, settings->manifest);
    if (wrong) return apr_pstrcat(cmd->pool, cmd->cmd->name, ": ", wrong, NULL);
    named = apr_palloc(cmd->pool, sizeof *named);
    *named = (struct named_site){server_settings.sites, settings->site, cmd->directive, settings, cmd->server};
    server_settings.sites = named;
    settings->manifest = cmd->directive;
    return NULL;
}

/* The directive's data is the place of a count in the settings. */
static const char *set_number(cmd_parms *cmd, void *place, const char *text) {
    struct count *count = (struct count *)(void *)((char *)place + (ptrdiff_t)(intptr_t)cmd->info);
    int least = (ptrdiff_t)(intptr_t)cmd->info == offsetof(struct place_settings, sessions);
    char *end;
    long value = strtol(text, &end, 10);
    if (count->directive) return said_twice(cmd, count->directive);
    if (end == text || *end || value < least || value > 100000)
        return apr_psprintf(cmd->pool, "%s: `%s` is not a number from %d to 100000", cmd->cmd->name, text, least);
    *count = (struct count){(int)value, cmd->directive};
    return NULL;
}

/* The directive's data is the place of a path in the server's settings. */
static const char *set_path(cmd_parms *cmd, void *unused, const char *text) {
    struct said *said = cmd->info;
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    (void)unused;
    if (!wrong) wrong = said_twice(cmd, said->directive);
    if (wrong) return wrong;
    *said = (struct said){ap_server_root_relative(cmd->pool, text), cmd->directive};
    return NULL;
}

static const char *set_cache(cmd_parms *cmd, void *unused, const char *folder, const char *key) {
    const char *wrong = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    (void)unused;
    if (!wrong) wrong = said_twice(cmd, server_settings.cache.directive);
    if (wrong) return wrong;
    server_settings.cache = (struct said){ap_server_root_relative(cmd->pool, folder), cmd->directive};
    server_settings.cache_key = ap_server_root_relative(cmd->pool, key);
    return NULL;
}

#define PLACE_OF(field) ((void *)offsetof(struct place_settings, field))

/* In sections, and outside of them for a server or a virtual host as a whole. */
#define PLACES (RSRC_CONF | ACCESS_CONF)

const command_rec zvm_directives[] = {
    AP_INIT_TAKE1("ZvmManifest", set_manifest, NULL, PLACES, "the manifest of the guest that answers here"),
    AP_INIT_TAKE1("ZvmSessions", set_number, PLACE_OF(sessions), PLACES, "how many run at once in a child process"),
    AP_INIT_TAKE1("ZvmQueue", set_number, PLACE_OF(queue), PLACES, "how many requests may wait for that; one more gets 503"),
    AP_INIT_TAKE1("ZvmConfiguration", set_path, &server_settings.configuration, RSRC_CONF, "the operator's file zvfs.toml"),
    AP_INIT_TAKE1("ZvmWorker", set_path, &server_settings.worker, RSRC_CONF, "the command zvfs, which compiles programs"),
    AP_INIT_TAKE2("ZvmCache", set_cache, NULL, RSRC_CONF, "a folder for compiled programs, and the file of its key"),
    {NULL, {NULL}, NULL, 0, RAW_ARGS, NULL},
};
