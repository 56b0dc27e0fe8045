/* SPDX-License-Identifier: Apache-2.0
 * `behave:<what>`: a file whose calls break the header's rules in the way that it names, else keep them. */
#include "zvfs_provider.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef THREADS
#define THREADS ZVFS_THREADS_PER_FILE
#endif

struct zvfs_file {
    zvfs_context *context;
    pid_t opener;
    int polls; /* how often interest() was asked */
    char what[256];
};

static const zvfs_host *the_host;
static char the_instance;

static int is(const zvfs_file *file, const char *what) { return strcmp(file->what, what) == 0; }
static int begins(const char *text, const char *start) { return strncmp(text, start, strlen(start)) == 0; }

/* What a call returns whose file says `<prefix><number>`, else `normal`. */
static int64_t number(const zvfs_file *file, const char *prefix, int64_t normal) {
    return begins(file->what, prefix) ? strtoll(file->what + strlen(prefix), NULL, 0) : normal;
}

static int32_t ZVFS_CALL start(const zvfs_host *host, const zvfs_value *const *settings, zvfs_instance **out,
                               zvfs_error *err) {
    const char *how = settings[0] ? settings[0]->text : "";
    the_host = host;
    if (strcmp(how, "log") == 0) {
        host->log(host, ZVFS_LOG_WARNING, "two\nlines and \033[2Jan escape");
        host->log(host, 12345, "an unknown level");
        host->log(host, ZVFS_LOG_ERROR, "\xff is not UTF-8");
    }
    if (strcmp(how, "positive") == 0) return ZVFS_ENOENT;
    if (strcmp(how, "fail") == 0) return zvfs_fail(err, ZVFS_ENOENT, "no key file");
    if (strcmp(how, "null") != 0) *out = (zvfs_instance *)&the_instance;
    return 0;
}

static void count(void *arg) { ++*(int *)arg; }
static int cancels;

static int32_t ZVFS_CALL open_(zvfs_instance *instance, const zvfs_open_request *request, zvfs_file **out,
                               zvfs_error *err) {
    const char *what = request->rest;
    (void)instance;
    if (strcmp(what, "null-file") == 0) return 0;
    if (strcmp(what, "null-file-listening") == 0) {
        the_host->on_cancel(request->context, count, &cancels);
        return 0;
    }
    if (strcmp(what, "no-text") == 0) return -ZVFS_ENOENT;
    if (strcmp(what, "unterminated") == 0) {
        memset(err->message, 'x', sizeof err->message);
        return -ZVFS_ENOENT;
    }
    if (strcmp(what, "not-utf8") == 0) {
        memcpy(err->message, "caf\xe9 au lait", 13);
        return -ZVFS_ENOENT;
    }
    if (strcmp(what, "control") == 0) return zvfs_fail(err, ZVFS_ENOENT, "a\nb\033[2J\tc");
    if (strcmp(what, "two-codes") == 0) {
        zvfs_fail(err, ZVFS_EEXIST, "the text's code");
        return -ZVFS_ENOENT;
    }
    if (strcmp(what, "huge-error-size") == 0) {
        zvfs_fail(err, ZVFS_ENOENT, "sizes do not matter");
        err->struct_size = UINT64_MAX;
        return -ZVFS_ENOENT;
    }
    if (strcmp(what, "retryable") == 0) {
        zvfs_fail(err, ZVFS_EBUSY, "later");
        err->flags = ZVFS_ERROR_RETRYABLE | 0x80000000u;
        return -ZVFS_EBUSY;
    }
    zvfs_file *file = calloc(1, sizeof *file);
    if (!file) return zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
    file->context = request->context;
    file->opener = getpid();
    strncpy(file->what, what, sizeof file->what - 1);
    *out = file;
    return (int32_t)number(file, "open=", 0);
}

static void ZVFS_CALL close_(zvfs_file *file) {
    /* A child must not close what its parent opened. */
    if (file->opener != getpid()) abort();
    free(file);
}

