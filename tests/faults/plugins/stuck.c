/* SPDX-License-Identifier: Apache-2.0
 * A library that never comes back: from its constructor (IN=1), its entry (IN=2) or its start (IN=3). Leaves a file MARK there. */
#include "zvfs_provider.h"
#include <fcntl.h>
#include <unistd.h>

static void stay(void) {
    close(open(MARK, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    for (;;) pause();
}

#if IN == 1
__attribute__((constructor)) static void construct(void) { stay(); }
#endif

static int32_t ZVFS_CALL start(const zvfs_host *host, const zvfs_value *const *settings, zvfs_instance **out,
                               zvfs_error *err) {
    (void)host, (void)settings, (void)out, (void)err;
    stay();
    return 0;
}
static int32_t ZVFS_CALL open_(zvfs_instance *instance, const zvfs_open_request *request, zvfs_file **out,
                               zvfs_error *err) {
    (void)instance, (void)request, (void)out;
    return zvfs_fail(err, ZVFS_EIO, "opened");
}
static void ZVFS_CALL close_(zvfs_file *file) { (void)file; }
static int64_t ZVFS_CALL read_(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    (void)file, (void)buf, (void)n, (void)err;
    return 0;
}
static uint64_t ZVFS_CALL capabilities(zvfs_file *file) {
    (void)file;
    return ZVFS_CAP_READABLE;
}
static const char *const schemes[] = { NAME, NULL };
static const zvfs_provider provider = { .struct_size = sizeof provider, .name = NAME, .schemes = schemes,
    .supported_flags = ZVFS_OPEN_READ, .start = start, .open = open_, .close = close_, .read = read_,
    .capabilities = capabilities };
ZVFS_EXPORT const zvfs_provider *ZVFS_CALL zvfs_provider_v1(void) {
    if (IN == 2) stay();
    return &provider;
}
