/* SPDX-License-Identifier: Apache-2.0
 * `deaf:<call>`: never returns from that call, and hears neither cancel nor deadline. The first `stat` of a name does. */
#include "zvfs_provider.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct zvfs_file {
    char what[16];
    uint64_t position;
};

static char the_instance;
static int stats;
static const char content[] = "deaf\n";

static int is(const char *what, const char *call) { return strcmp(what, call) == 0; }

static void in(const char *what, const char *call) {
    while (is(what, call)) pause();
}

static int32_t ZVFS_CALL start(const zvfs_host *host, const zvfs_value *const *settings, zvfs_instance **out, zvfs_error *err) {
    (void)host, (void)settings, (void)err;
    *out = (zvfs_instance *)&the_instance;
    return 0;
}
static int32_t ZVFS_CALL open_(zvfs_instance *instance, const zvfs_open_request *request, zvfs_file **out, zvfs_error *err) {
    (void)instance;
    in(request->rest, "open");
    zvfs_file *file = calloc(1, sizeof *file);
    if (!file) return zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
    strncpy(file->what, request->rest, sizeof file->what - 1);
    *out = file;
    return 0;
}
static void ZVFS_CALL close_(zvfs_file *file) {
    in(file->what, "close");
    free(file);
}
static int64_t ZVFS_CALL read_(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    (void)err;
    in(file->what, "read");
    uint64_t left = sizeof content - 1 - file->position;
    if (n > left) n = left;
    memcpy(buf, content + file->position, n);
    file->position += n;
    return (int64_t)n;
}
static uint64_t ZVFS_CALL capabilities(zvfs_file *file) {
    (void)file;
    return ZVFS_CAP_READABLE;
}
static int32_t ZVFS_CALL name_stat(zvfs_instance *instance, const zvfs_open_request *request, zvfs_stat *out, zvfs_error *err) {
    (void)instance, (void)err;
    if (stats++ > 0) in(request->rest, "stat");
    out->kind = is(request->rest, "list") ? ZVFS_KIND_DIRECTORY : ZVFS_KIND_REGULAR;
    out->size = is(request->rest, "list") ? ZVFS_SIZE_UNKNOWN : sizeof content - 1;
    return 0;
}
static int32_t ZVFS_CALL list(zvfs_instance *instance, const zvfs_open_request *request, zvfs_entry_fn each, void *arg, zvfs_error *err) {
    (void)instance, (void)each, (void)arg, (void)err;
    in(request->rest, "list");
    return 0;
}
static const zvfs_namespace namespace_ = { sizeof namespace_, name_stat, list, NULL };

static const void *ZVFS_CALL extension(const char *id) { return strcmp(id, ZVFS_EXT_NAMESPACE) == 0 ? &namespace_ : NULL; }
static const char *const schemes[] = { NAME, NULL };
static const zvfs_provider provider = { .struct_size = sizeof provider, .name = NAME, .schemes = schemes,
    .supported_flags = ZVFS_OPEN_READ, .threads = ZVFS_THREADS_PER_FILE, .start = start, .open = open_, .close = close_,
    .read = read_, .capabilities = capabilities, .extension = extension };
ZVFS_EXPORT const zvfs_provider *ZVFS_CALL zvfs_provider_v1(void) { return &provider; }
