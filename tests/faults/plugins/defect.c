/* SPDX-License-Identifier: Apache-2.0
 * `defect:<anything>` reads 10000 bytes and is right in everything, but for the one thing that a -D makes wrong.
 * `defect:absent...` is not there; `defect:block` waits for ever. */
#define _GNU_SOURCE
#include "zvfs_provider.h"
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE 10000

struct zvfs_file {
    zvfs_context *context;
    const char *kept;
    uint64_t at;
    int block, ends;
};

static const zvfs_host *host;
static char the_instance;

static unsigned char byte_at(uint64_t at) { return (unsigned char)(at * 7 + at / 251); }

#if defined(LEAVES_A_THREAD) || defined(STARTS_A_THREAD_WHEN_LOADED)
static void *waits(void *arg) {
    for (;;) pause();
    return arg;
}
#endif
#ifdef STARTS_A_THREAD_WHEN_LOADED
__attribute__((constructor)) static void loaded(void) {
    static pthread_t thread;
    if (pthread_create(&thread, NULL, waits, NULL) != 0) abort();
}
#endif
#ifdef CHANGES_UMASK_WHEN_LOADED
__attribute__((constructor)) static void loaded(void) { umask(0); }
#endif

static int32_t ZVFS_CALL start(const zvfs_host *given, const zvfs_value *const *settings, zvfs_instance **out,
                               zvfs_error *err) {
    (void)settings, (void)err;
#ifdef ONE_INSTANCE
    static int started;
    if (started++) abort();
#endif
#if defined(CHANGES_FOLDER)
    if (chdir("/") != 0) abort();
#elif defined(CHANGES_UMASK)
    umask(0);
#elif defined(CHANGES_LOCALE)
    setlocale(LC_ALL, "");
#elif defined(CHANGES_ENVIRONMENT)
    setenv("DEFECT", "1", 1);
#elif defined(IGNORES_SIGPIPE)
    signal(SIGPIPE, SIG_IGN);
#elif defined(RAISES_SIGPIPE)
    static int starts;
    int pipes[2];
    if (starts++ && pipe(pipes) != 0) abort();
    if (starts == 1) pipes[0] = pipes[1] = -1;
    close(pipes[0]);
    if (write(pipes[1], "x", 1) != 1) close(pipes[1]);
#elif defined(LEAVES_A_THREAD)
    static pthread_t thread; /* it should end and be joined in stop */
    if (pthread_create(&thread, NULL, waits, NULL) != 0) abort();
#endif
    host = given;
    *out = (zvfs_instance *)&the_instance;
    return 0;
}

#if defined(NOT_PARALLEL)
static atomic_int inside;
#endif

static int32_t ZVFS_CALL open_(zvfs_instance *instance, const zvfs_open_request *request, zvfs_file **out,
                               zvfs_error *err) {
    (void)instance;
#ifdef EXACT_SIZE
    if (request->struct_size != sizeof *request) return zvfs_fail(err, ZVFS_EINVAL, "wrong size");
#endif
#ifdef REFUSES_HINTS
    if (request->flags & ~ZVFS_OPEN_READ) return zvfs_fail(err, ZVFS_EINVAL, "unknown flags");
#endif
    if (*request->rest == '\0' || strpbrk(request->rest, "%/?") || strncmp(request->rest, "absent", 6) == 0) {
#ifdef OUT_ON_FAILURE
        *out = NULL;
#endif
#if defined(NO_TEXT)
        return -ZVFS_ENOENT;
#elif defined(ENDLESS_TEXT)
        if (err) err->code = ZVFS_ENOENT, memset(err->message, 'x', sizeof err->message);
        return -ZVFS_ENOENT;
#elif defined(OTHER_CODE)
        zvfs_fail(err, ZVFS_EEXIST, "no such thing");
        return -ZVFS_ENOENT;
#elif defined(TWO_LINES)
        return zvfs_fail(err, ZVFS_ENOENT, "no such thing: %s.", request->shown);
#elif defined(NULL_ERROR)
        err->code = ZVFS_ENOENT;
        strcpy(err->message, "no such thing");
        return -ZVFS_ENOENT;
#else
        return zvfs_fail(err, ZVFS_ENOENT, "no such thing: %s", request->shown);
#endif
    }
#ifdef ERROR_ON_SUCCESS
    zvfs_fail(err, ZVFS_EIO, "all is well");
#endif
#ifdef LEAKS
    if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0) return zvfs_fail(err, ZVFS_EMFILE, "no descriptor left");
#endif
#ifdef NOT_PARALLEL
    if (atomic_fetch_add(&inside, 1) > 0) abort();
    for (int turn = 0; turn < 200; turn++) usleep(10); /* long enough to meet another thread in here */
    atomic_fetch_sub(&inside, 1);
