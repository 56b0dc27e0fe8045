/* SPDX-License-Identifier: Apache-2.0
 * A host in C that leaves SIGPIPE at its deadly default: sigpipe LIB FIFO. It writes into the FIFO, its reader goes away,
 * and it writes again. Prints what the second write returned; the kernel's own answer would be death by signal 13. */
#include "zvfs_provider.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void ZVFS_CALL host_log(const zvfs_host *host, uint32_t level, const char *text) {
    (void)host, (void)level;
    fprintf(stderr, "%s\n", text);
}
static const void *ZVFS_CALL host_extension(const zvfs_host *host, const char *id) {
    (void)host, (void)id;
    return NULL;
}
static int32_t ZVFS_CALL host_status(zvfs_context *context) {
    (void)context;
    return 0;
}
static uint64_t ZVFS_CALL host_time_left(zvfs_context *context) {
    (void)context;
    return ZVFS_TIME_UNLIMITED;
}
static int32_t ZVFS_CALL host_on_cancel(zvfs_context *context, void(ZVFS_CALL *fn)(void *), void *arg) {
    (void)context, (void)fn, (void)arg;
    return 0;
}
static int32_t ZVFS_CALL host_wait(zvfs_context *context, int32_t fd, uint32_t events, uint64_t ns) {
    struct pollfd one = { fd, (short)((events & ZVFS_EVENT_READ ? POLLIN : 0) | (events & ZVFS_EVENT_WRITE ? POLLOUT : 0)), 0 };
    (void)context;
    int limit = ns > 10000000000u ? 10000 : (int)(ns / 1000000);
    if (poll(&one, 1, limit) < 0) return -errno;
    return (one.revents & POLLIN ? ZVFS_EVENT_READ : 0) | (one.revents & POLLOUT ? ZVFS_EVENT_WRITE : 0) |
           (one.revents & POLLERR ? ZVFS_EVENT_ERROR : 0) | (one.revents & POLLHUP ? ZVFS_EVENT_HANGUP : 0);
}
static const zvfs_host host = { sizeof host, "sigpipe", "1", host_log, host_extension, host_status, host_time_left,
                                host_on_cancel, host_wait };

static int fail(const char *what) {
    printf("%s\n", what);
    return 1;
}

int main(int count, char **arguments) {
    static int who_waits;
    const zvfs_value *no_settings[] = { NULL };
    zvfs_error err = { .struct_size = sizeof err };
    zvfs_instance *instance = NULL;
    zvfs_file *file = NULL;
    const zvfs_provider *(*entry)(void);
    if (count != 3) return 64;
    signal(SIGPIPE, SIG_DFL);
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) return fail(dlerror());
    *(void **)&entry = dlsym(library, "zvfs_provider_v1");
    if (!entry) return fail("no entry");
    const zvfs_provider *provider = entry();
    if (provider->start(&host, no_settings, &instance, &err) != 0) return fail(err.message);
    int reader = open(arguments[2], O_RDONLY | O_NONBLOCK);
    if (reader < 0) return fail("no reader");
    zvfs_open_request request = { sizeof request, (zvfs_context *)&who_waits, "file", arguments[2], arguments[2],
                                  arguments[2], ZVFS_OPEN_WRITE, ZVFS_SIZE_UNKNOWN, no_settings };
    if (provider->open(instance, &request, &file, &err) != 0) return fail(err.message);
    if (provider->write(file, "one", 3, &err) != 3) return fail(err.message);
    close(reader);
    printf("write returned %lld\n", (long long)provider->write(file, "two", 3, &err));
    struct sigaction action;
    sigset_t blocked;
    sigaction(SIGPIPE, NULL, &action);
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    printf("handler %s, signal %s\n", action.sa_handler == SIG_DFL ? "as it was" : "changed",
           sigismember(&blocked, SIGPIPE) ? "blocked" : "as it was");
    provider->close(file);
    provider->stop(instance);
    return 0;
}
