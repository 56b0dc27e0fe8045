/* SPDX-License-Identifier: Apache-2.0 */
#include "provider.h"
#include "call.h"
#include "errand.h"
#include "log.h"
#include "module.h"
#include "target.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct zvfs_instance {
    const zvfs_host *host;
};

struct zvfs_file {
    const zvfs_host *host;
    zvfs_context *context;
    struct call *call;
    enum target_kind kind;
    bool readable, writable;
    /* Of a key and an argument. A key that is written has a content of its own until it is complete. */
    pthread_mutex_t lock; /* calls with an offset may overlap */
    struct bytes *content, own;
    uint64_t position;
    bool appends;
    bool is_changed; /* a key has to be written: it began empty, or what it kept was changed */
    struct key *key;
    struct log log;
};

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

static struct call *call_of(const zvfs_open_request *request) {
    for (const zvfs_value *const *each = request->settings; *each; each++)
        if (strcmp((*each)->name, "job") == 0) return call_find(strtoull((*each)->text, NULL, 10));
    return NULL;
}

/* Reads all keys of the call, once, so that their values are of one moment. */
static int32_t read_keys(zvfs_file *file, zvfs_error *err) {
    if (file->call->keys.are_read) return 0;
    return errand_run(file->call, keys_read, file->host, file->context, err);
}

static int32_t open_key(zvfs_file *file, const zvfs_open_request *request, size_t number, bool may_be_absent, zvfs_error *err) {
    struct keys *keys = &file->call->keys;
    bool keeps = !(request->flags & (ZVFS_OPEN_TRUNCATE | ZVFS_OPEN_ATOMIC)); /* the old content is part of the new one */
    int32_t code;
    if (number > keys->count)
        return zvfs_fail(err, ZVFS_ENOENT, "open %s: the call was given %zu keys", request->shown, keys->count);
    file->key = &keys->list[number - 1];
    if (file->writable && keys->read_only)
        return zvfs_fail(err, ZVFS_EROFS, "open %s: zvm.call_ro writes no keys", request->shown);
    if (file->writable && file->key->open_for_writing)
        return zvfs_fail(err, ZVFS_EBUSY, "open %s: another channel writes this key", request->shown);
    if ((code = read_keys(file, err))) return code;
    if (file->key->state == KEY_OF_OTHER_TYPE)
        return zvfs_fail(err, ZVFS_EINVAL, "open %s: the key holds something else than a string", request->shown);
    if (file->readable || keeps) {
        if (file->key->state == KEY_TOO_LARGE)
            return zvfs_fail(err, ZVFS_EFBIG, "open %s: the value has more than value-limit's %lld bytes", request->shown,
                             module.options.value_limit);
        if (file->key->state == KEY_ABSENT && !may_be_absent && !(request->flags & ZVFS_OPEN_CREATE))
            return zvfs_fail(err, ZVFS_ENOENT, "open %s: the key does not exist", request->shown);
        file->key->was_read = true;
    }
    file->content = &file->key->value;
    if (!file->writable) return 0;
    file->is_changed = !keeps;
    if (keeps && !bytes_copy(&file->own, file->key->value.data, file->key->value.size))
        return zvfs_fail(err, ZVFS_ENOMEM, "open %s: out of memory", request->shown);
    file->content = &file->own;
    file->key->open_for_writing = true;
    return 0;
}

static int32_t open_target(zvfs_file *file, const zvfs_open_request *request, const struct target *target, size_t number,
                           zvfs_error *err) {
    struct call *call = file->call;
    switch (target->kind) {
        case TARGET_KEY: return open_key(file, request, number, target->may_be_absent, err);
        case TARGET_ARGUMENT:
            if (number > call->argument_count)
                return zvfs_fail(err, ZVFS_ENOENT, "open %s: the call was given %zu arguments", request->shown, call->argument_count);
            file->content = number ? &call->arguments[number - 1] : &file->own;
            return 0;
        case TARGET_REPLY:
            if (call->form != REPLY_NONE)
                return zvfs_fail(err, ZVFS_EBUSY, "open %s: another channel writes the reply", request->shown);
            call->form = target->form;
            return 0;
        case TARGET_LOG: return 0;
    }
    return 0;
}

static void free_file(zvfs_file *file) {
    pthread_mutex_destroy(&file->lock);
    bytes_free(&file->own);
    call_release(file->call);
    free(file);
}

