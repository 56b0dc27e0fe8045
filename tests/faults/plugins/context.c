/* SPDX-License-Identifier: Apache-2.0
 * `context:<what>`: each read asks the host's context one thing, and gives the answer as text. */
#include "zvfs_provider.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct zvfs_file {
    zvfs_context *context;
    int pipe[2];
    atomic_int first, second;
    char what[64];
};

static const zvfs_host *host;
static char the_instance;
/* How often a function has run whose file is closed: its file's memory is gone. */
static atomic_int after_close;

static int32_t ZVFS_CALL start(const zvfs_host *given, const zvfs_value *const *settings, zvfs_instance **out,
                               zvfs_error *err) {
    (void)settings, (void)err;
    host = given;
    *out = (zvfs_instance *)&the_instance;
    return 0;
}

static void ZVFS_CALL add(void *arg) { atomic_fetch_add((atomic_int *)arg, 1); }

static int32_t ZVFS_CALL open_(zvfs_instance *instance, const zvfs_open_request *request, zvfs_file **out,
                               zvfs_error *err) {
    (void)instance;
    if (strncmp(request->rest, "wait-in-open/", 13) == 0) { /* the rest is a FIFO: opened, to show that the wait begins */
        int fd = open(request->rest + 12, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        int32_t ended = host->wait(request->context, -1, 0, ZVFS_TIME_UNLIMITED);
        close(fd);
        return zvfs_fail(err, -ended, "waited in open");
    }
    zvfs_file *file = calloc(1, sizeof *file);
    if (!file || pipe(file->pipe) != 0) return zvfs_fail(err, ZVFS_EMFILE, "no pipe");
    file->context = request->context;
    strncpy(file->what, request->rest, sizeof file->what - 1);
    if (strcmp(file->what, "after-close") == 0) host->on_cancel(file->context, add, &after_close);
    if (strcmp(file->what, "replaced") == 0) {
        host->on_cancel(file->context, add, &file->first);
        host->on_cancel(file->context, add, &file->second);
    }
    if (strcmp(file->what, "withdrawn") == 0) {
        host->on_cancel(file->context, add, &file->first);
        host->on_cancel(file->context, NULL, NULL);
    }
    *out = file;
    return 0;
}
static void ZVFS_CALL close_(zvfs_file *file) {
    close(file->pipe[0]);
    close(file->pipe[1]);
    free(file);
}

static int answer(void *buf, uint64_t n, const char *format, int64_t first, int64_t second) {
    int count = snprintf(buf, n, format, first, second);
    return count < (int)n ? count : (int)n;
}

static int64_t ZVFS_CALL read_(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    zvfs_context *context = file->context;
    const char *what = file->what;
    (void)err;
    if (strcmp(what, "status") == 0) return answer(buf, n, "%" PRId64, host->status(context), 0);
    if (strcmp(what, "time-left") == 0)
        return answer(buf, n, "%" PRId64, host->time_left(context) == ZVFS_TIME_UNLIMITED ? -1 : (int64_t)host->time_left(context), 0);
    if (strcmp(what, "cancelled-already") == 0)
        return answer(buf, n, "%" PRId64 " %" PRId64, host->on_cancel(context, add, &file->first), file->first);
    if (strcmp(what, "after-close") == 0 || strcmp(what, "count-after-close") == 0)
        return answer(buf, n, "%" PRId64, atomic_load(&after_close), 0);
    if (strcmp(what, "replaced") == 0 || strcmp(what, "withdrawn") == 0)
        return answer(buf, n, "%" PRId64 " %" PRId64, atomic_load(&file->first), atomic_load(&file->second));
    if (strcmp(what, "wait-forever") == 0) return host->wait(context, file->pipe[0], ZVFS_EVENT_READ, ZVFS_TIME_UNLIMITED);
    if (strcmp(what, "waits-for") == 0) {
        const zvfs_host_waiting *says = host->extension(host, ZVFS_EXT_HOST_WAITING);
        if (!says || !ZVFS_HAS(says, waits_for)) return zvfs_fail(err, ZVFS_ENOTSUP, "nobody asks");
        says->waits_for(NULL, "nothing", "nobody");
        says->waits_for(context, "\xff", NULL);
        says->waits_for(context, "a tide", NULL);
        says->waits_for(context, "a tide", "the moon is\nabsent");
        int32_t ended = host->wait(context, -1, 0, ZVFS_TIME_UNLIMITED);
        says->waits_for(context, NULL, NULL);
        return zvfs_fail(err, ended, "read: stopped");
    }
    if (strcmp(what, "forgets-a-wait") == 0) {
        const zvfs_host_waiting *says = host->extension(host, ZVFS_EXT_HOST_WAITING);
        says->waits_for(context, "a tide", NULL);
        return n == 1 ? -ZVFS_EIO : 0;
    }
    if (strcmp(what, "wait") == 0) { /* not yet readable; readable; writable; both asked of the writing end */
        int64_t before = host->wait(context, file->pipe[0], ZVFS_EVENT_READ, 1000000);
        if (write(file->pipe[1], "x", 1) != 1) return -ZVFS_EIO;
        int64_t after = host->wait(context, file->pipe[0], ZVFS_EVENT_READ, ZVFS_TIME_UNLIMITED);
        return answer(buf, n, "%" PRId64 " %" PRId64, before,
                      after * 10 + host->wait(context, file->pipe[1], ZVFS_EVENT_READ | ZVFS_EVENT_WRITE, ZVFS_TIME_UNLIMITED));
    }
    if (strcmp(what, "wait-zero") == 0)
        return answer(buf, n, "%" PRId64 " %" PRId64, host->wait(context, -1, 0, 0), host->wait(context, file->pipe[0], ZVFS_EVENT_READ, 0));
    if (strcmp(what, "bad-fd") == 0)
        return answer(buf, n, "%" PRId64 " %" PRId64, host->wait(context, 1 << 20, ZVFS_EVENT_READ, ZVFS_TIME_UNLIMITED),
                      host->wait(context, -7, ZVFS_EVENT_READ, 0));
    if (strcmp(what, "null") == 0) {
        host->log(NULL, ZVFS_LOG_ERROR, "nobody's line");
        host->log(host, ZVFS_LOG_ERROR, NULL);
        return answer(buf, n, "%" PRId64 " %" PRId64, host->status(NULL),
                      host->extension(host, "zvfs.unknown/1") == NULL && host->extension(NULL, NULL) == NULL);
    }
    if (strcmp(what, "on-cancel-null") == 0) return answer(buf, n, "%" PRId64 " %" PRId64, host->on_cancel(NULL, add, NULL), host->wait(NULL, -1, 0, 0));
    return -ZVFS_EINVAL;
}
static uint64_t ZVFS_CALL capabilities(zvfs_file *file) {
    (void)file;
    return ZVFS_CAP_READABLE | ZVFS_CAP_CANCEL;
}
static const char *const schemes[] = { NAME, NULL };
static const zvfs_provider provider = { .struct_size = sizeof provider, .name = NAME, .schemes = schemes,
    .supported_flags = ZVFS_OPEN_READ, .start = start, .open = open_, .close = close_, .read = read_,
    .capabilities = capabilities };
ZVFS_EXPORT const zvfs_provider *ZVFS_CALL zvfs_provider_v1(void) { return &provider; }
