/* What several handles share, and what they must not: one control for many, a parent's for its child, the thread's buffer for
 * errors, a registry that is freed while one of them is open, and a log that nobody reads any more. */
#include "check.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zvfs.h>
#include <zvfs_provider.h>

static zvfs_error error;
static int cancelled[8], opened, stopped;

struct zvfs_instance {
    const zvfs_host *host;
};

struct zvfs_file {
    const zvfs_host *host;
    zvfs_context *context;
    int number;
};

static void ZVFS_CALL count_cancel(void *file) { cancelled[((zvfs_file *)file)->number]++; }

static int32_t ZVFS_CALL sample_start(const zvfs_host *host, const zvfs_value *const *settings, zvfs_instance **out,
                                      zvfs_error *err) {
    zvfs_instance *instance = (zvfs_instance *)malloc(sizeof *instance);
    (void)settings;
    if (!instance) return zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
    instance->host = host;
    *out = instance;
    return 0;
}

static void ZVFS_CALL sample_stop(zvfs_instance *instance) {
    stopped++;
    free(instance);
}

static int32_t ZVFS_CALL sample_open(zvfs_instance *instance, const zvfs_open_request *request, zvfs_file **out,
                                     zvfs_error *err) {
    zvfs_file *file;
    if (!strcmp(request->rest, "long")) return zvfs_fail(err, ZVFS_EIO, "a long text of %s", "another call");
    if (!strcmp(request->rest, "short")) { /* without an end: the header says that the rest is zero */
        memcpy(err->message, "no such", 7);
        err->code = ZVFS_ENOENT;
        return -ZVFS_ENOENT;
    }
    if (!strcmp(request->rest, "log")) instance->host->log(instance->host, ZVFS_LOG_WARNING, "a warning");
    file = (zvfs_file *)malloc(sizeof *file);
    if (!file) return zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
    file->host = instance->host;
    file->context = request->context;
    file->number = opened++ % 8;
    *out = file;
    return instance->host->on_cancel(request->context, count_cancel, file);
}

static int64_t ZVFS_CALL sample_read(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    (void)buf, (void)n;
    int32_t ended = file->host->wait(file->context, -1, 0, 1000);
    return ended < 0 ? zvfs_fail(err, ended, "read: stopped") : 0;
}

static int32_t ZVFS_CALL sample_finish(zvfs_file *file, uint32_t how, zvfs_error *err) {
    (void)file, (void)how, (void)err;
    return 0;
}

static uint64_t ZVFS_CALL sample_capabilities(zvfs_file *file) {
    (void)file;
    return ZVFS_CAP_READABLE | ZVFS_CAP_CANCEL;
}

static void ZVFS_CALL sample_close(zvfs_file *file) { free(file); }

static zvfs_registry *new_registry(const char *const names[2]) {
    static const char *const schemes[2][2] = {{"sample", NULL}, {"other", NULL}};
    static zvfs_provider providers[2];
    zvfs_configuration *configuration;
    zvfs_registry *registry;
    int at;
    CHECK(zvfs_configuration_new(&configuration, &error) == 0);
    CHECK(zvfs_registry_new(configuration, NULL, &registry, &error) == 0);
    zvfs_configuration_free(configuration);
    for (at = 0; at < 2; at++) {
        zvfs_provider *provider = &providers[at];
        memset(provider, 0, sizeof *provider);
        provider->struct_size = sizeof *provider;
        provider->name = names[at];
        provider->schemes = schemes[at];
        provider->supported_flags = ZVFS_OPEN_READ;
        provider->start = sample_start;
        provider->stop = sample_stop;
        provider->open = sample_open;
        provider->finish = sample_finish;
        provider->close = sample_close;
        provider->read = sample_read;
        provider->capabilities = sample_capabilities;
        CHECK(zvfs_registry_register(registry, provider, &error) == 0);
    }
    return registry;
}

static void one_control_for_two(zvfs_registry *registry) {
    zvfs_open_options options = {sizeof options, ZVFS_OPEN_READ, 0, NULL, NULL, NULL};
    zvfs_handle *first, *second;
    zvfs_control *control;
    char byte;
    CHECK(zvfs_control_new(&control, &error) == 0);
    options.control = control;
    opened = 0;
    CHECK(zvfs_registry_open(registry, "sample:a", &options, &first, &error) == 0);
    CHECK(zvfs_registry_open(registry, "sample:b", &options, &second, &error) == 0);
    CHECK(zvfs_control_cancel(control, &error) == 0);
    CHECK(cancelled[0] == 1 && cancelled[1] == 1);
    /* A DISCARD lifts the cancel of its own handle only. */
    CHECK(zvfs_handle_finish(second, ZVFS_FINISH_DISCARD, &error) == 0);
    CHECK(zvfs_handle_close(second) == 0);
    CHECK(zvfs_registry_open(registry, "sample:c", &options, &second, &error) == -ZVFS_ECANCELED);
    CHECK(zvfs_control_lift(control, &error) == 0);
    CHECK(zvfs_registry_open(registry, "sample:c", &options, &second, &error) == 0);
    CHECK(zvfs_handle_close(first) == 0);
    CHECK(zvfs_control_cancel(control, &error) == 0);
    CHECK(cancelled[2] == 1);
    CHECK(zvfs_handle_read(second, &byte, 1, &error) == -ZVFS_ECANCELED);
    CHECK(zvfs_handle_close(second) == 0);
    zvfs_control_free(control);
}

