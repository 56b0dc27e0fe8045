/* SPDX-License-Identifier: Apache-2.0
 * `odd:<what>`: each read does what the name says. */
#define _GNU_SOURCE
#include "zvfs_provider.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct zvfs_file {
    zvfs_context *context;
    int lent;
    char what[32];
};

static const zvfs_host *host;
static const zvfs_host_waiting *says;
static char the_instance;

static int is(const zvfs_file *file, const char *what) { return strcmp(file->what, what) == 0; }

static int32_t ZVFS_CALL start(const zvfs_host *given, const zvfs_value *const *settings, zvfs_instance **out,
                               zvfs_error *err) {
    (void)settings;
    host = given;
    says = given->extension(given, ZVFS_EXT_HOST_WAITING);
    *out = (zvfs_instance *)&the_instance;
    return says ? 0 : zvfs_fail(err, ZVFS_ENOTSUP, "this host does not want to know");
}

static int32_t ZVFS_CALL wait_(zvfs_context *context, zvfs_error *err) {
    says->waits_for(context, "a sign", NULL);
    int32_t ended = host->wait(context, -1, 0, ZVFS_TIME_UNLIMITED);
    says->waits_for(context, NULL, NULL);
    return zvfs_fail(err, -ended, "waited in vain");
}

static int32_t ZVFS_CALL open_(zvfs_instance *instance, const zvfs_open_request *request, zvfs_file **out,
                               zvfs_error *err) {
    (void)instance;
    if (strcmp(request->rest, "wait-in-open") == 0) return wait_(request->context, err);
    zvfs_file *file = calloc(1, sizeof *file);
    if (!file) return zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
    file->context = request->context;
    file->lent = -1;
    strncpy(file->what, request->rest, sizeof file->what - 1);
    *out = file;
    return 0;
}

static void ZVFS_CALL close_(zvfs_file *file) {
    if (file->lent >= 0) close(file->lent);
    free(file);
}

static int64_t ZVFS_CALL read_(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    if (is(file, "wait")) return wait_(file->context, err);
    if (is(file, "exit")) exit(3);
    if (is(file, "abort")) abort();
    while (is(file, "never")) pause();
    for (int line = 0; line < 150 && is(file, "log"); line++) host->log(host, ZVFS_LOG_WARNING, "a line");
    memset(buf, 'o', n);
    return (int64_t)n;
}

static uint64_t ZVFS_CALL capabilities(zvfs_file *file) {
    (void)file;
    return ZVFS_CAP_READABLE | ZVFS_CAP_FD;
}

static int32_t ZVFS_CALL lease(zvfs_file *file, uint64_t direction, zvfs_lease *out, zvfs_error *err) {
    (void)direction;
    int pipe_[2];
    if (is(file, "pipe") && pipe(pipe_) == 0) {
        close(pipe_[1]);
        file->lent = pipe_[0];
    } else {
        file->lent = memfd_create("odd", MFD_CLOEXEC);
    }
    if (file->lent < 0 || (!is(file, "pipe") && write(file->lent, "lent", 4) != 4))
        return zvfs_fail(err, ZVFS_EMFILE, "nothing to lend");
    out->fd = file->lent;
    out->offset = 1;
    out->limit = 3;
    return 0;
}

static int32_t ZVFS_CALL advance(zvfs_file *file, uint64_t direction, uint64_t n, zvfs_error *err) {
    (void)file, (void)direction, (void)n, (void)err;
    return 0;
}

static const zvfs_fd_extension fd = { sizeof fd, lease, advance };
static const void *ZVFS_CALL extension(const char *id) { return strcmp(id, ZVFS_EXT_FD) == 0 ? &fd : NULL; }
static const char *const schemes[] = { NAME, NULL };
static const zvfs_provider provider = { .struct_size = sizeof provider, .name = NAME, .schemes = schemes,
    .supported_flags = ZVFS_OPEN_READ, .start = start, .open = open_, .close = close_, .read = read_,
    .capabilities = capabilities, .extension = extension };
ZVFS_EXPORT const zvfs_provider *ZVFS_CALL zvfs_provider_v1(void) { return &provider; }
