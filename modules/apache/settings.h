/* SPDX-License-Identifier: Apache-2.0
 * The directives. */
#ifndef ZVM_SETTINGS_H
#define ZVM_SETTINGS_H

#include "site.h"
#include <httpd.h>

#include <http_config.h>

/* What a directive says, and where it stands. All zero: not set. */
struct said {
    const char *path;
    const ap_directive_t *directive;
};

/* A ZvmManifest line. */
struct named_site {
    struct named_site *next;
    struct site *site;
    const ap_directive_t *directive;
    const struct place_settings *place; /* of its section */
    const server_rec *server;
};

/* Of the whole server: what all sessions of a child process share, and every manifest. */
struct server_settings {
    struct said configuration, worker, cache;
    const char *cache_key;
    struct named_site *sites;
};

/* A number that a directive says. */
struct count {
    int number;                      /* -1: not set */
    const ap_directive_t *directive; /* in this section */
};

/* Of a place: <Location>, <Directory>, .htaccess is not asked. */
struct place_settings {
    struct site *site;              /* NULL: no manifest */
    const ap_directive_t *manifest; /* in this section */
    struct count sessions, queue;
};

enum { DEFAULT_SESSIONS = 8, DEFAULT_QUEUE = 8 };

extern struct server_settings server_settings;
extern const command_rec zvm_directives[];

/* The options of a host that the server's directives say. */
zvm_host_options settings_host(void);

/* How many sessions of a place run, and requests of it wait, if nothing else is said. */
int place_sessions(const struct place_settings *settings);
int place_queue(const struct place_settings *settings);

void *place_settings_make(apr_pool_t *pool, char *place);
void *place_settings_merge(apr_pool_t *pool, void *outer, void *inner);

#endif
