/* Cancel, deadline, and calls that overlap: threads ADDRESS, of nobody else. */
#include "check.h"
#include <pthread.h>
#include <unistd.h>
#include <zvfs.h>

static zvfs_registry *registry;
static char pipe_end[200];

struct waiting {
    zvfs_handle *handle;
    int64_t result;
    zvfs_error error;
};

static void *reads(void *arg) {
    struct waiting *waiting = (struct waiting *)arg;
    char byte;
    do { /* until_busy may have had the handle just then */
        waiting->result = zvfs_handle_read(waiting->handle, &byte, 1, &waiting->error);
    } while (waiting->result == -ZVFS_EBUSY);
    return NULL;
}

static zvfs_handle *opened(zvfs_control *control) {
    zvfs_open_options options = {sizeof options, 0, 0, NULL, NULL, NULL};
    zvfs_handle *handle;
    zvfs_error error;
    options.control = control;
    if (zvfs_registry_open(registry, pipe_end, &options, &handle, &error)) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    return handle;
}

/* Waits until the thread is in its read: then other calls find the handle busy. */
static void until_busy(zvfs_handle *handle) {
    zvfs_error error;
    while (zvfs_handle_flush(handle, ZVFS_FLUSH_PUSH, &error) != -ZVFS_EBUSY) usleep(1000);
    CHECK(error.code == ZVFS_EBUSY && error.message[0] != 0);
}

static void cancelled(void) {
    struct waiting waiting;
    zvfs_control *control;
    zvfs_error error;
    pthread_t thread;
    char byte;
    CHECK(zvfs_control_new(&control, &error) == 0);
    waiting.handle = opened(control);
    CHECK(zvfs_handle_capabilities(waiting.handle) & ZVFS_CAP_CANCEL);
    CHECK(pthread_create(&thread, NULL, reads, &waiting) == 0);
    until_busy(waiting.handle);
    CHECK(zvfs_handle_read(waiting.handle, &byte, 1, &error) == -ZVFS_EBUSY);
    CHECK(zvfs_handle_close(waiting.handle) == -ZVFS_EBUSY);
    CHECK(zvfs_control_cancel(control, &error) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(waiting.result == -ZVFS_ECANCELED && waiting.error.code == ZVFS_ECANCELED);
    CHECK(zvfs_handle_read(waiting.handle, &byte, 1, &error) == -ZVFS_ECANCELED);
    CHECK(zvfs_handle_close(waiting.handle) == 0);
    zvfs_control_free(control);
}

static void timed_out(void) {
    zvfs_control *control;
    zvfs_handle *handle;
    zvfs_error error;
    char byte;
    CHECK(zvfs_control_new(&control, &error) == 0);
    handle = opened(control);
    CHECK(zvfs_control_set_deadline(control, 20 * 1000 * 1000, &error) == 0);
    CHECK(zvfs_handle_read(handle, &byte, 1, &error) == -ZVFS_ETIMEDOUT);
    zvfs_control_free(control);
    CHECK(zvfs_handle_close(handle) == 0);
}

enum { THREADS = 4, ROUNDS = 100 };

static void *works(void *arg) {
    zvfs_open_options options = {sizeof options, ZVFS_OPEN_READ | ZVFS_OPEN_WRITE | ZVFS_OPEN_CREATE, 0, NULL, NULL, NULL};
    char name[32], text[8];
    int round;
    snprintf(name, sizeof name, "mem:%d", (int)(intptr_t)arg);
    for (round = 0; round < ROUNDS; round++) {
        zvfs_handle *handle;
        zvfs_error error;
        if (zvfs_registry_open(registry, name, &options, &handle, &error) || zvfs_handle_write(handle, "abc", 3, &error) != 3 ||
            zvfs_handle_read_at(handle, text, 3, 0, &error) != 3 || zvfs_handle_close(handle)) {
            return arg;
        }
    }
    return NULL;
}

/* One registry for all threads, handles of their own. */
static void many(void) {
    pthread_t threads[THREADS];
    int at;
    for (at = 0; at < THREADS; at++) CHECK(pthread_create(&threads[at], NULL, works, (void *)(intptr_t)(at + 1)) == 0);
    for (at = 0; at < THREADS; at++) {
        void *failed;
        CHECK(pthread_join(threads[at], &failed) == 0 && failed == NULL);
    }
}

int main(int count, char **arguments) {
    zvfs_error error;
    CHECK(count == 2);
    snprintf(pipe_end, sizeof pipe_end, "tcp://%s?mode=r", arguments[1]);
    CHECK(zvfs_registry_new(NULL, NULL, &registry, &error) == 0);
    cancelled();
    timed_out();
    many();
    zvfs_registry_free(registry);
    printf("%d checks\n", checked);
    return 0;
}
