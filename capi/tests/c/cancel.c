/* What a cancel and a deadline do to a program's files, and what they wait for. Usage: cancel FOLDER PROVIDERS */
#include "check.h"
#include <zvfs.h>
#include <zvfs_provider.h>
#include <pthread.h>
#include <sched.h>

static zvfs_error error;

/* Found: after a cancel write and COMMIT were 0, and the file was there: a file and an object in memory never wait, so that they
 * never looked. */
static void nothing_is_published(zvfs_registry *registry, const char *descriptor, int timed_out) {
    int32_t code = timed_out ? -ZVFS_ETIMEDOUT : -ZVFS_ECANCELED;
    zvfs_open_options options;
    zvfs_control *control;
    zvfs_handle *handle, *read;
    char buf[16];
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    CHECK(zvfs_control_new(&control, &error) == 0);
    options.flags = ZVFS_OPEN_WRITE | ZVFS_OPEN_CREATE | ZVFS_OPEN_ATOMIC;
    options.control = control;
    CHECK(zvfs_registry_open(registry, descriptor, &options, &handle, &error) == 0);
    CHECK(zvfs_handle_write(handle, "half", 4, &error) == 4);
    CHECK((timed_out ? zvfs_control_set_deadline(control, 0, &error) : zvfs_control_cancel(control, &error)) == 0);
    CHECK(zvfs_handle_write_all(handle, " and more", 9, &error) == code);
    CHECK(strstr(error.message, timed_out ? "timed out" : "cancelled") != NULL);
    CHECK(zvfs_handle_finish(handle, ZVFS_FINISH_END, &error) == code);
    CHECK(zvfs_handle_finish(handle, ZVFS_FINISH_COMMIT, &error) == code);
    CHECK(zvfs_registry_open(registry, descriptor, &options, &read, &error) == code);
    CHECK(zvfs_handle_close(handle) == 0);

    options.control = NULL;
    options.flags = ZVFS_OPEN_READ;
    CHECK(zvfs_registry_open(registry, descriptor, &options, &read, &error) == -ZVFS_ENOENT);

    /* Lifted, the same control serves again; and a DISCARD needs no lift. */
    CHECK(zvfs_control_lift(control, &error) == 0);
    CHECK(zvfs_control_set_deadline(control, ZVFS_TIME_UNLIMITED, &error) == 0);
    options.control = control;
    options.flags = ZVFS_OPEN_WRITE | ZVFS_OPEN_CREATE | ZVFS_OPEN_ATOMIC;
    CHECK(zvfs_registry_open(registry, descriptor, &options, &handle, &error) == 0);
    CHECK(zvfs_control_cancel(control, &error) == 0);
    CHECK(zvfs_handle_finish(handle, ZVFS_FINISH_DISCARD, &error) == 0);
    CHECK(zvfs_handle_close(handle) == 0);
    CHECK(zvfs_control_lift(control, &error) == 0);
    CHECK(zvfs_registry_open(registry, descriptor, &options, &handle, &error) == 0);
    CHECK(zvfs_handle_write_all(handle, "whole", 5, &error) == 0);
    CHECK(zvfs_handle_finish(handle, ZVFS_FINISH_COMMIT, &error) == 0);
    CHECK(zvfs_handle_close(handle) == 0);
    options.flags = ZVFS_OPEN_READ;
    CHECK(zvfs_registry_open(registry, descriptor, &options, &read, &error) == 0);
    CHECK(zvfs_handle_read(read, buf, sizeof buf, &error) == 5 && memcmp(buf, "whole", 5) == 0);
    CHECK(zvfs_handle_close(read) == 0);
    zvfs_control_free(control);
}

/* A provider that says what it waits for, for ever. */
struct zvfs_file {
    zvfs_context *context;
};

static const zvfs_host *host;
static const zvfs_host_waiting *says;

static int32_t ZVFS_CALL bell_start(const zvfs_host *given, const zvfs_value *const *settings, zvfs_instance **out,
                                    zvfs_error *err) {
    (void)settings;
    host = given;
    says = (const zvfs_host_waiting *)given->extension(given, ZVFS_EXT_HOST_WAITING);
    if (!says) return zvfs_fail(err, ZVFS_ENOTSUP, "start: the host does not listen");
    *out = (zvfs_instance *)&says; /* it has no state: anything but NULL */
    return 0;
}

static int32_t ZVFS_CALL bell_open(zvfs_instance *none, const zvfs_open_request *request, zvfs_file **out, zvfs_error *err) {
    zvfs_file *file = (zvfs_file *)malloc(sizeof *file);
    (void)none;
    if (!file) return zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
    file->context = request->context;
    *out = file;
    return 0;
}