#endif
    zvfs_file *file = calloc(1, sizeof *file);
    if (!file) return zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
    file->context = request->context;
    file->kept = request->rest;
    file->block = strcmp(request->rest, "block") == 0;
    *out = file;
    return 0;
}
static void ZVFS_CALL close_(zvfs_file *file) {
    free(file);
#ifdef CLOSE_SLEEPS
    sleep(2);
#endif
#ifdef USES_FREED
    static volatile uint64_t at;
    at = file->at; /* nothing but a sanitizer sees it */
    (void)at;
#endif
}

static int64_t ZVFS_CALL read_(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    unsigned char *bytes = buf;
    if (file->block) {
#if defined(SLEEPS_ON)
        sleep(10);
#elif defined(STOPS_WITH_EIO)
        host->wait(file->context, -1, 0, ZVFS_TIME_UNLIMITED);
        return zvfs_fail(err, ZVFS_EIO, "stopped");
#endif
        return zvfs_fail(err, -host->wait(file->context, -1, 0, ZVFS_TIME_UNLIMITED), "read: stopped");
    }
    if (host->status(file->context) != 0) return zvfs_fail(err, -host->status(file->context), "read: stopped");
#ifdef EXITS
    static int calls;
    if (++calls > 100) exit(3); /* more than reading it once takes */
#endif
#ifdef USES_THE_REQUEST
    if (*file->kept == '!') return -ZVFS_EIO;
#endif
#ifdef ONE_POSITION
    static uint64_t shared;
    if (file->at == 0) shared = 0;
    file->at = shared;
#endif
    uint64_t count = SIZE - file->at < n ? SIZE - file->at : n;
    for (uint64_t i = 0; i < count; i++) bytes[i] = byte_at(file->at + i);
#ifdef TOUCHES_THE_TAIL
    if (count < n) bytes[count] = 0;
#endif
#ifdef OVERRUNS
    bytes[n] = 0;
#endif
#ifdef UNDERRUNS
    if (n > 4096) bytes[-1] = 0;
#endif
#ifdef DIES_AFTER_THE_END
    if (count == 0 && file->ends++ > 0) *(volatile int *)8 = 1;
#endif
    file->at += count;
#ifdef ONE_POSITION
    shared = file->at;
#endif
    return (int64_t)count;
}

static int64_t ZVFS_CALL seek(zvfs_file *file, int64_t offset, uint32_t whence, zvfs_error *err) {
    int64_t from = whence == ZVFS_SEEK_SET ? 0 : whence == ZVFS_SEEK_CUR ? (int64_t)file->at : SIZE, to;
    if (whence > ZVFS_SEEK_END) return zvfs_fail(err, ZVFS_EINVAL, "seek: unknown whence %u", whence);
#ifdef SEEK_ABORTS
    if (offset == INT64_MAX) abort();
#endif
    if (__builtin_add_overflow(from, offset, &to) || to < 0) return zvfs_fail(err, ZVFS_EINVAL, "seek: out of range");
    file->at = (uint64_t)to > SIZE ? SIZE : (uint64_t)to; /* nothing grows here: beyond the end is the end */
    return to;
}
static int64_t ZVFS_CALL tell(zvfs_file *file, zvfs_error *err) {
    (void)err;
    return (int64_t)file->at;
}
static int32_t ZVFS_CALL flush(zvfs_file *file, uint32_t level, zvfs_error *err) {
    (void)file;
#ifdef HANGS
    while (level > ZVFS_FLUSH_SYNC) pause();
#endif
#ifdef TAKES_UNKNOWN
    (void)err;
    return 0;
#else
    return level == ZVFS_FLUSH_PUSH || level == ZVFS_FLUSH_SYNC ? 0 : zvfs_fail(err, ZVFS_EINVAL, "flush: unknown level");
#endif
}
static uint64_t ZVFS_CALL capabilities(zvfs_file *file) {
    (void)file;
#ifdef SEEKABLE
    return ZVFS_CAP_READABLE | ZVFS_CAP_CANCEL | ZVFS_CAP_SEEKABLE;
#else
    return ZVFS_CAP_READABLE | ZVFS_CAP_CANCEL;
#endif
}
static const void *ZVFS_CALL extension(const char *id) {
#ifdef ANY_EXTENSION
    static const zvfs_stat_extension stat = { sizeof stat, NULL };
    if (strncmp(id, "zvfs.stat", 9) == 0) return &stat;
#endif
    (void)id;
    return NULL;
}
static const char *const schemes[] = { NAME, NULL };
static const zvfs_provider provider = { .struct_size = sizeof provider, .name = NAME, .schemes = schemes,
#ifdef ALLOWS_CONTRADICTIONS
    .supported_flags = ZVFS_OPEN_READ | ZVFS_OPEN_CREATE,
#else
    .supported_flags = ZVFS_OPEN_READ,
#endif
    .start = start, .open = open_, .close = close_, .read = read_,
#ifdef SEEKABLE
    .seek = seek, .tell = tell,
#endif
    .flush = flush, .capabilities = capabilities, .extension = extension };
ZVFS_EXPORT const zvfs_provider *ZVFS_CALL zvfs_provider_v1(void) { (void)seek, (void)tell; return &provider; }
