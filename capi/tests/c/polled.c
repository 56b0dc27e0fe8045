/* Handles without waiting, of files with POLL and without. Usage: polled FOLDER PROVIDERS */
#include "check.h"
#include <zvfs.h>
#include <zvfs_provider.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>

static zvfs_error error;
static char path[4096];

static const char *in(const char *folder, const char *name) {
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static zvfs_interest interest_of(zvfs_handle *handle, uint32_t wanted) {
    zvfs_interest interest;
    memset(&interest, 0, sizeof interest);
    interest.struct_size = sizeof interest;
    CHECK(zvfs_handle_interest(handle, wanted, &interest, &error) == 0);
    return interest;
}

/* Waits as an interest says; returns the descriptor that it lent. */
static int await(zvfs_handle *handle, uint32_t wanted) {
    zvfs_interest interest = interest_of(handle, wanted);
    struct pollfd polled;
    polled.fd = interest.fd;
    polled.events = (short)((interest.events & ZVFS_EVENT_READ ? POLLIN : 0) | (interest.events & ZVFS_EVENT_WRITE ? POLLOUT : 0));
    if (!interest.ready) {
        int patience = interest.ns == ZVFS_TIME_UNLIMITED ? 60000 : (int)(interest.ns / 1000000) + 1;
        CHECK(poll(&polled, interest.fd >= 0, patience) > 0 || interest.ns != ZVFS_TIME_UNLIMITED);
    }
    return interest.fd;
}

static int64_t read_tried(zvfs_handle *handle, void *buf, uint64_t n) {
    int64_t count;
    while ((count = zvfs_handle_try_read(handle, buf, n, &error)) == -ZVFS_EAGAIN) await(handle, ZVFS_FOR_READ);
    return count;
}

static void write_tried(zvfs_handle *handle, const char *buf, uint64_t n) {
    while (n > 0) {
        int64_t count = zvfs_handle_try_write(handle, buf, n, &error);
        if (count == -ZVFS_EAGAIN) {
            await(handle, ZVFS_FOR_WRITE);
            continue;
        }
        CHECK(count > 0 && (uint64_t)count <= n);
        buf += count;
        n -= (uint64_t)count;
    }
}

static int32_t finish_tried(zvfs_handle *handle, uint32_t how) {
    int32_t code;
    while ((code = zvfs_handle_try_finish(handle, how, &error)) == -ZVFS_EAGAIN) await(handle, ZVFS_FOR_FINISH);
    return code;
}

static zvfs_handle *started(zvfs_registry *registry, const char *descriptor, uint64_t flags, zvfs_control *control) {
    zvfs_open_options options;
    zvfs_handle *handle;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.flags = flags;
    options.control = control;
    CHECK(zvfs_registry_open_start(registry, descriptor, &options, &handle, &error) == 0);
    return handle;
}

/* With POLL: a FIFO. Its descriptor is one for the handle's life, from before it is open. */
static void a_fifo(zvfs_registry *registry, const char *folder) {
    char bytes[16];
    zvfs_handle *handle;
    int fd, again, writer;
    CHECK(mkfifo(in(folder, "fifo"), 0600) == 0);
    handle = started(registry, path, ZVFS_OPEN_READ, NULL);
    CHECK(strcmp(zvfs_handle_shown(handle), path) == 0);
    fd = interest_of(handle, ZVFS_FOR_READ).fd;
    for (;;) {
        CHECK(zvfs_handle_try_read(handle, bytes, sizeof bytes, &error) == -ZVFS_EAGAIN);
        if (zvfs_handle_capabilities(handle) != 0) break;
        await(handle, ZVFS_FOR_READ);
    }
    CHECK(zvfs_handle_capabilities(handle) & ZVFS_CAP_POLL);
    CHECK(zvfs_handle_try_read(handle, bytes, sizeof bytes, &error) == -ZVFS_EAGAIN);
    writer = open(path, O_WRONLY);
    CHECK(writer >= 0 && write(writer, "some", 4) == 4);
    again = await(handle, ZVFS_FOR_READ);
    CHECK(fd >= 0 && fd == again);
    CHECK(read_tried(handle, bytes, sizeof bytes) == 4 && memcmp(bytes, "some", 4) == 0);
    CHECK(close(writer) == 0);
    CHECK(read_tried(handle, bytes, sizeof bytes) == 0);
    CHECK(zvfs_handle_close(handle) == 0);
}

/* Without POLL: a regular file, which a thread writes and reads. */
static void a_regular_file(zvfs_registry *registry, const char *folder) {
    enum { SIZE = 300000 };
    char *sent = (char *)malloc(SIZE), *came = (char *)malloc(SIZE + 1), byte;
    int64_t done = 0, count;
    zvfs_handle *handle;
    int at;
    CHECK(sent && came);
    for (at = 0; at < SIZE; at++) sent[at] = (char)(at ^ at >> 8);
    handle = started(registry, in(folder, "regular"), ZVFS_OPEN_WRITE | ZVFS_OPEN_CREATE | ZVFS_OPEN_ATOMIC, NULL);
    write_tried(handle, sent, SIZE);
    CHECK(zvfs_handle_write(handle, sent, 1, &error) == -ZVFS_EBUSY && strstr(error.message, "tries"));
    CHECK(zvfs_handle_try_read(handle, &byte, 1, &error) == -ZVFS_EBADF);
    CHECK(zvfs_handle_try_finish(handle, ZVFS_FINISH_DISCARD, &error) == -ZVFS_EINVAL);
    CHECK(access(path, F_OK) != 0); /* not before its COMMIT */
    CHECK(finish_tried(handle, ZVFS_FINISH_END) == 0);
    CHECK(zvfs_handle_try_write(handle, sent, 1, &error) == -ZVFS_EBADF && strstr(error.message, "after END"));
    CHECK(finish_tried(handle, ZVFS_FINISH_COMMIT) == 0);
    CHECK(zvfs_handle_try_write(handle, sent, 1, &error) == -ZVFS_EBADF && strstr(error.message, "after COMMIT"));
    CHECK(access(path, F_OK) == 0);
    CHECK(zvfs_handle_close(handle) == 0);

    CHECK(zvfs_registry_open(registry, path, NULL, &handle, &error) == 0);
    CHECK(!(zvfs_handle_capabilities(handle) & ZVFS_CAP_POLL));
    CHECK(zvfs_handle_read(handle, &byte, 1, &error) == 1 && byte == sent[0]); /* not tried yet: a call like any other */
    came[done++] = byte;
    CHECK(zvfs_handle_try_read(handle, came, 1, &error) == -ZVFS_EAGAIN); /* never at once, however near the bytes are */
    while ((count = read_tried(handle, came + done, 7000 < SIZE + 1 - done ? 7000 : (uint64_t)(SIZE + 1 - done))) > 0) done += count;
    CHECK(count == 0 && done == SIZE && memcmp(sent, came, SIZE) == 0);
    CHECK(zvfs_handle_read(handle, &byte, 1, &error) == -ZVFS_EBUSY);
    CHECK(zvfs_handle_close(handle) == 0);

    /* Closed without a COMMIT it leaves no trace. */
    handle = started(registry, in(folder, "never"), ZVFS_OPEN_WRITE | ZVFS_OPEN_CREATE | ZVFS_OPEN_ATOMIC, NULL);
    write_tried(handle, sent, SIZE);
    CHECK(zvfs_handle_close(handle) == 0);
    CHECK(access(path, F_OK) != 0);
    free(sent);
    free(came);
}

static void opens_that_fail(zvfs_registry *registry, const char *folder) {
    zvfs_handle *handle;
    zvfs_interest interest;
    int32_t code;
    char byte;
    CHECK(zvfs_registry_open_start(registry, "no descriptor", NULL, &handle, &error) == -ZVFS_EINVAL);
    handle = started(registry, in(folder, "absent"), ZVFS_OPEN_READ, NULL);
    interest.struct_size = sizeof interest;
    while ((code = zvfs_handle_interest(handle, ZVFS_FOR_READ, &interest, &error)) == 0) {
        struct pollfd polled;
        polled.fd = interest.fd;
        polled.events = POLLIN;
        CHECK(poll(&polled, 1, 60000) == 1);
    }
    CHECK(code == -ZVFS_ENOENT && strstr(error.message, "absent"));
    CHECK(zvfs_handle_try_read(handle, &byte, 1, &error) == -ZVFS_ENOENT);
    CHECK(zvfs_handle_read(handle, &byte, 1, &error) == -ZVFS_ENOENT);
    CHECK(zvfs_handle_try_finish(handle, ZVFS_FINISH_END, &error) == -ZVFS_ENOENT);
    CHECK(zvfs_handle_capabilities(handle) == 0);
    CHECK(zvfs_handle_close(handle) == 0);
}

/* Whether the error's text is this one, or goes on from there. */
static int says(const char *text) {
    return strncmp(error.message, text, strlen(text)) == 0;
}

static int readable(int fd) {
    struct pollfd polled;
    polled.fd = fd;
    polled.events = POLLIN;
    return poll(&polled, 1, 0);
}

/* A provider whose opens and reads wait until they are cancelled. It counts its open files. */
struct zvfs_file {
    zvfs_context *context;
};

static const zvfs_host *host;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int open_files, waits;

static void count(int *what, int by) {
    pthread_mutex_lock(&lock);
    *what += by;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void until(const int *what, int wanted) {
    pthread_mutex_lock(&lock);
    while (*what != wanted) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static int32_t still_start(const zvfs_host *given, const zvfs_value *const *settings, zvfs_instance **out, zvfs_error *err) {
    (void)settings, (void)err;
    host = given;
    *out = (zvfs_instance *)&host; /* it has no state: anything but NULL */
    return 0;
}

static int32_t waited(zvfs_context *context, zvfs_error *err) {
    int32_t code;
    count(&waits, 1);
    code = host->wait(context, -1, 0, ZVFS_TIME_UNLIMITED);
    count(&waits, -1);
    return zvfs_fail(err, code, "wait");
}

static int32_t still_open(zvfs_instance *none, const zvfs_open_request *request, zvfs_file **out, zvfs_error *err) {
    zvfs_file *file;
    (void)none;
    if (strcmp(request->rest, "open") == 0) return waited(request->context, err);
    file = (zvfs_file *)malloc(sizeof *file);
    if (!file) return zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
    file->context = request->context;
    count(&open_files, 1);
    *out = file;
    return 0;
}
static void still_close(zvfs_file *file) {
    free(file);
    count(&open_files, -1);
}
static int64_t still_read(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    (void)buf, (void)n;
    return waited(file->context, err);
}
static uint64_t still_capabilities(zvfs_file *file) {
    (void)file;
    return ZVFS_CAP_READABLE | ZVFS_CAP_CANCEL;
}

static void what_waits_for_ever(void) {
    static const char *const schemes[] = { "still", NULL };
    static zvfs_provider provider;
    zvfs_registry *registry;
    zvfs_configuration *nothing;
    zvfs_control *control;
    zvfs_handle *one, *other, *third;
    zvfs_open_options late;
    char byte;
    int fd;
    provider.struct_size = sizeof provider;
    provider.name = "still";
    provider.schemes = schemes;
    provider.supported_flags = ZVFS_OPEN_READ;
    provider.start = still_start;
    provider.open = still_open;
    provider.close = still_close;
    provider.read = still_read;
    provider.capabilities = still_capabilities;
    CHECK(zvfs_configuration_new(&nothing, &error) == 0);
    CHECK(zvfs_registry_new(nothing, NULL, &registry, &error) == 0);
    CHECK(zvfs_registry_set_poll_threads(registry, 0, &error) == -ZVFS_EINVAL);
    CHECK(zvfs_registry_set_poll_threads(registry, 2, &error) == 0);
    CHECK(zvfs_registry_register(registry, &provider, &error) == 0);
    CHECK(zvfs_control_new(&control, &error) == 0);
    memset(&late, 0, sizeof late);
    late.struct_size = sizeof late;
    late.control = control;
    fd = zvfs_control_fd(control, &error);
    CHECK(fd >= 0 && fd == zvfs_control_fd(control, &error) && !readable(fd));

    one = started(registry, "still:open", ZVFS_OPEN_READ, control);
    until(&waits, 1);
    CHECK(zvfs_handle_try_read(one, &byte, 1, &error) == -ZVFS_EAGAIN);
    CHECK(zvfs_handle_read(one, &byte, 1, &error) == -ZVFS_EBUSY && strstr(error.message, "being opened"));
    CHECK(zvfs_registry_open(registry, "still:read", NULL, &other, &error) == 0);
    CHECK(zvfs_handle_try_read(other, &byte, 1, &error) == -ZVFS_EAGAIN);
    until(&waits, 2);
    /* Both threads wait. */
    CHECK(zvfs_registry_open(registry, "still:read", NULL, &third, &error) == 0);
    CHECK(zvfs_handle_try_read(third, &byte, 1, &error) == -ZVFS_EMFILE && strstr(error.message, "poll threads"));

    /* A cancel ends the open, and nothing that is not under it. */
    CHECK(zvfs_control_cancel(control, &error) == 0);
    CHECK(readable(fd) == 1);
    CHECK(zvfs_handle_try_read(one, &byte, 1, &error) == -ZVFS_ECANCELED && says("open still:open: cancelled"));
    until(&waits, 1);
    CHECK(zvfs_control_lift(control, &error) == 0 && !readable(fd));
    CHECK(zvfs_control_set_deadline(control, 0, &error) == 0 && readable(fd) == 1);
    CHECK(zvfs_handle_close(one) == 0);
    CHECK(zvfs_registry_open(registry, "still:read", &late, &one, &error) == -ZVFS_ETIMEDOUT && says("open still:read: timed out"));

    /* A close waits for nothing; the thread that is at work closes the file. */
    CHECK(zvfs_handle_close(other) == 0);
    until(&waits, 0);
    until(&open_files, 1);
    CHECK(zvfs_handle_close(third) == 0);
    until(&open_files, 0);
    one = started(registry, "still:open", ZVFS_OPEN_READ, NULL);
    until(&waits, 1);
    CHECK(zvfs_handle_close(one) == 0);
    until(&waits, 0);
    zvfs_control_free(control);
    zvfs_registry_free(registry);
    zvfs_configuration_free(nothing);
}

/* Once they said "timed out" or "cancelled" alone, and a program with many handles had no more for its log. */
static void tries_that_are_ended_say_what_they_were(zvfs_registry *registry, const char *folder) {
    static const char *const ends[] = { "cancelled", "timed out" };
    char told[600], byte;
    zvfs_open_options under;
    zvfs_interest interest;
    zvfs_control *control;
    zvfs_handle *handle;
    int which, is_late;
    CHECK(mkfifo(in(folder, "tried"), 0600) == 0);
    CHECK(zvfs_control_new(&control, &error) == 0);
    memset(&under, 0, sizeof under);
    under.struct_size = sizeof under;
    under.control = control;
    interest.struct_size = sizeof interest;
    for (which = 0; which < 3; which++) {
        /* With POLL; without, where a thread makes the calls, to be read and to be written. */
        const char *name = which == 0 ? "tried" : "regular";
        under.flags = which == 2 ? ZVFS_OPEN_WRITE : ZVFS_OPEN_READ;
        CHECK(zvfs_control_lift(control, &error) == 0);
        CHECK(zvfs_control_set_deadline(control, ZVFS_TIME_UNLIMITED, &error) == 0);
        CHECK(zvfs_registry_open(registry, in(folder, name), &under, &handle, &error) == 0);
        for (is_late = 0; is_late < 2; is_late++) {
            int32_t code = is_late ? -ZVFS_ETIMEDOUT : -ZVFS_ECANCELED;
            if (is_late) {
                CHECK(zvfs_control_lift(control, &error) == 0);
                CHECK(zvfs_control_set_deadline(control, 0, &error) == 0);
            } else {
                CHECK(zvfs_control_cancel(control, &error) == 0);
            }
#define ENDED(call, verb) (sprintf(told, "%s %.400s: %s", verb, path, ends[is_late]), (call) == code && says(told))
            CHECK(ENDED(zvfs_handle_interest(handle, ZVFS_FOR_READ, &interest, &error), "wait for"));
            if (which == 2) {
                CHECK(ENDED(zvfs_handle_try_write(handle, "x", 1, &error), "write"));
                CHECK(ENDED(zvfs_handle_try_finish(handle, ZVFS_FINISH_COMMIT, &error), "commit"));
            } else {
                CHECK(ENDED(zvfs_handle_try_read(handle, &byte, 1, &error), "read"));
            }
        }
        CHECK(zvfs_handle_close(handle) == 0);
    }
    zvfs_control_free(control);
}

/* It once forgot its control when the open was done: a cancel was for the open only. */
static void a_control_holds_after_the_open(zvfs_registry *registry, const char *folder) {
    zvfs_control *control;
    zvfs_handle *handle;
    char byte;
    CHECK(mkfifo(in(folder, "controlled"), 0600) == 0);
    CHECK(zvfs_control_new(&control, &error) == 0);
    handle = started(registry, in(folder, "controlled"), ZVFS_OPEN_READ, control);
    for (;;) {
        struct pollfd polled;
        polled.fd = interest_of(handle, ZVFS_FOR_READ).fd;
        polled.events = POLLIN;
        if (zvfs_handle_capabilities(handle)) break;
        CHECK(poll(&polled, 1, 60000) == 1);
    }
    CHECK(zvfs_handle_try_read(handle, &byte, 1, &error) == -ZVFS_EAGAIN);
    CHECK(zvfs_control_cancel(control, &error) == 0);
    CHECK(zvfs_handle_try_read(handle, &byte, 1, &error) == -ZVFS_ECANCELED);
    CHECK(zvfs_control_lift(control, &error) == 0);
    CHECK(zvfs_control_set_deadline(control, 0, &error) == 0);
    CHECK(zvfs_handle_try_read(handle, &byte, 1, &error) == -ZVFS_ETIMEDOUT);
    CHECK(zvfs_handle_close(handle) == 0);
    zvfs_control_free(control);
}

static void mistakes(zvfs_registry *registry) {
    zvfs_interest small;
    zvfs_handle *handle;
    char byte;
    memset(&small, 0, sizeof small);
    CHECK(zvfs_registry_open(registry, "/dev/null", NULL, &handle, &error) == 0);
    CHECK(zvfs_handle_interest(handle, ZVFS_FOR_READ, NULL, &error) == -ZVFS_EINVAL);
    CHECK(zvfs_handle_interest(handle, ZVFS_FOR_READ, &small, &error) == -ZVFS_EINVAL);
    small.struct_size = sizeof small;
    CHECK(zvfs_handle_interest(handle, 0, &small, &error) == -ZVFS_EINVAL);
    CHECK(zvfs_handle_interest(handle, 8, &small, &error) == -ZVFS_EINVAL && strstr(error.message, "0x8"));
    CHECK(zvfs_handle_interest(NULL, ZVFS_FOR_READ, &small, &error) == -ZVFS_EINVAL);
    CHECK(zvfs_handle_try_read(handle, NULL, 1, &error) == -ZVFS_EFAULT);
    CHECK(zvfs_handle_try_write(handle, &byte, 1, &error) == -ZVFS_EBADF);
    CHECK(zvfs_handle_try_finish(handle, 77, &error) == -ZVFS_EINVAL);
    CHECK(interest_of(handle, ZVFS_FOR_READ).ready == ZVFS_FOR_READ);
    CHECK(zvfs_handle_try_read(handle, &byte, 1, NULL) == 0);
    CHECK(zvfs_control_fd(NULL, &error) == -ZVFS_EINVAL);
    CHECK(zvfs_registry_open_start(registry, NULL, NULL, &handle, &error) == -ZVFS_EINVAL);
    CHECK(zvfs_handle_close(handle) == 0);
    CHECK(zvfs_handle_try_read(handle, &byte, 1, &error) == -ZVFS_EBADF);
}

int main(int argc, char **argv) {
    zvfs_configuration *configuration;
    zvfs_registry *registry;
    CHECK(argc == 3);
    CHECK(zvfs_configuration_new(&configuration, &error) == 0);
    CHECK(zvfs_configuration_add_provider_path(configuration, argv[2], &error) == 0);
    CHECK(zvfs_configuration_allow(configuration, "file", &error) == 0);
    CHECK(zvfs_registry_new(configuration, NULL, &registry, &error) == 0);
    a_fifo(registry, argv[1]);
    a_regular_file(registry, argv[1]);
    opens_that_fail(registry, argv[1]);
    a_control_holds_after_the_open(registry, argv[1]);
    tries_that_are_ended_say_what_they_were(registry, argv[1]);
    what_waits_for_ever();
    mistakes(registry);
    zvfs_registry_free(registry);
    zvfs_configuration_free(configuration);
    return 0;
}