static int64_t ZVFS_CALL read_(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    (void)err;
    if (is(file, "read-more")) return (int64_t)n + 1;
    if (is(file, "cancels")) {
        memcpy(buf, &cancels, sizeof cancels < n ? sizeof cancels : n);
        return 1;
    }
    if (begins(file->what, "stuck/")) { /* deaf to its context: it blocks in the kernel until somebody writes the FIFO */
        int fd = open(file->what + strlen("stuck"), O_RDONLY | O_CLOEXEC);
        char byte = 0;
        int64_t count = fd < 0 ? -ZVFS_EIO : read(fd, &byte, 1);
        close(fd);
        memcpy(buf, &byte, 1);
        return count;
    }
    memset(buf, 'r', n < 3 ? n : 3);
    return number(file, "read=", n < 3 ? (int64_t)n : 3);
}

static int64_t ZVFS_CALL write_(zvfs_file *file, const void *buf, uint64_t n, zvfs_error *err) {
    (void)buf, (void)err;
    if (is(file, "write-more")) return (int64_t)n + 1;
    return number(file, "write=", (int64_t)n);
}

static int64_t ZVFS_CALL seek(zvfs_file *file, int64_t offset, uint32_t whence, zvfs_error *err) {
    (void)whence, (void)err;
    return number(file, "seek=", offset);
}
static int64_t ZVFS_CALL tell(zvfs_file *file, zvfs_error *err) {
    (void)err;
    return number(file, "tell=", 0);
}
static int32_t ZVFS_CALL truncate_(zvfs_file *file, uint64_t size, zvfs_error *err) {
    (void)size, (void)err;
    return (int32_t)number(file, "truncate=", 0);
}
static int32_t ZVFS_CALL flush(zvfs_file *file, uint32_t level, zvfs_error *err) {
    (void)level, (void)err;
    return (int32_t)number(file, "flush=", 0);
}
static int32_t ZVFS_CALL finish(zvfs_file *file, uint32_t how, zvfs_error *err) {
    (void)how, (void)err;
    return (int32_t)number(file, "finish=", 0);
}
static uint64_t ZVFS_CALL capabilities(zvfs_file *file) {
    (void)file;
    return ZVFS_CAP_READABLE | ZVFS_CAP_WRITABLE | ZVFS_CAP_SEEKABLE | ZVFS_CAP_TRUNCATABLE | ZVFS_CAP_POSITIONAL_READ |
           ZVFS_CAP_POSITIONAL_WRITE | ZVFS_CAP_STAT | ZVFS_CAP_FD | ZVFS_CAP_POLL;
}

static int64_t ZVFS_CALL read_at(zvfs_file *file, void *buf, uint64_t n, uint64_t offset, zvfs_error *err) {
    (void)offset;
    return read_(file, buf, n, err);
}
static int64_t ZVFS_CALL write_at(zvfs_file *file, const void *buf, uint64_t n, uint64_t offset, zvfs_error *err) {
    (void)offset;
    return write_(file, buf, n, err);
}
static const zvfs_positional positional = { sizeof positional, read_at, write_at };

static int32_t ZVFS_CALL stat_(zvfs_file *file, zvfs_stat *out, zvfs_error *err) {
    (void)err;
    if (is(file, "odd-stat")) {
        out->struct_size = 3;
        out->kind = 4711;
        out->modified_ns = INT64_MAX;
        out->size = UINT64_MAX - 1;
        memset(out->version, '\xff', sizeof out->version);
    }
    return (int32_t)number(file, "stat=", 0);
}
static const zvfs_stat_extension stat_extension = { sizeof stat_extension, stat_ };

static int32_t ZVFS_CALL lease(zvfs_file *file, uint64_t direction, zvfs_lease *out, zvfs_error *err) {
    (void)direction, (void)err;
    out->fd = (int32_t)number(file, "fd=", 0);
    return (int32_t)number(file, "lease=", 0);
}
static int32_t ZVFS_CALL advance(zvfs_file *file, uint64_t direction, uint64_t n, zvfs_error *err) {
    (void)direction, (void)n, (void)err;
    return (int32_t)number(file, "advance=", 0);
}
static const zvfs_fd_extension fd_extension = { sizeof fd_extension, lease, advance };

