/* SPDX-License-Identifier: Apache-2.0
 * Leaves a mark, a byte in a file, when it is loaded and for each start: so that a test sees whether and how often. */
#include "zvfs_provider.h"
#include <fcntl.h>
#include <unistd.h>

static char the_instance, the_file;

static void mark(const char *byte) {
    int fd = open(MARKS, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (write(fd, byte, 1) != 1) _exit(70);
    close(fd);
}
__attribute__((constructor)) static void loaded(void) { mark("L"); }

static int32_t ZVFS_CALL start(const zvfs_host *host, const zvfs_value *const *settings, zvfs_instance **out,
                               zvfs_error *err) {
    (void)host, (void)settings, (void)err;
    mark("s");
    *out = (zvfs_instance *)&the_instance;
    return 0;
}
static void ZVFS_CALL stop(zvfs_instance *instance) {
    (void)instance;
    mark("e");
}
static int32_t ZVFS_CALL open_(zvfs_instance *instance, const zvfs_open_request *request, zvfs_file **out,
                               zvfs_error *err) {
    (void)instance, (void)request, (void)err;
    *out = (zvfs_file *)&the_file;
    return 0;
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
    .supported_flags = ZVFS_OPEN_READ, .start = start, .stop = stop, .open = open_, .close = close_, .read = read_,
    .capabilities = capabilities };
ZVFS_EXPORT const zvfs_provider *ZVFS_CALL zvfs_provider_v1(void) { return &provider; }
