/* SPDX-License-Identifier: Apache-2.0
 * Sees whether calls overlap: a read waits for another one to be inside, at most as many milliseconds as the descriptor
 * says, and gives one byte: 1 if one came, 0 if none did. Built with each value of THREADS. */
#include "zvfs_provider.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

struct zvfs_file { long limit_ms; };
static atomic_int inside, met;

static int32_t ZVFS_CALL start(const zvfs_host *host, const zvfs_value *const *settings, zvfs_instance **out,
                               zvfs_error *err) {
    (void)host, (void)settings;
    *out = malloc(1);
    return *out ? 0 : zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
}
static void ZVFS_CALL stop(zvfs_instance *instance) { free(instance); }
static int32_t ZVFS_CALL open_(zvfs_instance *instance, const zvfs_open_request *request, zvfs_file **out,
                               zvfs_error *err) {
    (void)instance;
    zvfs_file *file = malloc(sizeof *file);
    if (!file) return zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
    file->limit_ms = strtol(request->rest, NULL, 10);
    *out = file;
    return 0;
}
static void ZVFS_CALL close_(zvfs_file *file) { free(file); }
static int64_t ZVFS_CALL read_(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    const struct timespec millisecond = { 0, 1000000 };
    (void)n, (void)err;
    if (atomic_fetch_add(&inside, 1) > 0) atomic_store(&met, 1);
    for (long at = 0; at < file->limit_ms && !atomic_load(&met); at++) nanosleep(&millisecond, NULL);
    *(char *)buf = (char)atomic_load(&met);
    atomic_fetch_sub(&inside, 1);
    return 1;
}
static uint64_t ZVFS_CALL capabilities(zvfs_file *file) {
    (void)file;
    return ZVFS_CAP_READABLE;
}
static const char *const schemes[] = { NAME, NULL };
static const zvfs_provider provider = { .struct_size = sizeof provider, .name = NAME, .schemes = schemes,
    .supported_flags = ZVFS_OPEN_READ, .threads = THREADS, .start = start, .stop = stop, .open = open_,
    .close = close_, .read = read_, .capabilities = capabilities };
ZVFS_EXPORT const zvfs_provider *ZVFS_CALL zvfs_provider_v1(void) { return &provider; }
