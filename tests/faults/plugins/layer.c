/* SPDX-License-Identifier: Apache-2.0
 * `<NAME>:<how>,<inner>`: a layer in C that passes every call on to its inner file, but for what <how> says. */
#include "zvfs_provider.h"
#include <stdlib.h>
#include <string.h>

struct zvfs_file {
    zvfs_context *context;
    zvfs_inner *inner;
    char how[32];
};

static const zvfs_host *host;
static const zvfs_host_open *layer;
static char the_instance;
/* The context of the last file: another one than the next file's. */
static zvfs_context *last;

static int is(const zvfs_file *file, const char *how) { return strcmp(file->how, how) == 0; }

static int32_t open_inner(zvfs_context *context, const char *descriptor, uint64_t flags, uint64_t size, zvfs_inner **out,
                          zvfs_error *err) {
    zvfs_inner_request request = { sizeof request, descriptor, flags, size, NULL };
    return layer->open(host, context, &request, out, err);
}

static int32_t ZVFS_CALL start(const zvfs_host *given, const zvfs_value *const *settings, zvfs_instance **out,
                               zvfs_error *err) {
    zvfs_inner *inner;
    host = given;
    layer = given->extension(given, ZVFS_EXT_HOST_OPEN);
    if (!layer || !ZVFS_HAS(layer, set_modified)) return zvfs_fail(err, ZVFS_ENOTSUP, "this host opens nothing");
    if (settings[0]) return open_inner(NULL, settings[0]->text, ZVFS_OPEN_READ, ZVFS_SIZE_UNKNOWN, &inner, err);
    *out = (zvfs_instance *)&the_instance;
    return 0;
}

static int32_t misuse(const zvfs_open_request *request, zvfs_inner *inner, zvfs_error *err) {
    zvfs_context *context = request->context;
    zvfs_stat small = { sizeof small - 1, 0, 0, 0, 0, "" };
    zvfs_inner_request what = { sizeof what - 1, "mem:x", ZVFS_OPEN_READ, 0, NULL };
    zvfs_inner *out = NULL;
    char byte;
    int wrong = 0;
    wrong += layer->open(NULL, context, &what, &out, NULL) != -ZVFS_EINVAL;
    wrong += layer->open(host, NULL, &what, &out, NULL) != -ZVFS_EINVAL;
    wrong += layer->open(host, context, NULL, &out, NULL) != -ZVFS_EINVAL;
    wrong += layer->open(host, context, &what, &out, NULL) != -ZVFS_EINVAL; /* too small */
    what.struct_size = sizeof what;
    what.descriptor = NULL;
    wrong += layer->open(host, context, &what, &out, NULL) != -ZVFS_EINVAL;
    what.descriptor = "no descriptor";
    wrong += layer->open(host, context, &what, &out, NULL) != -ZVFS_EINVAL;
    wrong += out != NULL;
    wrong += layer->read(context, NULL, &byte, 1, NULL) != -ZVFS_EINVAL;
    wrong += layer->read(context, inner, NULL, 1, NULL) != -ZVFS_EFAULT;
    wrong += layer->read(NULL, inner, &byte, 1, NULL) != -ZVFS_EINVAL;
    wrong += layer->read(last, inner, &byte, 1, NULL) != -ZVFS_EINVAL;
    wrong += layer->seek(context, inner, 0, 77, NULL) != -ZVFS_EINVAL;
    wrong += layer->flush(context, inner, 77, NULL) != -ZVFS_EINVAL;
    wrong += layer->finish(context, inner, 77, NULL) != -ZVFS_EINVAL;
    wrong += layer->stat(context, inner, NULL, NULL) != -ZVFS_EINVAL;
    wrong += layer->stat(context, inner, &small, NULL) != -ZVFS_EINVAL;
    wrong += layer->lease(context, inner, ZVFS_OPEN_READ, NULL, NULL) != -ZVFS_EINVAL;
    wrong += layer->capabilities(context, NULL) != 0;
    layer->close(context, NULL);
    return wrong ? zvfs_fail(err, ZVFS_EIO, "%d misuses were taken", wrong) : 0;
}

