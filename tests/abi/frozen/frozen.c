/* SPDX-License-Identifier: Apache-2.0
 * A provider that uses every struct and function of version 1. Its binary was built when the version froze, and is loaded by
 * every run of the tests: README.md.
 *
 * `frozen:text` reads as `text`; `frozen:over,<inner>` passes every call on to an inner file; `frozen:wait` waits for ever. */
#include "zvfs_provider.h"
#include <stdlib.h>
#include <string.h>

#ifdef FUTURE
#define TABLE_SIZE sizeof provider
#define MORE_CAPABILITIES (UINT64_C(1) << 50)
#define MORE_FLAGS (UINT64_C(1) << 20) | (UINT64_C(1) << 60)
#else
#ifndef TABLE_SIZE
#define TABLE_SIZE sizeof(zvfs_provider)
#endif
#define MORE_CAPABILITIES 0
#define MORE_FLAGS 0
#endif

struct zvfs_instance {
    const zvfs_host *host;
    const zvfs_host_open *layer;
    int64_t limit;
};

struct zvfs_file {
    zvfs_instance *instance;
    zvfs_context *context;
    zvfs_inner *inner;
    uint64_t at, len;
    int waits;
    char text[256];
};

static int32_t ZVFS_CALL start(const zvfs_host *host, const zvfs_value *const *settings, zvfs_instance **out,
                               zvfs_error *err) {
    zvfs_instance *instance = calloc(1, sizeof *instance);
    if (!instance) return zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
    instance->host = host;
    if (ZVFS_HAS(host, extension)) instance->layer = host->extension(host, ZVFS_EXT_HOST_OPEN);
    for (; *settings; settings++)
        if (strcmp((*settings)->name, "limit") == 0 && (*settings)->type == ZVFS_TYPE_SIZE)
            instance->limit = (*settings)->number;
    host->log(host, ZVFS_LOG_INFO, "frozen starts");
    *out = instance;
    return 0;
}
static void ZVFS_CALL stop(zvfs_instance *instance) { free(instance); }

static int32_t ZVFS_CALL open_(zvfs_instance *instance, const zvfs_open_request *request, zvfs_file **out,
                               zvfs_error *err) {
    const char *text = request->rest;
    if (instance->host->status(request->context) != 0 || instance->host->time_left(request->context) == 0)
        return zvfs_fail(err, ZVFS_ECANCELED, "open %s: stopped", request->shown);
    for (const zvfs_value *const *setting = request->settings; *setting; setting++)
        if (strcmp((*setting)->name, "text") == 0) text = (*setting)->text;
    if (strlen(text) > (size_t)instance->limit) return zvfs_fail(err, ZVFS_EFBIG, "open %s: over the limit", request->shown);
    if (strcmp(text, "absent") == 0) return zvfs_fail(err, ZVFS_ENOENT, "open %s: absent", request->shown);
    zvfs_file *file = calloc(1, sizeof *file);
    if (!file) return zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
    file->instance = instance;
    file->context = request->context;
    if (strncmp(text, "over,", 5) == 0) {
        zvfs_inner_request what = { sizeof what, text + 5, request->flags, request->expected_size, NULL };
        int32_t code = zvfs_fail(err, ZVFS_ENOTSUP, "this host opens nothing");
        if (instance->layer) {
            uint64_t supported;
            code = instance->layer->supported_flags(instance->host, request->context, what.descriptor, &supported, err);
            what.flags &= supported;
            if (code == 0) code = instance->layer->open(instance->host, request->context, &what, &file->inner, err);
        }
        if (code != 0) {
            free(file);
            return code;
        }
    }
    strncpy(file->text, text, sizeof file->text - 1);
    file->len = strlen(file->text);
    file->waits = strcmp(text, "wait") == 0;
    *out = file;
    return 0;
}
static void ZVFS_CALL close_(zvfs_file *file) {
    if (file->inner) file->instance->layer->close(file->context, file->inner);
    free(file);
}

#define PASS(call, ...) \
    if (file->inner) return file->instance->layer->call(file->context, file->inner, __VA_ARGS__)

