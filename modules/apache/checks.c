/* SPDX-License-Identifier: Apache-2.0 */
#include "checks.h"
#include "checked.h"
#include "settings.h"
#include <ap_mpm.h>
#include <apr_strings.h>
#include <http_config.h>
#include <http_core.h>
#include <http_log.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <unixd.h>

APLOG_USE_MODULE(zvm);

static const ap_directive_t *directive_of(enum checked_part part, const struct named_site *site) {
    switch (part) {
    case CHECKED_CONFIGURATION: return server_settings.configuration.directive;
    case CHECKED_WORKER: return server_settings.worker.directive;
    case CHECKED_CACHE: return server_settings.cache.directive;
    default: return site->directive;
    }
}

/* As the child processes run. */
static struct checked_user user(void) {
    struct checked_user user = {NULL, 0, 0};
    if (geteuid() == 0) user = (struct checked_user){ap_unixd_config.user_name, ap_unixd_config.user_id, ap_unixd_config.group_id};
    return user;
}

static int say(server_rec *server, const struct checked_fault *fault, const struct named_site *site) {
    const ap_directive_t *directive = directive_of(fault->part, site);
    const char *of = site && directive == site->directive ? site->site->file : "";
    const char *line = fault->line ? apr_psprintf(server->process->pconf, "MANIFEST %lu: ", fault->line) : "";
    ap_log_error(APLOG_MARK, APLOG_EMERG, 0, server, "zvm: line %d of %s: %s: %s%s%s%s", directive->line_num, directive->filename,
                 directive->directive, of, *of ? ": " : "", line, fault->text);
    return HTTP_INTERNAL_SERVER_ERROR;
}

/* ---- A handler without a manifest ------------------------------------------------------------------------------- */

static bool is_directive(const ap_directive_t *directive, const char *name) { return strcasecmp(directive->directive, name) == 0; }

/* Whether requests are answered by guests where this directive stands. */
static bool names_handler(apr_pool_t *pool, const ap_directive_t *directive) {
    const char *words = directive->args;
    return (is_directive(directive, "SetHandler") || is_directive(directive, "AddHandler")) &&
           strcmp(ap_getword_conf(pool, &words), "zvm-handler") == 0;
}

static bool has_manifest(const ap_directive_t *directive) {
    while (directive && !is_directive(directive, "ZvmManifest")) directive = directive->next;
    return directive != NULL;
}

/* Says which directives in these sections name the handler, where neither the section nor one around it names a manifest. Returns whether
 * there is one. Another section may apply to the same requests and name it, so where there is any manifest that is no error. */
static bool find_handlers(apr_pool_t *pool, server_rec *server, const ap_directive_t *directive, bool is_served) {
    bool found = false;
    is_served = is_served || has_manifest(directive);
    for (; directive; directive = directive->next) {
        if (!is_served && names_handler(pool, directive)) {
            found = true;
            ap_log_error(APLOG_MARK, server_settings.sites ? APLOG_WARNING : APLOG_EMERG, 0, server,
                         "zvm: line %d of %s: %s %s: no ZvmManifest stands in this section or around it: requests here are answered by "
                         "500, unless another section names one",
                         directive->line_num, directive->filename, directive->directive, directive->args);
        }
        if (find_handlers(pool, server, directive->first_child, is_served)) found = true;
    }
    return found;
}

/* ---- More guests than threads ----------------------------------------------------------------------------------- */

/* Warns of manifests whose requests may take all threads of a child: none is left for the rest, and nobody is told 503. Of what sections
 * are merged for a request only that request tells: looked at are the manifest's section and what its server says. */
static void count_threads(apr_pool_t *pool, server_rec *server) {
    int threads = 0;
    if (ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) != APR_SUCCESS || threads <= 1) return;
    for (const struct named_site *site = server_settings.sites; site; site = site->next) {
        void *outer = ap_get_module_config(site->server->lookup_defaults, &zvm_module);
        const struct place_settings *place = site->place, *merged = outer ? place_settings_merge(pool, outer, (void *)place) : place;
        int sessions = place_sessions(merged), queue = place_queue(merged);
        if (sessions + queue < threads) continue;
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, server,
                     "zvm: line %d of %s: %s %s: ZvmSessions %d and ZvmQueue %d together reach ThreadsPerChild %d: its requests can take "
                     "all threads of a child process",
                     site->directive->line_num, site->directive->filename, site->directive->directive, site->directive->args, sessions,
                     queue, threads);
    }
}

/* ---- All -------------------------------------------------------------------------------------------------------- */

int checks_run(apr_pool_t *configuration, apr_pool_t *log, apr_pool_t *temporary, server_rec *server) {
    const struct named_site *site, **sites;
    const struct checked_user as = user();
    struct checked_place *places;
    struct checked_fault fault;
    size_t count = 0, i = 0;
    (void)configuration, (void)log;
    /* A server reads its configuration twice when it starts. A restart that nobody checked goes on: the children say what they find. */
    if (ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG) return OK;
    if (find_handlers(temporary, server, ap_conftree, false) && !server_settings.sites) return HTTP_INTERNAL_SERVER_ERROR;
    count_threads(temporary, server);
    for (site = server_settings.sites; site; site = site->next) count++;
    if (count == 0) {
        /* Without a guest what all would have in common is looked at by itself. */
        if (!server_settings.configuration.directive && !server_settings.worker.directive && !server_settings.cache.directive) return OK;
        count = 1;
    }
    places = apr_pcalloc(temporary, count * sizeof *places);
    sites = apr_pcalloc(temporary, count * sizeof *sites);
    places[0].host = settings_host();
    places[0].configured_by = "ZvmConfiguration";
    for (site = server_settings.sites; site; site = site->next, i++) {
        sites[i] = site;
        places[i].host = settings_host();
        places[i].configured_by = "ZvmConfiguration";
        places[i].manifest = site->site->manifest;
        places[i].manifest_size = site->site->size;
    }
    fault = check_places(places, count, &as);
    if (fault.part == CHECKED_NOTHING) return OK;
    if (fault.part != CHECKED_ITSELF) return say(server, &fault, sites[fault.place]);
    /* No reason to refuse a configuration. */
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, server, "zvm: check the configuration: %s", fault.text);
    return OK;
}