static int32_t ZVFS_CALL provider_open(zvfs_instance *instance, const zvfs_open_request *request, zvfs_file **out, zvfs_error *err) {
    const uint64_t both = ZVFS_OPEN_READ | ZVFS_OPEN_WRITE;
    size_t number = 0;
    const struct target *target = target_of(request->rest, &number);
    uint64_t wanted = request->flags & both;
    zvfs_file *file;
    int32_t code;
    if (!target) return zvfs_fail(err, ZVFS_EINVAL, "open %s: write " TARGETS, request->shown);
    if (!wanted) wanted = target->directions & ZVFS_OPEN_READ ? ZVFS_OPEN_READ : ZVFS_OPEN_WRITE;
    if (wanted & ~target->directions)
        return zvfs_fail(err, ZVFS_EBADF, "open %s: it can only be %s", request->shown,
                         target->directions & ZVFS_OPEN_READ ? "read" : "written");
    file = calloc(1, sizeof *file);
    if (!file) return zvfs_fail(err, ZVFS_ENOMEM, "open %s: out of memory", request->shown);
    file->call = call_of(request);
    if (!file->call) {
        free(file);
        return zvfs_fail(err, ZVFS_ENOENT, "open %s: no call of redis's runs here", request->shown);
    }
    pthread_mutex_init(&file->lock, NULL);
    file->host = instance->host;
    file->context = request->context;
    file->kind = target->kind;
    file->readable = wanted & ZVFS_OPEN_READ;
    file->writable = wanted & ZVFS_OPEN_WRITE;
    file->appends = request->flags & ZVFS_OPEN_APPEND;
    if ((code = open_target(file, request, target, number, err))) {
        free_file(file);
        return code;
    }
    *out = file;
    return 0;
}

static int32_t ZVFS_CALL provider_start(const zvfs_host *host, const zvfs_value *const *settings, zvfs_instance **out,
                                        zvfs_error *err) {
    zvfs_instance *instance = malloc(sizeof *instance);
    (void)settings;
    if (!instance) return zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
    instance->host = host;
    *out = instance;
    return 0;
}

static void ZVFS_CALL provider_stop(zvfs_instance *instance) { free(instance); }

static void ZVFS_CALL provider_close(zvfs_file *file) {
    if (file->kind == TARGET_KEY && file->writable) {
        /* Complete, and not committed: it leaves no trace. */
        file->key->has_next = false;
        bytes_free(&file->key->next);
        file->key->open_for_writing = false;
    }
    if (file->kind == TARGET_LOG) log_end(&file->log, file->call);
    free_file(file);
}

static uint64_t ZVFS_CALL provider_capabilities(zvfs_file *file) {
    uint64_t can = ZVFS_CAP_STAT | ZVFS_CAP_CANCEL;
    if (file->readable) can |= ZVFS_CAP_READABLE;
    if (file->writable) can |= ZVFS_CAP_WRITABLE;
    if (!file->content) return can; /* a stream */
    can |= ZVFS_CAP_SEEKABLE;
    if (file->readable) can |= ZVFS_CAP_POSITIONAL_READ;
    if (file->writable) can |= ZVFS_CAP_POSITIONAL_WRITE | ZVFS_CAP_TRUNCATABLE;
    return can;
}

/* ---- Content ---------------------------------------------------------------------------------------------------- */

static int64_t ZVFS_CALL read_at(zvfs_file *file, void *buf, uint64_t n, uint64_t offset, zvfs_error *err) {
    size_t count;
    (void)err;
    pthread_mutex_lock(&file->lock);
    count = bytes_read(file->content, offset, buf, n);
    pthread_mutex_unlock(&file->lock);
    return (int64_t)count;
}

static int64_t ZVFS_CALL write_at(zvfs_file *file, const void *buf, uint64_t n, uint64_t offset, zvfs_error *err) {
    uint64_t limit = (uint64_t)module.options.value_limit;
    bool written;
    pthread_mutex_lock(&file->lock);
    written = bytes_write(&file->own, offset, buf, (size_t)n, limit);
    file->is_changed = true;
    pthread_mutex_unlock(&file->lock);
    if (written) return (int64_t)n;
    return zvfs_fail(err, ZVFS_EFBIG, "write a key: over value-limit's %" PRIu64 " bytes, or out of memory", limit);
}

static int64_t ZVFS_CALL provider_read(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    int64_t count = read_at(file, buf, n, file->position, err);
    file->position += (uint64_t)count;
    return count;
}

static int64_t ZVFS_CALL provider_write(zvfs_file *file, const void *buf, uint64_t n, zvfs_error *err) {
    struct bytes *reply = &file->call->reply;
    uint64_t limit = (uint64_t)module.options.value_limit;
    int64_t count;
    switch (file->kind) {
        case TARGET_LOG: log_write(&file->log, file->call, buf, (size_t)n); return (int64_t)n;
        case TARGET_REPLY:
            if (bytes_write(reply, reply->size, buf, (size_t)n, limit)) return (int64_t)n;
            return zvfs_fail(err, ZVFS_EFBIG, "write the reply: over value-limit's %" PRIu64 " bytes, or out of memory", limit);
        default: break;
    }
    if (file->appends) file->position = file->own.size;
    count = write_at(file, buf, n, file->position, err);
    if (count > 0) file->position += (uint64_t)count;
    return count;
}