static int32_t ZVFS_CALL finish(zvfs_file *file, uint32_t how, zvfs_error *err) {
    PASS(finish, how, err);
    return how >= ZVFS_FINISH_END && how <= ZVFS_FINISH_DISCARD ? 0 : zvfs_fail(err, ZVFS_EINVAL, "finish: unknown way");
}
static void ZVFS_CALL cancelled(void *arg) { ((zvfs_file *)arg)->waits = 2; }
static int64_t copy(const zvfs_file *file, void *buf, uint64_t n, uint64_t at) {
    if (at > file->len) at = file->len;
    if (n > file->len - at) n = file->len - at;
    memcpy(buf, file->text + at, n);
    return (int64_t)n;
}
static int64_t ZVFS_CALL read_(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    PASS(read, buf, n, err);
    if (file->waits) {
        file->instance->host->on_cancel(file->context, cancelled, file);
        int32_t ended = file->instance->host->wait(file->context, -1, 0, ZVFS_TIME_UNLIMITED);
        file->instance->host->on_cancel(file->context, NULL, NULL);
        return zvfs_fail(err, ended, "read: stopped%s", file->waits == 2 ? " by its function" : "");
    }
    int64_t count = copy(file, buf, n, file->at);
    file->at += (uint64_t)count;
    return count;
}
static int64_t ZVFS_CALL write_(zvfs_file *file, const void *buf, uint64_t n, zvfs_error *err) {
    PASS(write, buf, n, err);
    return zvfs_fail(err, ZVFS_EBADF, "write: not open for writing");
}
static int64_t ZVFS_CALL seek(zvfs_file *file, int64_t offset, uint32_t whence, zvfs_error *err) {
    PASS(seek, offset, whence, err);
    int64_t from = whence == ZVFS_SEEK_CUR ? (int64_t)file->at : whence == ZVFS_SEEK_END ? (int64_t)file->len : 0;
    if (whence > ZVFS_SEEK_END || offset < -from || offset > INT64_MAX - from)
        return zvfs_fail(err, ZVFS_EINVAL, "seek: out of range");
    return (int64_t)(file->at = (uint64_t)(from + offset));
}
static int64_t ZVFS_CALL tell(zvfs_file *file, zvfs_error *err) {
    PASS(tell, err);
    return (int64_t)file->at;
}
static int32_t ZVFS_CALL truncate_(zvfs_file *file, uint64_t size, zvfs_error *err) {
    PASS(truncate, size, err);
    return zvfs_fail(err, ZVFS_ENOTSUP, "truncate: not this file");
}
static int32_t ZVFS_CALL flush(zvfs_file *file, uint32_t level, zvfs_error *err) {
    PASS(flush, level, err);
    return level == ZVFS_FLUSH_PUSH || level == ZVFS_FLUSH_SYNC ? 0 : zvfs_fail(err, ZVFS_EINVAL, "flush: unknown level");
}
static uint64_t ZVFS_CALL capabilities(zvfs_file *file) {
    if (file->inner) return file->instance->layer->capabilities(file->context, file->inner);
    return ZVFS_CAP_READABLE | ZVFS_CAP_SEEKABLE | ZVFS_CAP_POSITIONAL_READ | ZVFS_CAP_STAT | ZVFS_CAP_CANCEL |
           MORE_CAPABILITIES;
}
static int64_t ZVFS_CALL read_at(zvfs_file *file, void *buf, uint64_t n, uint64_t offset, zvfs_error *err) {
    PASS(read_at, buf, n, offset, err);
    return copy(file, buf, n, offset);
}
static int64_t ZVFS_CALL write_at(zvfs_file *file, const void *buf, uint64_t n, uint64_t offset, zvfs_error *err) {
    PASS(write_at, buf, n, offset, err);
    return zvfs_fail(err, ZVFS_ENOTSUP, "write_at: not this file");
}
static void known(zvfs_stat *out, uint64_t size) {
    out->size = size;
    out->modified_ns = 1000000000;
    out->kind = ZVFS_KIND_REGULAR;
    strcpy(out->version, "v1");
}
static int32_t ZVFS_CALL stat_(zvfs_file *file, zvfs_stat *out, zvfs_error *err) {
    PASS(stat, out, err);
    known(out, file->len);
    return 0;
}
static int32_t ZVFS_CALL lease(zvfs_file *file, uint64_t direction, zvfs_lease *out, zvfs_error *err) {
    PASS(lease, direction, out, err);
    return zvfs_fail(err, ZVFS_ENOTSUP, "lease: not this file");
}
static int32_t ZVFS_CALL advance(zvfs_file *file, uint64_t direction, uint64_t n, zvfs_error *err) {
    PASS(advance, direction, n, err);
    return zvfs_fail(err, ZVFS_ENOTSUP, "advance: not this file");
}
static int64_t ZVFS_CALL send_from(zvfs_file *file, int32_t fd, uint64_t offset, uint64_t n, zvfs_error *err) {
    PASS(send_from, fd, offset, n, err);
    return zvfs_fail(err, ZVFS_ENOTSUP, "send_from: not this file");
}
static int64_t ZVFS_CALL receive_into(zvfs_file *file, int32_t fd, uint64_t offset, uint64_t n, zvfs_error *err) {
    PASS(receive_into, fd, offset, n, err);
    return zvfs_fail(err, ZVFS_ENOTSUP, "receive_into: not this file");
}
static int32_t ZVFS_CALL name_stat(zvfs_instance *instance, const zvfs_open_request *request, zvfs_stat *out,
                                   zvfs_error *err) {
    (void)instance, (void)err;
    known(out, strlen(request->rest));
    return 0;
}
static int32_t ZVFS_CALL name_list(zvfs_instance *instance, const zvfs_open_request *request, zvfs_entry_fn each, void *arg,
                                   zvfs_error *err) {
    zvfs_stat stat = { sizeof stat, 0, 0, 0, 0, "" };
    zvfs_entry first = { sizeof first, "first", &stat }, second = { sizeof second, "second", NULL };
    (void)instance, (void)request, (void)err;
    known(&stat, 5);
    if (each(arg, &first) == 0) each(arg, &second);
    return 0;
}
static int32_t ZVFS_CALL name_remove(zvfs_instance *instance, const zvfs_open_request *request, zvfs_error *err) {
    (void)instance;
    return zvfs_fail(err, ZVFS_EROFS, "remove %s: nothing can be", request->shown);
}