static int32_t ZVFS_CALL open_(zvfs_instance *instance, const zvfs_open_request *request, zvfs_file **out,
                               zvfs_error *err) {
    const char *comma = strchr(request->rest, ',');
    int32_t code;
    (void)instance;
    if (!comma) return zvfs_fail(err, ZVFS_EINVAL, "write %s:how,inner", NAME);
    zvfs_file *file = calloc(1, sizeof *file);
    if (!file) return zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
    file->context = request->context;
    memcpy(file->how, request->rest, (size_t)(comma - request->rest) % sizeof file->how);
    const char *descriptor = is(file, "self") ? request->descriptor : comma + 1;
    if (is(file, "flags")) { /* says in an error which flags the inner one takes */
        uint64_t flags = 0;
        code = layer->supported_flags(host, request->context, descriptor, &flags, err);
        if (code == 0) code = zvfs_fail(err, ZVFS_EIO, "flags %llx", (unsigned long long)flags);
        free(file);
        return code;
    }
    code = open_inner(request->context, descriptor, request->flags, request->expected_size, &file->inner, err);
    if (code == 0 && is(file, "misuse")) code = misuse(request, file->inner, err);
    if (code == 0 && is(file, "own-text")) { /* what a later failure of the inner file says must not take the place of this */
        char byte;
        code = zvfs_fail(err, ZVFS_EPROTO, "the layer's own words");
        layer->write(file->context, file->inner, &byte, 1, NULL);
        layer->read_at(file->context, file->inner, &byte, 1, UINT64_MAX, NULL);
    }
    if (code != 0) {
        layer->close(request->context, file->inner);
        free(file);
        return code;
    }
    last = request->context;
    *out = file;
    return 0;
}
static void ZVFS_CALL close_(zvfs_file *file) {
    if (!is(file, "leak")) layer->close(file->context, file->inner);
    free(file);
}
static int32_t ZVFS_CALL finish(zvfs_file *file, uint32_t how, zvfs_error *err) {
    int32_t code = layer->finish(file->context, file->inner, how, err);
#ifdef CRASHES_AFTER_COMMIT
    static int commits;
    if (how == ZVFS_FINISH_COMMIT && ++commits > 2) abort();
#endif
    return code;
}
static int64_t ZVFS_CALL read_(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    return layer->read(file->context, file->inner, buf, n, err);
}
/* A layer that changes bytes: what is written comes back in capital letters. */
static char *capitals(const void *buf, uint64_t n) {
    char *bytes = malloc(n);
    for (uint64_t i = 0; bytes && i < n; i++) {
        char byte = ((const char *)buf)[i];
        bytes[i] = byte >= 'a' && byte <= 'z' ? (char)(byte - 'a' + 'A') : byte;
    }
    return bytes;
}
static int64_t ZVFS_CALL write_(zvfs_file *file, const void *buf, uint64_t n, zvfs_error *err) {
    char *bytes = is(file, "capitals") ? capitals(buf, n) : NULL;
    int64_t count = layer->write(file->context, file->inner, bytes ? bytes : buf, n, err);
    free(bytes);
    return count;
}
static int64_t ZVFS_CALL seek(zvfs_file *file, int64_t offset, uint32_t whence, zvfs_error *err) {
    return layer->seek(file->context, file->inner, offset, whence, err);
}
static int64_t ZVFS_CALL tell(zvfs_file *file, zvfs_error *err) { return layer->tell(file->context, file->inner, err); }
static int32_t ZVFS_CALL truncate_(zvfs_file *file, uint64_t size, zvfs_error *err) {
    return layer->truncate(file->context, file->inner, size, err);
}
static int32_t ZVFS_CALL flush(zvfs_file *file, uint32_t level, zvfs_error *err) {
    return layer->flush(file->context, file->inner, level, err);
}
static uint64_t ZVFS_CALL capabilities(zvfs_file *file) {
    uint64_t inner = layer->capabilities(file->context, file->inner);
    return is(file, "capitals") ? inner & ~(ZVFS_CAP_FD | ZVFS_CAP_SPLICE | ZVFS_CAP_POLL) : inner;
}
static int64_t ZVFS_CALL read_at(zvfs_file *file, void *buf, uint64_t n, uint64_t offset, zvfs_error *err) {
    return layer->read_at(file->context, file->inner, buf, n, offset, err);
}
static int64_t ZVFS_CALL write_at(zvfs_file *file, const void *buf, uint64_t n, uint64_t offset, zvfs_error *err) {
    char *bytes = is(file, "capitals") ? capitals(buf, n) : NULL;
    int64_t count = layer->write_at(file->context, file->inner, bytes ? bytes : buf, n, offset, err);
    free(bytes);
    return count;
}
static int32_t ZVFS_CALL stat_(zvfs_file *file, zvfs_stat *out, zvfs_error *err) {
    return layer->stat(file->context, file->inner, out, err);
}
static int32_t ZVFS_CALL lease(zvfs_file *file, uint64_t direction, zvfs_lease *out, zvfs_error *err) {
    if (is(file, "capitals")) return zvfs_fail(err, ZVFS_ENOTSUP, "lease: the bytes beneath are others");
    return layer->lease(file->context, file->inner, direction, out, err);
}
static int32_t ZVFS_CALL advance(zvfs_file *file, uint64_t direction, uint64_t n, zvfs_error *err) {
    if (is(file, "capitals")) return zvfs_fail(err, ZVFS_ENOTSUP, "advance: nothing was lent");
    return layer->advance(file->context, file->inner, direction, n, err);
}
static int64_t ZVFS_CALL send_from(zvfs_file *file, int32_t fd, uint64_t offset, uint64_t n, zvfs_error *err) {
    return layer->send_from(file->context, file->inner, fd, offset, n, err);
}
static int64_t ZVFS_CALL receive_into(zvfs_file *file, int32_t fd, uint64_t offset, uint64_t n, zvfs_error *err) {
    return layer->receive_into(file->context, file->inner, fd, offset, n, err);
}
static int32_t ZVFS_CALL interest(zvfs_file *file, uint32_t wanted, zvfs_interest *out, zvfs_error *err) {
    return layer->interest(file->context, file->inner, wanted, out, err);
}
static int64_t ZVFS_CALL try_read(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    return layer->try_read(file->context, file->inner, buf, n, err);
}
static int64_t ZVFS_CALL try_write(zvfs_file *file, const void *buf, uint64_t n, zvfs_error *err) {
    return layer->try_write(file->context, file->inner, buf, n, err);
}
static int32_t ZVFS_CALL try_finish(zvfs_file *file, uint32_t how, zvfs_error *err) {
    return layer->try_finish(file->context, file->inner, how, err);
}
/* What is to be asked of the inner provider: what follows the comma. */
static zvfs_inner_request named(const zvfs_open_request *request) {
    const char *comma = strchr(request->rest, ',');
    zvfs_inner_request what = { sizeof what, comma ? comma + 1 : "", 0, ZVFS_SIZE_UNKNOWN, NULL };
    return what;
}
static int32_t ZVFS_CALL name_stat(zvfs_instance *instance, const zvfs_open_request *request, zvfs_stat *out,
                                   zvfs_error *err) {
    zvfs_inner_request what = named(request);
    (void)instance;
    if (layer->name_stat(host, request->context, &what, NULL, NULL) != -ZVFS_EINVAL) return zvfs_fail(err, ZVFS_EIO, "NULL");
    return layer->name_stat(host, request->context, &what, out, err);
}
static int32_t ZVFS_CALL name_list(zvfs_instance *instance, const zvfs_open_request *request, zvfs_entry_fn each, void *arg,
                                   zvfs_error *err) {
    zvfs_inner_request what = named(request);
    (void)instance;
    if (layer->name_list(host, request->context, &what, NULL, arg, NULL) != -ZVFS_EINVAL)
        return zvfs_fail(err, ZVFS_EIO, "NULL");
    return layer->name_list(host, request->context, &what, each, arg, err);
}
static int32_t ZVFS_CALL name_remove(zvfs_instance *instance, const zvfs_open_request *request, zvfs_error *err) {
    zvfs_inner_request what = named(request);
    (void)instance;
    return layer->name_remove(host, request->context, &what, err);
}
static int32_t ZVFS_CALL names_list(zvfs_instance *instance, const zvfs_open_request *request, zvfs_name_fn each, void *arg,
                                    zvfs_error *err) {
    zvfs_inner_request what = named(request);
    (void)instance;
    if (layer->names_list(host, request->context, &what, NULL, arg, NULL) != -ZVFS_EINVAL)
        return zvfs_fail(err, ZVFS_EIO, "NULL");
    return layer->names_list(host, request->context, &what, each, arg, err);
}
static int32_t ZVFS_CALL folder_make(zvfs_instance *instance, const zvfs_open_request *request, zvfs_error *err) {
    zvfs_inner_request what = named(request);
    (void)instance;
    return layer->folder_make(host, request->context, &what, err);
}
static int32_t ZVFS_CALL folder_remove(zvfs_instance *instance, const zvfs_open_request *request, zvfs_error *err) {
    zvfs_inner_request what = named(request);
    (void)instance;
    return layer->folder_remove(host, request->context, &what, err);
}
static int32_t ZVFS_CALL name_set_modified(zvfs_instance *instance, const zvfs_open_request *request, int64_t modified_ns,
                                           zvfs_error *err) {
    zvfs_inner_request what = named(request);
    (void)instance;
    if (layer->name_set_modified(host, request->context, &what, ZVFS_TIME_UNKNOWN, NULL) != -ZVFS_EINVAL)
        return zvfs_fail(err, ZVFS_EIO, "no time");
    return layer->name_set_modified(host, request->context, &what, modified_ns, err);
}
static int32_t ZVFS_CALL set_modified(zvfs_file *file, int64_t modified_ns, zvfs_error *err) {
    if (layer->set_modified(file->context, file->inner, ZVFS_TIME_UNKNOWN, NULL) != -ZVFS_EINVAL)
        return zvfs_fail(err, ZVFS_EIO, "no time");
    return layer->set_modified(file->context, file->inner, modified_ns, err);
}
static const void *ZVFS_CALL extension(const char *id) {
    static const zvfs_namespace names = { sizeof names, name_stat, name_list, name_remove };
    static const zvfs_names bytes = { sizeof bytes, names_list };
    static const zvfs_folders folders = { sizeof folders, folder_make, folder_remove };
    static const zvfs_times times = { sizeof times, set_modified, name_set_modified };
    static const zvfs_positional positional = { sizeof positional, read_at, write_at };
    static const zvfs_stat_extension stat = { sizeof stat, stat_ };
    static const zvfs_fd_extension fd = { sizeof fd, lease, advance };
    static const zvfs_splice splice = { sizeof splice, send_from, receive_into };
    static const zvfs_poll poll = { sizeof poll, interest, try_read, try_write, try_finish };
    if (strcmp(id, ZVFS_EXT_POSITIONAL) == 0) return &positional;
    if (strcmp(id, ZVFS_EXT_STAT) == 0) return &stat;
    if (strcmp(id, ZVFS_EXT_SPLICE) == 0) return &splice;
    if (strcmp(id, ZVFS_EXT_POLL) == 0) return &poll;
#ifndef NAMELESS
    if (strcmp(id, ZVFS_EXT_NAMESPACE) == 0) return &names;
    if (strcmp(id, ZVFS_EXT_NAMES) == 0) return &bytes;
#ifndef FOLDERLESS
    if (strcmp(id, ZVFS_EXT_FOLDERS) == 0) return &folders;
#endif
    if (strcmp(id, ZVFS_EXT_TIMES) == 0) return &times;
#endif
    (void)names, (void)bytes, (void)folders, (void)times; /* in every build */
    return strcmp(id, ZVFS_EXT_FD) == 0 ? &fd : NULL;
}
static const zvfs_setting at_start = { sizeof at_start, "at-start", NULL, "a descriptor to open in start", ZVFS_TYPE_STRING,
                                       ZVFS_SCOPE_OPERATOR, 0, 0 };
static const zvfs_setting *const settings[] = { &at_start, NULL };
static const char *const schemes[] = { NAME, NULL };
static const zvfs_provider provider = { .struct_size = sizeof provider, .name = NAME, .schemes = schemes,
    .settings = settings, .supported_flags = 0xff, .start = start, .open = open_, .finish = finish, .close = close_,
    .read = read_, .write = write_, .seek = seek, .tell = tell, .truncate = truncate_, .flush = flush,
    .capabilities = capabilities, .extension = extension };
ZVFS_EXPORT const zvfs_provider *ZVFS_CALL zvfs_provider_v1(void) { return &provider; }
