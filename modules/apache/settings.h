/* SPDX-License-Identifier: Apache-2.0
 * The directives. */
#ifndef ZVM_SETTINGS_H
#define ZVM_SETTINGS_H

#include "site.h"
#include <httpd.h>

#include <http_config.h>

/* Of the whole server: what all sessions of a child process share. NULL: not set. */
struct server_settings {
    const char *configuration, *worker, *cache_folder, *cache_key;
};

/* Of a place: <Location>, <Directory>, .htaccess is not asked. */
struct place_settings {
    struct site *site;  /* NULL: no manifest */
    int sessions, queue; /* -1: not set */
};

enum { DEFAULT_SESSIONS = 8, DEFAULT_QUEUE = 8 };

extern struct server_settings server_settings;
extern const command_rec zvm_directives[];

void *place_settings_make(apr_pool_t *pool, char *place);
void *place_settings_merge(apr_pool_t *pool, void *outer, void *inner);

#endif
