/* Copies any number of channels to standard output, each as its bytes come, in libuv's loop. Usage: merge DESCRIPTOR... */
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>
#include <zvfs.h>

struct source {
    const char *name;
    zvfs_handle *handle;
    uv_timer_t timer;
    uv_poll_t poll;
    int polled; /* there is a descriptor, which stays the same */
};

static int failed;
static zvfs_error error;

static void serve(struct source *source);

static void on_timer(uv_timer_t *timer) {
    serve(timer->data);
}

/* Whatever happened, the next try says what has become of the channel. */
static void on_poll(uv_poll_t *poll, int status, int events) {
    (void)status, (void)events;
    serve(poll->data);
}

static void end(struct source *source, int64_t code) {
    if (code < 0) {
        fprintf(stderr, "merge: %s: %s\n", source->name, error.message);
        failed = 1;
    }
    uv_close((uv_handle_t *)&source->timer, NULL);
    if (source->polled) uv_close((uv_handle_t *)&source->poll, NULL); /* before its number may be another's */
    zvfs_handle_close(source->handle);
}

/* Copies what is there, and has the loop await the rest. */
static void serve(struct source *source) {
    char buf[16384];
    zvfs_interest interest;
    int64_t got;
    int events = 0;
    for (;;) {
        got = zvfs_handle_try_read(source->handle, buf, sizeof buf, &error);
        if (got > 0) {
            fwrite(buf, 1, (size_t)got, stdout);
            continue;
        }
        fflush(stdout);
        if (got != -ZVFS_EAGAIN) break; /* the end, or failed */
        interest = (zvfs_interest){.struct_size = sizeof interest};
        got = zvfs_handle_interest(source->handle, ZVFS_FOR_READ, &interest, &error);
        if (got != 0) break;
        if (interest.ready) continue;
        if (interest.fd >= 0) {
            if (!source->polled) uv_poll_init(uv_default_loop(), &source->poll, interest.fd);
            source->polled = 1;
            source->poll.data = source;
            if (interest.events & ZVFS_EVENT_READ) events |= UV_READABLE;
            if (interest.events & ZVFS_EVENT_WRITE) events |= UV_WRITABLE;
            uv_poll_start(&source->poll, events, on_poll);
        }
        if (interest.ns == ZVFS_TIME_UNLIMITED) uv_timer_stop(&source->timer);
        else uv_timer_start(&source->timer, on_timer, interest.ns / 1000000 + 1, 0);
        return;
    }
    end(source, got);
}

int main(int count, char **arguments) {
    zvfs_open_options how = {.struct_size = sizeof how, .flags = ZVFS_OPEN_READ};
    struct source *sources = calloc((size_t)count, sizeof *sources);
    zvfs_registry *registry;
    int at;
    if (count < 2 || !sources) {
        fprintf(stderr, "usage: merge DESCRIPTOR...\n");
        return 64;
    }
    if (zvfs_registry_new(NULL, NULL, &registry, &error)) {
        fprintf(stderr, "merge: %s\n", error.message);
        return 1;
    }
    for (at = 0; at < count - 1; at++) {
        struct source *source = &sources[at];
        source->name = arguments[at + 1];
        uv_timer_init(uv_default_loop(), &source->timer);
        source->timer.data = source;
        if (zvfs_registry_open_start(registry, source->name, &how, &source->handle, &error)) end(source, -1);
        else serve(source);
    }
    uv_run(uv_default_loop(), UV_RUN_DEFAULT); /* until every source has ended */
    uv_loop_close(uv_default_loop());
    zvfs_registry_free(registry);
    free(sources);
    return failed;
}
