/* SPDX-License-Identifier: Apache-2.0
 *
 * For a web server that checks its configuration: whether what it says can be used by the processes that are to use it. That takes their
 * rights, and loads compilers' and providers' code, so it is done in a process of its own, which then ends. */
#ifndef ZVM_CHECKED_H
#define ZVM_CHECKED_H

#include <stdbool.h>
#include <sys/types.h>
#include <zvm_session.h>

/* What all sessions of a place have in common. */
struct checked_place {
    zvm_host_options host;
    const char *configured_by; /* the directive that names the operator's file, for messages */
    const char *manifest; /* NULL: only what the host says is checked */
    uint64_t manifest_size;
    const void *program; /* NULL: the manifest's */
    uint64_t program_size;
};

/* Whose rights are asked for. */
struct checked_user {
    const char *name; /* NULL: this process's own */
    uid_t uid;
    gid_t gid;
};

enum checked_part {
    CHECKED_NOTHING, /* is wrong */
    CHECKED_CONFIGURATION,
    CHECKED_CACHE,
    CHECKED_WORKER,
    CHECKED_PROGRAM,
    CHECKED_MANIFEST,
    CHECKED_ITSELF /* the check could not be done */
};

struct checked_fault {
    enum checked_part part;
    size_t place;       /* which one of them */
    unsigned long line; /* of its manifest; 0: of none */
    char text[1024];
};

/* Finds the first thing that is wrong. Waits for that, some seconds at most for each place. The caller has no threads. */
struct checked_fault check_places(const struct checked_place *places, size_t count, const struct checked_user *user);

/* Takes the line off the beginning of a message of libzvm, "MANIFEST 3: ..."; 0: there is none. */
unsigned long checked_line(const char **message);

#endif