static int32_t ZVFS_CALL interest(zvfs_file *file, uint32_t wanted, zvfs_interest *out, zvfs_error *err) {
    (void)wanted, (void)err;
    file->polls++;
    out->ns = ZVFS_TIME_UNLIMITED;
    out->fd = is(file, "fd-moves") && file->polls > 1 ? 1 : is(file, "waits-for-nothing") ? -1 : 0;
    out->events = ZVFS_EVENT_READ | 0x80;
    out->ready = (uint32_t)number(file, "ready=", 0);
    return (int32_t)number(file, "interest=", 0);
}
static int64_t ZVFS_CALL try_read(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    (void)buf, (void)err;
    if (is(file, "read-more")) return (int64_t)n + 1;
    return number(file, "try=", -ZVFS_EAGAIN);
}
static int64_t ZVFS_CALL try_write(zvfs_file *file, const void *buf, uint64_t n, zvfs_error *err) {
    (void)buf, (void)err;
    if (is(file, "write-more")) return (int64_t)n + 1;
    return number(file, "try=", -ZVFS_EAGAIN);
}
static int32_t ZVFS_CALL try_finish(zvfs_file *file, uint32_t how, zvfs_error *err) {
    (void)how, (void)err;
    return (int32_t)number(file, "try=", -ZVFS_EAGAIN);
}
static const zvfs_poll poll_ = { sizeof poll_, interest, try_read, try_write, try_finish };

static int32_t ZVFS_CALL name_stat(zvfs_instance *instance, const zvfs_open_request *request, zvfs_stat *out,
                                   zvfs_error *err) {
    (void)instance, (void)request, (void)out, (void)err;
    return 0;
}
static int32_t ZVFS_CALL list(zvfs_instance *instance, const zvfs_open_request *request, zvfs_entry_fn each, void *arg,
                              zvfs_error *err) {
    static const char *const names[] = { "good", "", ".", "..", "a/b", "\xff", NULL, "also" };
    (void)instance, (void)request, (void)err;
    each(arg, NULL);
    for (size_t at = 0; at < sizeof names / sizeof *names; at++) {
        zvfs_entry entry = { sizeof entry, names[at], NULL };
        each(arg, &entry); /* whatever it answers */
    }
    return 0;
}
static const zvfs_namespace namespace_ = { sizeof namespace_, name_stat, list, NULL };

static int32_t ZVFS_CALL list_names(zvfs_instance *instance, const zvfs_open_request *request, zvfs_name_fn each, void *arg,
                                    zvfs_error *err) {
    static const zvfs_name names[] = {
#define NAME_OF(bytes, length) { sizeof(zvfs_name), bytes, length, NULL }
        NAME_OF("good", 4), NAME_OF("", 0), NAME_OF(".", 1), NAME_OF("..", 2), NAME_OF("a/b", 3), NAME_OF("a\0b", 3),
        NAME_OF("\xff", 1), NAME_OF(NULL, 5), NAME_OF("x", UINT64_MAX), { 24, "small", 5, NULL }, NAME_OF("also, cut", 4),
    };
    (void)instance, (void)request, (void)err;
    each(arg, NULL);
    for (size_t at = 0; at < sizeof names / sizeof *names; at++) each(arg, &names[at]); /* whatever it answers */
    return 0;
}
static const zvfs_names names_ = { sizeof names_, list_names };

static const void *ZVFS_CALL extension(const char *id) {
    if (strcmp(id, ZVFS_EXT_POSITIONAL) == 0) return &positional;
    if (strcmp(id, ZVFS_EXT_NAMES) == 0) return &names_;
    if (strcmp(id, ZVFS_EXT_STAT) == 0) return &stat_extension;
    if (strcmp(id, ZVFS_EXT_FD) == 0) return &fd_extension;
    if (strcmp(id, ZVFS_EXT_POLL) == 0) return &poll_;
    return strcmp(id, ZVFS_EXT_NAMESPACE) == 0 ? &namespace_ : NULL;
}

static const zvfs_setting how_to_start = { sizeof how_to_start, "start", NULL, NULL, ZVFS_TYPE_STRING,
                                           ZVFS_SCOPE_OPERATOR, 0, 0 };
static const zvfs_setting *const settings[] = { &how_to_start, NULL };
static const char *const schemes[] = { NAME, NULL };
static const zvfs_provider provider = { .struct_size = sizeof provider, .name = NAME, .schemes = schemes,
    .settings = settings, .supported_flags = ZVFS_OPEN_READ | ZVFS_OPEN_WRITE, .threads = THREADS, .start = start,
    .open = open_, .finish = finish, .close = close_, .read = read_, .write = write_, .seek = seek, .tell = tell,
    .truncate = truncate_, .flush = flush, .capabilities = capabilities, .extension = extension };
ZVFS_EXPORT const zvfs_provider *ZVFS_CALL zvfs_provider_v1(void) { return &provider; }
