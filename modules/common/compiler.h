/* SPDX-License-Identifier: Apache-2.0
 * Whether the command that compiles programs does. */
#ifndef ZVM_COMPILER_H
#define ZVM_COMPILER_H

#include <zvm_session.h>

/* Has a host's `worker` compile a program of nothing; without one there is nothing to check. Waits for that. */
int32_t compiler_check(zvm_host *host, zvfs_error *err);

/* Says of a session that is only checked that its standard channels will be supplied. */
int32_t compiler_supply(zvm_session *session, zvfs_error *err);

#endif