static void a_childs_cancel_is_not_its_parents(zvfs_registry *registry) {
    zvfs_open_options options = {sizeof options, ZVFS_OPEN_READ, 0, NULL, NULL, NULL};
    zvfs_handle *handle;
    zvfs_control *control;
    char byte;
    int status = 0;
    pid_t child;
    CHECK(zvfs_control_new(&control, &error) == 0);
    options.control = control;
    opened = 0;
    memset(cancelled, 0, sizeof cancelled);
    CHECK(zvfs_registry_open(registry, "sample:x", &options, &handle, &error) == 0);
    CHECK(zvfs_handle_read(handle, &byte, 1, &error) == 0);
    child = fork();
    if (child == 0) {
        CHECK(zvfs_handle_read(handle, &byte, 1, &error) == -ZVFS_EPERM);
        CHECK(zvfs_control_cancel(control, &error) == -ZVFS_EPERM && cancelled[0] == 0);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(fired() == 0);
    CHECK(zvfs_handle_read(handle, &byte, 1, &error) == 0);
    CHECK(zvfs_control_cancel(control, &error) == 0 && cancelled[0] == 1 && fired() == 1);
    CHECK(zvfs_handle_close(handle) == 0);
    zvfs_control_free(control);
}

static void errors_are_of_one_call(zvfs_registry *registry) {
    zvfs_handle *handle;
    CHECK(zvfs_registry_open(registry, "sample:long", NULL, &handle, &error) == -ZVFS_EIO);
    CHECK(zvfs_registry_open(registry, "sample:short", NULL, &handle, &error) == -ZVFS_ENOENT);
    CHECK(strcmp(error.message, "open sample:short: no such") == 0);
}

static void a_log_without_a_reader(zvfs_registry *registry) {
    zvfs_handle *handle;
    int ends[2], old = dup(2);
    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    CHECK(pipe(ends) == 0 && old >= 0);
    close(ends[0]);
    CHECK(dup2(ends[1], 2) == 2);
    CHECK(zvfs_registry_open(registry, "sample:log", NULL, &handle, &error) == 0);
    CHECK(dup2(old, 2) == 2);
    close(old);
    close(ends[1]);
    CHECK(zvfs_handle_close(handle) == 0);
}

/* Last: frees the registry. */
static void idle_instances_stop_at_the_free(zvfs_registry *registry) {
    zvfs_handle *idle, *busy;
    CHECK(zvfs_registry_open(registry, "other:x", NULL, &idle, &error) == 0);
    CHECK(zvfs_registry_open(registry, "sample:x", NULL, &busy, &error) == 0);
    CHECK(zvfs_handle_close(idle) == 0 && stopped == 0);
    zvfs_registry_free(registry);
    CHECK(stopped == 1);
    CHECK(zvfs_handle_close(busy) == 0 && stopped == 2);
}

static void offers_and_reserved(zvfs_registry *registry) {
    const char *offered[] = {"digest=sha256", NULL};
    zvfs_open_options options = {sizeof options, ZVFS_OPEN_READ, 0, NULL, NULL, NULL};
    zvfs_registry_options wrong = {sizeof wrong, NULL, NULL, NULL, NULL, 0, 1};
    zvfs_registry *none;
    zvfs_handle *handle;
    options.offered = offered;
    CHECK(zvfs_registry_open(registry, "sample:x", &options, &handle, &error) == 0);
    CHECK(zvfs_handle_close(handle) == 0);
    CHECK(zvfs_registry_new(NULL, &wrong, &none, &error) == -ZVFS_EINVAL);
    CHECK(strstr(error.message, "options.reserved is not 0") != NULL);
}

int main(void) {
    static const char *const names[] = {"sample", "other"};
    zvfs_registry *registry = new_registry(names);
    one_control_for_two(registry);
    a_childs_cancel_is_not_its_parents(registry);
    errors_are_of_one_call(registry);
    a_log_without_a_reader(registry);
    offers_and_reserved(registry);
    idle_instances_stop_at_the_free(registry);
    printf("%d checks\n", checked);
    return 0;
}
