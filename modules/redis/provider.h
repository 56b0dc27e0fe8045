/* SPDX-License-Identifier: Apache-2.0
 * The provider of the scheme `redis`, through which a guest reaches its call: the keys, the arguments, the reply, the log. A call is found
 * by the session's job, which is its id. */
#ifndef ZVM_PROVIDER_H
#define ZVM_PROVIDER_H

#include <zvfs_provider.h>

extern const zvfs_provider redis_provider;

#endif
