/* SPDX-License-Identifier: Apache-2.0
 * Whether the child processes can use what the configuration says. */
#ifndef ZVM_CHECKS_H
#define ZVM_CHECKS_H

#include <httpd.h>

/* Of the server's start, and of `apachectl -t`, which a graceful restart begins with. Anything but OK: they cannot, which is logged with
 * the directive's line. */
int checks_run(apr_pool_t *configuration, apr_pool_t *log, apr_pool_t *temporary, server_rec *server);

#endif
