/* SPDX-License-Identifier: Apache-2.0
 * Sees whether calls overlap: a read waits for another one to be inside, at most as many milliseconds as the descriptor
 * says, and gives one byte: 1 if one came, 0 if none did. Built with each value of THREADS.
 *
 * A letter behind the milliseconds: `c` lets capabilities wait for a read likewise; `k` keeps the file's context; `s` lets a
 * read sleep that long, ask the kept context, and give 1 if it still answers. */
#include "zvfs_provider.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

struct zvfs_file { long limit_ms; char letter; };
static atomic_int inside, met;
static const zvfs_host *the_host;
static zvfs_context *kept;

static int32_t ZVFS_CALL start(const zvfs_host *host, const zvfs_value *const *settings, zvfs_instance **out,
                               zvfs_error *err) {
    (void)settings;
    the_host = host;
    *out = malloc(1);
    return *out ? 0 : zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
}
static void ZVFS_CALL stop(zvfs_instance *instance) { free(instance); }
static int32_t ZVFS_CALL open_(zvfs_instance *instance, const zvfs_open_request *request, zvfs_file **out,
                               zvfs_error *err) {
    (void)instance;
    zvfs_file *file = malloc(sizeof *file);
    if (!file) return zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
    char *end;
    file->limit_ms = strtol(request->rest, &end, 10);
    file->letter = *end;
    if (file->letter == 'k') kept = request->context;
    *out = file;
    return 0;
}
static const struct timespec millisecond = { 0, 1000000 };
static void ZVFS_CALL close_(zvfs_file *file) { free(file); }
static int64_t ZVFS_CALL read_(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    (void)n, (void)err;
    if (file->letter == 's') {
        for (long at = 0; at < file->limit_ms; at++) nanosleep(&millisecond, NULL);
        *(char *)buf = the_host->status(kept) == 0;
        return 1;
    }
    if (atomic_fetch_add(&inside, 1) > 0) atomic_store(&met, 1);
    for (long at = 0; at < file->limit_ms && !atomic_load(&met); at++) nanosleep(&millisecond, NULL);
    *(char *)buf = (char)atomic_load(&met);
    atomic_fetch_sub(&inside, 1);
    return 1;
}
static uint64_t ZVFS_CALL capabilities(zvfs_file *file) {
    if (file->letter == 'c') {
        for (long at = 0; at < file->limit_ms && !atomic_load(&inside); at++) nanosleep(&millisecond, NULL);
        if (atomic_load(&inside)) atomic_store(&met, 1);
    }
    return ZVFS_CAP_READABLE;
}
static const char *const schemes[] = { NAME, NULL };
static const zvfs_provider provider = { .struct_size = sizeof provider, .name = NAME, .schemes = schemes,
    .supported_flags = ZVFS_OPEN_READ, .threads = THREADS, .start = start, .stop = stop, .open = open_,
    .close = close_, .read = read_, .capabilities = capabilities };
ZVFS_EXPORT const zvfs_provider *ZVFS_CALL zvfs_provider_v1(void) { return &provider; }