static int64_t ZVFS_CALL provider_seek(zvfs_file *file, int64_t offset, uint32_t whence, zvfs_error *err) {
    int64_t from = whence == ZVFS_SEEK_SET ? 0 : whence == ZVFS_SEEK_CUR ? (int64_t)file->position : (int64_t)file->content->size;
    if (offset > INT64_MAX - from || from + offset < 0) return zvfs_fail(err, ZVFS_EINVAL, "seek to %" PRId64 ": out of range", offset);
    file->position = (uint64_t)(from + offset);
    return (int64_t)file->position;
}

static int64_t ZVFS_CALL provider_tell(zvfs_file *file, zvfs_error *err) {
    (void)err;
    return (int64_t)file->position;
}

static int32_t ZVFS_CALL provider_truncate(zvfs_file *file, uint64_t size, zvfs_error *err) {
    uint64_t limit = (uint64_t)module.options.value_limit;
    file->is_changed = true;
    if (bytes_resize(&file->own, size, limit)) return 0;
    return zvfs_fail(err, ZVFS_EFBIG, "truncate a key: over value-limit's %" PRIu64 " bytes, or out of memory", limit);
}

/* A key that is only written is none of the files whose COMMIT is a mere rename, which a host leaves for the end: a conflict may
 * refuse it, and then none of them may be there. */
static int32_t ZVFS_CALL provider_stat(zvfs_file *file, zvfs_stat *out, zvfs_error *err) {
    bool is_output = file->kind == TARGET_KEY && !file->readable;
    (void)err;
    out->kind = is_output ? ZVFS_KIND_UNKNOWN : file->content ? ZVFS_KIND_REGULAR : ZVFS_KIND_STREAM;
    if (file->content) out->size = file->content->size;
    return 0;
}

/* ---- The end ---------------------------------------------------------------------------------------------------- */

/* All channels get END before the first gets COMMIT, so the first COMMIT of a key finds the complete values of all, and writes them
 * together. */
static int32_t finish_key(zvfs_file *file, uint32_t how, zvfs_error *err) {
    struct key *key = file->key;
    if (how == ZVFS_FINISH_DISCARD) {
        key->has_next = false;
        bytes_free(&key->next);
        return 0;
    }
    if (file->writable && file->is_changed) {
        key->next = file->own;
        key->has_next = true;
        file->own = (struct bytes){0};
        file->writable = false;
    }
    if (how != ZVFS_FINISH_COMMIT || !key->has_next) return 0;
    return errand_run(file->call, keys_write, file->host, file->context, err);
}

/* A reply is looked at before the first COMMIT: one that is none fails the session, and no key is written. */
static int32_t finish_reply(struct call *call, uint32_t how, zvfs_error *err) {
    if (how == ZVFS_FINISH_DISCARD) bytes_free(&call->reply);
    if (how != ZVFS_FINISH_END || call->form != REPLY_RESP || reply_check(&call->reply, &call->fault)) return 0;
    return zvfs_fail(err, ZVFS_EINVAL, "malformed reply: %s", call->fault.text);
}

static int32_t ZVFS_CALL provider_finish(zvfs_file *file, uint32_t how, zvfs_error *err) {
    switch (file->kind) {
        case TARGET_KEY: return finish_key(file, how, err);
        case TARGET_REPLY: return finish_reply(file->call, how, err);
        default: return 0;
    }
}

/* ---- The table -------------------------------------------------------------------------------------------------- */

static const zvfs_positional positional = {.struct_size = sizeof positional, .read_at = read_at, .write_at = write_at};
static const zvfs_stat_extension status = {.struct_size = sizeof status, .stat = provider_stat};

static const void *ZVFS_CALL provider_extension(const char *id) {
    if (strcmp(id, ZVFS_EXT_POSITIONAL) == 0) return &positional;
    if (strcmp(id, ZVFS_EXT_STAT) == 0) return &status;
    return NULL;
}

static const char *const schemes[] = {"redis", NULL};

static const zvfs_setting job = {.struct_size = sizeof job,
                                 .name = "job",
                                 .help = "the call's id, which the module gives",
                                 .type = ZVFS_TYPE_STRING,
                                 .scope = ZVFS_SCOPE_OPEN};
static const zvfs_setting *const settings[] = {&job, NULL};

const zvfs_provider redis_provider = {
    .struct_size = sizeof redis_provider,
    .name = "redis",
    .version = "1",
    .summary = "the keys, arguments, reply and log of a call of ZVM.CALL",
    .schemes = schemes,
    .settings = settings,
    .supported_flags = ZVFS_OPEN_READ | ZVFS_OPEN_WRITE | ZVFS_OPEN_CREATE | ZVFS_OPEN_TRUNCATE | ZVFS_OPEN_APPEND | ZVFS_OPEN_ATOMIC,
    .threads = ZVFS_THREADS_PER_FILE,
    .start = provider_start,
    .stop = provider_stop,
    .open = provider_open,
    .finish = provider_finish,
    .close = provider_close,
    .read = provider_read,
    .write = provider_write,
    .seek = provider_seek,
    .tell = provider_tell,
    .truncate = provider_truncate,
    .capabilities = provider_capabilities,
    .extension = provider_extension,
};
