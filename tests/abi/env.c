/* SPDX-License-Identifier: Apache-2.0
 * A provider in C: `env:NAME` reads an environment variable. This is all that a simple one needs. */
#include "zvfs_provider.h"
#include <stdlib.h>
#include <string.h>

struct zvfs_file { uint64_t at, len; char text[]; };
static int32_t ZVFS_CALL env_open(zvfs_instance *none, const zvfs_open_request *request, zvfs_file **out, zvfs_error *err) {
    (void)none;
    const char *value = getenv(request->rest);
    if (!value) return zvfs_fail(err, ZVFS_ENOENT, "no variable %s", request->rest);
    size_t len = strlen(value);
    zvfs_file *file = malloc(sizeof *file + len);
    if (!file) return zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
    file->at = 0; file->len = len; memcpy(file->text, value, len);
    *out = file; return 0;
}
static int64_t ZVFS_CALL env_read(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    (void)err;
    if (n > file->len - file->at) n = file->len - file->at;
    memcpy(buf, file->text + file->at, n); file->at += n; return (int64_t)n;
}
static uint64_t ZVFS_CALL env_capabilities(zvfs_file *f) { (void)f; return ZVFS_CAP_READABLE | ZVFS_CAP_CANCEL; }
static void ZVFS_CALL env_close(zvfs_file *f) { free(f); }
static const char *const schemes[] = { "env", NULL };
static const zvfs_provider provider = { .struct_size = sizeof provider, .name = "env", .version = "1.0",
    .summary = "one environment variable", .schemes = schemes, .supported_flags = ZVFS_OPEN_READ,
    .open = env_open, .close = env_close, .read = env_read, .capabilities = env_capabilities };
ZVFS_EXPORT const zvfs_provider *ZVFS_CALL zvfs_provider_v1(void) { return &provider; }