static int64_t ZVFS_CALL bell_read(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    int32_t came;
    (void)buf;
    (void)n;
    says->waits_for(file->context, "a ring of the bell", "pull the rope: it is wet");
    came = host->wait(file->context, -1, 0, ZVFS_TIME_UNLIMITED);
    says->waits_for(file->context, NULL, NULL);
    return zvfs_fail(err, came, "read");
}

static uint64_t ZVFS_CALL bell_capabilities(zvfs_file *file) {
    (void)file;
    return ZVFS_CAP_READABLE | ZVFS_CAP_CANCEL;
}

static void ZVFS_CALL bell_close(zvfs_file *file) { free(file); }

static void *ring(void *handle) {
    zvfs_error mine;
    char buf[1];
    CHECK(zvfs_handle_read((zvfs_handle *)handle, buf, 1, &mine) == -ZVFS_ECANCELED);
    CHECK(strstr(mine.message, "cancelled waiting for a ring of the bell for ") != NULL);
    CHECK(strstr(mine.message, "(last refusal: pull the rope: it is wet)") != NULL);
    return NULL;
}

static void what_is_waited_for_can_be_asked(zvfs_registry *registry) {
    static const char *const schemes[] = {"bell", NULL};
    zvfs_open_options options;
    zvfs_provider provider;
    zvfs_waiting waiting;
    zvfs_control *control;
    zvfs_handle *handle;
    pthread_t reader;
    memset(&provider, 0, sizeof provider);
    provider.struct_size = sizeof provider;
    provider.name = "bell";
    provider.schemes = schemes;
    provider.supported_flags = ZVFS_OPEN_READ;
    provider.start = bell_start;
    provider.open = bell_open;
    provider.close = bell_close;
    provider.read = bell_read;
    provider.capabilities = bell_capabilities;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.flags = ZVFS_OPEN_READ;
    CHECK(zvfs_control_new(&control, &error) == 0);
    options.control = control;
    CHECK(zvfs_registry_register(registry, &provider, &error) == 0);
    CHECK(zvfs_registry_open(registry, "bell:", &options, &handle, &error) == 0);

    memset(&waiting, 1, sizeof waiting);
    waiting.struct_size = sizeof waiting;
    CHECK(zvfs_control_waiting(control, &waiting, &error) == 0);
    CHECK(waiting.object[0] == 0 && waiting.refusal[0] == 0);

    CHECK(pthread_create(&reader, NULL, ring, handle) == 0);
    /* Cannot last: it waits, or the check in the thread ends the process. */
    do {
        sched_yield();
        CHECK(zvfs_control_waiting(control, &waiting, &error) == 0);
    } while (waiting.object[0] == 0 || waiting.ns == 0);
    CHECK(strcmp(waiting.object, "a ring of the bell") == 0);
    CHECK(strcmp(waiting.refusal, "pull the rope: it is wet") == 0);
    CHECK(zvfs_control_cancel(control, &error) == 0);
    CHECK(pthread_join(reader, NULL) == 0);
    CHECK(zvfs_control_waiting(control, &waiting, &error) == 0 && waiting.object[0] == 0);
    CHECK(zvfs_handle_close(handle) == 0);
    zvfs_control_free(control);
}

int main(int argc, char **argv) {
    static const char *const names[] = {"cancelled", "late"};
    zvfs_configuration *configuration;
    zvfs_registry *registry;
    char descriptor[512];
    int timed_out;
    CHECK(argc == 3);
    CHECK(zvfs_configuration_new(&configuration, &error) == 0);
    CHECK(zvfs_configuration_add_provider_path(configuration, argv[2], &error) == 0);
    CHECK(zvfs_configuration_allow_all(configuration, &error) == 0);
    CHECK(zvfs_registry_new(configuration, NULL, &registry, &error) == 0);
    zvfs_configuration_free(configuration);
    for (timed_out = 0; timed_out < 2; timed_out++) {
        snprintf(descriptor, sizeof descriptor, "mem:%s", names[timed_out]);
        nothing_is_published(registry, descriptor, timed_out);
        snprintf(descriptor, sizeof descriptor, "file:%s/%s", argv[1], names[timed_out]);
        nothing_is_published(registry, descriptor, timed_out);
    }
    what_is_waited_for_can_be_asked(registry);
    zvfs_registry_free(registry);
    printf("%d checks\n", checked);
    return 0;
}