/* What a later version may add: more at the end of every struct that this side makes, and values that version 1 lacks. */
#ifdef FUTURE
#define GROWN(type) struct { type known; uint64_t more[16]; }
#define VALUE(grown) (grown).known
#define LAST }, { UINT64_MAX, 1, 2, 3 }
#else
#define GROWN(type) struct { type known; }
#define VALUE(grown) (grown).known
#define LAST }
#endif

static const GROWN(zvfs_positional) positional = { { sizeof positional, read_at, write_at LAST };
static const GROWN(zvfs_stat_extension) stat_extension = { { sizeof stat_extension, stat_ LAST };
static const GROWN(zvfs_namespace) namespace_ = { { sizeof namespace_, name_stat, name_list, name_remove LAST };
static const GROWN(zvfs_fd_extension) fd_extension = { { sizeof fd_extension, lease, advance LAST };
static const GROWN(zvfs_splice) splice = { { sizeof splice, send_from, receive_into LAST };

static const void *ZVFS_CALL extension(const char *id) {
    if (strcmp(id, ZVFS_EXT_POSITIONAL) == 0) return &positional;
    if (strcmp(id, ZVFS_EXT_STAT) == 0) return &stat_extension;
    if (strcmp(id, ZVFS_EXT_NAMESPACE) == 0) return &namespace_;
    if (strcmp(id, ZVFS_EXT_FD) == 0) return &fd_extension;
    return strcmp(id, ZVFS_EXT_SPLICE) == 0 ? &splice : NULL;
}

static const GROWN(zvfs_setting) limit = { { sizeof limit, "limit", "1k", "the longest text", ZVFS_TYPE_SIZE, ZVFS_SCOPE_OPERATOR, 0, 0 LAST };
static const GROWN(zvfs_setting) text = { { sizeof text, "text", NULL, "what to read", ZVFS_TYPE_STRING, ZVFS_SCOPE_OPEN, 0, 0 LAST };
#ifdef FUTURE
static const GROWN(zvfs_setting) later = { { sizeof later, "later", NULL, "of a type to come", 77, ZVFS_SCOPE_OPERATOR, 0, 0 LAST };
static const zvfs_setting *const settings[] = { &VALUE(limit), &VALUE(text), &VALUE(later), NULL };
#else
static const zvfs_setting *const settings[] = { &VALUE(limit), &VALUE(text), NULL };
#endif
static const char *const schemes[] = { NAME, NULL };
static const GROWN(zvfs_provider) provider = { { TABLE_SIZE, NAME, "1.0", "everything of version 1", schemes, settings,
    ZVFS_OPEN_READ | ZVFS_OPEN_WRITE | ZVFS_OPEN_CREATE | ZVFS_OPEN_TRUNCATE | MORE_FLAGS, ZVFS_THREADS_PER_FILE, 0,
    start, stop, open_, finish, close_, read_, write_, seek, tell, truncate_, flush, capabilities, extension LAST };

ZVFS_EXPORT const zvfs_provider *ZVFS_CALL zvfs_provider_v1(void) { return &VALUE(provider); }
