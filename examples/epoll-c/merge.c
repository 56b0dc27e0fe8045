/* Copies any number of channels to standard output, each as its bytes come, on one thread. Usage: merge DESCRIPTOR... */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <zvfs.h>

struct source {
    const char *name;
    zvfs_handle *handle; /* NULL: at its end */
    int fd;              /* in the loop; -1: not yet */
};

static int loop, failed;
static zvfs_error error;

static void end(struct source *source, int64_t code) {
    if (code < 0) {
        fprintf(stderr, "merge: %s: %s\n", source->name, error.message);
        failed = 1;
    }
    if (source->fd >= 0) epoll_ctl(loop, EPOLL_CTL_DEL, source->fd, NULL); /* before its number may be another's */
    zvfs_handle_close(source->handle);
    source->handle = NULL;
}

/* Copies what is there, and has the loop await the rest. Returns the milliseconds after which to call again; -1: not before an event. */
static int serve(struct source *source) {
    char buf[16384];
    for (;;) {
        zvfs_interest interest = {.struct_size = sizeof interest};
        struct epoll_event event = {.data.ptr = source};
        int64_t got = zvfs_handle_try_read(source->handle, buf, sizeof buf, &error);
        if (got > 0) {
            fwrite(buf, 1, (size_t)got, stdout);
            continue;
        }
        if (got == -ZVFS_EAGAIN) got = zvfs_handle_interest(source->handle, ZVFS_FOR_READ, &interest, &error);
        else if (got == 0) got = 1; /* the end */
        if (got != 0) {
            end(source, got);
            return -1;
        }
        if (interest.ready) continue;
        if (interest.events & ZVFS_EVENT_READ) event.events |= EPOLLIN;
        if (interest.events & ZVFS_EVENT_WRITE) event.events |= EPOLLOUT;
        if (interest.fd >= 0) epoll_ctl(loop, source->fd < 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, interest.fd, &event);
        if (interest.fd >= 0) source->fd = interest.fd;
        return interest.ns == ZVFS_TIME_UNLIMITED ? -1 : (int)(interest.ns / 1000000) + 1;
    }
}

int main(int count, char **arguments) {
    zvfs_open_options how = {.struct_size = sizeof how, .flags = ZVFS_OPEN_READ};
    struct source *sources = calloc((size_t)count, sizeof *sources);
    zvfs_registry *registry;
    int at, open;
    loop = epoll_create1(EPOLL_CLOEXEC);
    if (count < 2 || !sources || loop < 0) {
        fprintf(stderr, "usage: merge DESCRIPTOR...\n");
        return 64;
    }
    if (zvfs_registry_new(NULL, NULL, &registry, &error)) {
        fprintf(stderr, "merge: %s\n", error.message);
        return 1;
    }
    for (at = 0; at < count - 1; at++) {
        sources[at].name = arguments[at + 1];
        sources[at].fd = -1;
        if (zvfs_registry_open_start(registry, sources[at].name, &how, &sources[at].handle, &error)) end(&sources[at], -1);
    }
    for (;;) {
        struct epoll_event event;
        int patience = -1;
        for (at = open = 0; at < count - 1; at++) {
            int again = sources[at].handle ? serve(&sources[at]) : -1;
            if (again >= 0 && (patience < 0 || again < patience)) patience = again;
            open += sources[at].handle != NULL;
        }
        fflush(stdout);
        if (!open) break;
        if (epoll_wait(loop, &event, 1, patience) < 0 && errno != EINTR) return 1;
    }
    zvfs_registry_free(registry);
    free(sources);
    return failed;
}
