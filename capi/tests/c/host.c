/* Every function of zvfs.h as a program uses it, over the providers file and mem. Its argument is an empty folder. */
#include "check.h"
#include <sys/wait.h>
#include <unistd.h>
#include <zvfs.h>

static zvfs_error error;
static char path[4096], other[4096];

/* On success an error is left alone, so this one would show whatever was written. */
#define OK(call) CHECK((error.code = -1, (call)) == 0 && error.code == -1)
#define FAILS(number, call) CHECK((call) == -(number) && error.code == (number) && error.message[0] != 0)

static zvfs_handle *opened(zvfs_registry *registry, const char *descriptor, uint64_t flags) {
    zvfs_open_options options = {sizeof options, 0, 0, NULL, NULL, NULL};
    zvfs_handle *handle = NULL;
    options.flags = flags;
    if (zvfs_registry_open(registry, descriptor, &options, &handle, &error)) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    return handle;
}

static void about(void) {
    CHECK(strcmp(zvfs_version(), ZVFS_VERSION) == 0);
    CHECK(strcmp(zvfs_code_name(ZVFS_ENOENT), "ENOENT") == 0 && strcmp(zvfs_code_name(-ZVFS_EPIPE), "EPIPE") == 0);
    CHECK(strcmp(zvfs_code_text(-ZVFS_ENOENT), "no such file") == 0);
    CHECK(zvfs_code_name(0) == NULL && zvfs_code_name(250) == NULL && zvfs_code_name(INT32_MIN) == NULL);
    CHECK(zvfs_code_text(0)[0] != 0 && zvfs_code_text(99999)[0] != 0 && zvfs_code_text(INT32_MIN)[0] != 0);
}

static void data(zvfs_registry *registry) {
    zvfs_stat stat = {sizeof stat, 0, 0, 0, 0, {0}};
    char buf[16] = {0};
    zvfs_handle *handle = opened(registry, path, ZVFS_OPEN_READ | ZVFS_OPEN_WRITE | ZVFS_OPEN_CREATE);
    uint64_t capabilities = zvfs_handle_capabilities(handle);
    CHECK(capabilities & ZVFS_CAP_READABLE && capabilities & ZVFS_CAP_WRITABLE && capabilities & ZVFS_CAP_SEEKABLE);
    CHECK(strcmp(zvfs_handle_shown(handle), path) == 0);
    OK(zvfs_handle_write_all(handle, "hello, world", 12, &error));
    CHECK(zvfs_handle_tell(handle, &error) == 12);
    CHECK(zvfs_handle_read(handle, buf, sizeof buf, &error) == 0);
    CHECK(zvfs_handle_seek(handle, -5, ZVFS_SEEK_END, &error) == 7);
    CHECK(zvfs_handle_read(handle, buf, sizeof buf, &error) == 5 && memcmp(buf, "world", 6) == 0);
    CHECK(zvfs_handle_seek(handle, 0, ZVFS_SEEK_SET, &error) == 0);
    CHECK(zvfs_handle_write(handle, "J", 1, &error) == 1);
    CHECK(zvfs_handle_write_at(handle, "W", 1, 7, &error) == 1);
    CHECK(zvfs_handle_read_at(handle, buf, 12, 0, &error) == 12 && memcmp(buf, "Jello, World", 12) == 0);
    CHECK(zvfs_handle_read_at(handle, buf, 1, 1000, &error) == 0);
    CHECK(zvfs_handle_tell(handle, NULL) == 1);
    OK(zvfs_handle_truncate(handle, 5, &error));
    OK(zvfs_handle_stat(handle, &stat, &error));
    CHECK(stat.size == 5 && stat.kind == ZVFS_KIND_REGULAR && stat.modified_ns > 0 && stat.struct_size == sizeof stat);
    CHECK(capabilities & ZVFS_CAP_TIMES);
    OK(zvfs_handle_set_modified(handle, 1000000000123456789, &error));
    FAILS(ZVFS_EINVAL, zvfs_handle_set_modified(handle, ZVFS_TIME_UNKNOWN, &error));
    OK(zvfs_handle_flush(handle, ZVFS_FLUSH_PUSH, &error));
    OK(zvfs_handle_flush(handle, ZVFS_FLUSH_SYNC, &error));
    CHECK(zvfs_handle_write_at(handle, "J", 1, 0, &error) == 1);
    OK(zvfs_handle_finish(handle, ZVFS_FINISH_COMMIT, &error));
    OK(zvfs_handle_stat(handle, &stat, &error));
    CHECK(stat.modified_ns / 1000000000 == 1000000000);
    FAILS(ZVFS_EBADF, zvfs_handle_set_modified(handle, 0, &error));
    CHECK(zvfs_handle_read(handle, NULL, 0, &error) == 0);
    FAILS(ZVFS_EINVAL, zvfs_handle_seek(handle, -1, ZVFS_SEEK_SET, &error));
    FAILS(ZVFS_EINVAL, zvfs_handle_seek(handle, 0, 9, &error));
    FAILS(ZVFS_EINVAL, zvfs_handle_flush(handle, 9, &error));
    FAILS(ZVFS_EINVAL, zvfs_handle_finish(handle, 9, &error));
    CHECK(zvfs_handle_close(handle) == 0);

    handle = opened(registry, path, 0);
    CHECK(zvfs_handle_read(handle, buf, sizeof buf, &error) == 5);
    FAILS(ZVFS_EBADF, zvfs_handle_write(handle, "x", 1, &error));
    FAILS(ZVFS_ENOTSUP, zvfs_handle_set_modified(handle, 0, &error));
    CHECK(zvfs_handle_close(handle) == 0);
}

static void atomically(zvfs_registry *registry) {
    zvfs_stat stat = {sizeof stat, 0, 0, 0, 0, {0}};
    uint64_t flags = ZVFS_OPEN_WRITE | ZVFS_OPEN_CREATE | ZVFS_OPEN_ATOMIC;
    zvfs_handle *handle = opened(registry, other, flags);
    OK(zvfs_handle_write_all(handle, "piece", 5, &error));
    OK(zvfs_handle_finish(handle, ZVFS_FINISH_DISCARD, &error));
    CHECK(zvfs_handle_close(handle) == 0);
    FAILS(ZVFS_ENOENT, zvfs_registry_stat(registry, other, NULL, &stat, &error));
    CHECK(strstr(error.message, other) != NULL);
}

static uint64_t progress_total;

static void progress(void *arg, uint64_t bytes) {
    CHECK(arg == &progress_total && bytes >= progress_total);
    progress_total = bytes;
}

static void copying(zvfs_registry *registry) {
    zvfs_handle *from = opened(registry, path, ZVFS_OPEN_READ);
    zvfs_handle *to = opened(registry, "mem:copy", ZVFS_OPEN_READ | ZVFS_OPEN_WRITE | ZVFS_OPEN_CREATE);
    char buf[8];
    CHECK(zvfs_handle_copy(from, to, 2, NULL, NULL, &error) == 2);
    CHECK(zvfs_handle_copy(from, to, ZVFS_COPY_ALL, progress, &progress_total, &error) == 3 && progress_total == 3);
    CHECK(zvfs_handle_copy(from, to, ZVFS_COPY_ALL, NULL, NULL, &error) == 0);
    CHECK(zvfs_handle_seek(to, 0, ZVFS_SEEK_SET, &error) == 0);
    CHECK(zvfs_handle_read(to, buf, sizeof buf, &error) == 5 && memcmp(buf, "Jello", 5) == 0);
    FAILS(ZVFS_EINVAL, zvfs_handle_copy(to, to, 1, NULL, NULL, &error));
    CHECK(zvfs_handle_seek(to, 0, ZVFS_SEEK_SET, &error) == 0);
    FAILS(ZVFS_EBADF, zvfs_handle_copy(to, from, ZVFS_COPY_ALL, NULL, NULL, &error));
    CHECK(zvfs_handle_close(from) == 0 && zvfs_handle_close(to) == 0);
}

static int32_t count(void *arg, const zvfs_entry *entry) {
    CHECK(strcmp(entry->name, "a") == 0);
    ++*(int *)arg;
    return 0;
}

static int32_t count_bytes(void *arg, const zvfs_name *name) {
    CHECK(name->length == 1 ? *name->bytes == 'a' : name->length == 4 && memcmp(name->bytes, "odd\xff", 4) == 0);
    ++*(int *)arg;
    return 0;
}

static void names(zvfs_registry *registry, const char *folder) {
    zvfs_stat stat = {sizeof stat, 0, 0, 0, 0, {0}};
    int entries = 0;
    uint64_t flags = 0;
    char odd[4096];
    OK(zvfs_registry_stat(registry, path, NULL, &stat, &error));
    CHECK(stat.size == 5 && stat.kind == ZVFS_KIND_REGULAR);
    OK(zvfs_registry_list(registry, folder, NULL, count, &entries, &error));
    CHECK(entries == 1);
    /* A name that is not UTF-8. */
    snprintf(odd, sizeof odd, "file:%.4000s/odd%%FF", folder);
    CHECK(zvfs_handle_close(opened(registry, odd, ZVFS_OPEN_WRITE | ZVFS_OPEN_CREATE)) == 0);
    entries = 0;
    OK(zvfs_registry_names(registry, folder, NULL, count_bytes, &entries, &error));
    CHECK(entries == 2);
    OK(zvfs_registry_remove(registry, odd, NULL, &error));
    FAILS(ZVFS_ENOTDIR, zvfs_registry_names(registry, path, NULL, count_bytes, &entries, &error));
    FAILS(ZVFS_ENOTDIR, zvfs_registry_list(registry, path, NULL, count, &entries, &error));
    FAILS(ZVFS_EISDIR, zvfs_registry_remove(registry, folder, NULL, &error));
    OK(zvfs_registry_supported_flags(registry, path, &flags, &error));
    CHECK(flags & ZVFS_OPEN_ATOMIC && flags & ZVFS_OPEN_READ);
    OK(zvfs_registry_remove(registry, path, NULL, &error));
    FAILS(ZVFS_ENOENT, zvfs_registry_remove(registry, path, NULL, &error));
    snprintf(odd, sizeof odd, "%.4000s/made", folder);
    OK(zvfs_registry_make_folder(registry, odd, NULL, &error));
    FAILS(ZVFS_EEXIST, zvfs_registry_make_folder(registry, odd, NULL, &error));
    FAILS(ZVFS_ENOTEMPTY, zvfs_registry_remove_folder(registry, folder, NULL, &error));
    OK(zvfs_registry_set_modified(registry, odd, NULL, -5000000000, &error));
    OK(zvfs_registry_stat(registry, odd, NULL, &stat, &error));
    CHECK(stat.modified_ns == -5000000000 && stat.kind == ZVFS_KIND_DIRECTORY);
    FAILS(ZVFS_EINVAL, zvfs_registry_set_modified(registry, odd, NULL, ZVFS_TIME_UNKNOWN, &error));
    OK(zvfs_registry_remove_folder(registry, odd, NULL, &error));
    FAILS(ZVFS_ENOENT, zvfs_registry_set_modified(registry, odd, NULL, 0, &error));
    FAILS(ZVFS_ENOTSUP, zvfs_registry_set_modified(registry, "null:", NULL, 0, &error));
    FAILS(ZVFS_ENOENT, zvfs_registry_remove_folder(registry, odd, NULL, &error));
    FAILS(ZVFS_ENOTSUP, zvfs_registry_make_folder(registry, "null:", NULL, &error));
}

static void deadlines(zvfs_registry *registry) {
    zvfs_open_options options = {sizeof options, ZVFS_OPEN_READ, 0, NULL, NULL, NULL};
    zvfs_handle *handle;
    OK(zvfs_control_new(&options.control, &error));
    OK(zvfs_control_cancel(options.control, &error));
    FAILS(ZVFS_ECANCELED, zvfs_registry_open(registry, "null:", &options, &handle, &error));
    OK(zvfs_control_lift(options.control, &error));
    OK(zvfs_control_set_deadline(options.control, 0, &error));
    FAILS(ZVFS_ETIMEDOUT, zvfs_registry_open(registry, "null:", &options, &handle, &error));
    OK(zvfs_control_set_deadline(options.control, ZVFS_TIME_UNLIMITED, &error));
    OK(zvfs_registry_open(registry, "null:", &options, &handle, &error));
    /* The handle keeps what it needs of it. */
    zvfs_control_free(options.control);
    FAILS(ZVFS_EBADF, zvfs_control_cancel(options.control, &error));
    CHECK(zvfs_handle_close(handle) == 0);
}

/* A child has its parent's libraries, but not what they started or opened. */
static void forked(zvfs_registry *registry) {
    zvfs_handle *handle = opened(registry, "mem:fork", ZVFS_OPEN_WRITE | ZVFS_OPEN_CREATE), *own;
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        FAILS(ZVFS_EPERM, zvfs_handle_write_all(handle, "x", 1, &error));
        FAILS(ZVFS_EPERM, zvfs_registry_open(registry, "mem:fork", NULL, &own, &error));
        CHECK(strstr(error.message, "make a new registry after a fork") != NULL);
        CHECK(zvfs_handle_close(handle) == 0);
        zvfs_registry_free(registry);
        OK(zvfs_registry_new(NULL, NULL, &registry, &error));
        own = opened(registry, "mem:own", ZVFS_OPEN_WRITE | ZVFS_OPEN_CREATE);
        OK(zvfs_handle_write_all(own, "x", 1, &error));
        CHECK(zvfs_handle_close(own) == 0);
        zvfs_registry_free(registry);
        /* Not an exit, at which a leak checker finds what the parent's instance left in this copy of its memory. */
        execl("/bin/true", "true", (char *)NULL);
        _exit(1);
    }
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    OK(zvfs_handle_write_all(handle, "x", 1, &error));
    CHECK(zvfs_handle_close(handle) == 0);
}

static int lines;

static void log_line(void *arg, uint32_t level, const char *text) {
    CHECK(arg == &lines && level <= ZVFS_LOG_DEBUG && text[0] != 0);
    lines++;
}

/* What the program decides itself, instead of an operator. */
static void configured(const char *folder, const char *providers) {
    const char *settings[] = {NULL, NULL};
    zvfs_registry_options options = {sizeof options, "host.c", "1", log_line, &lines, ZVFS_LOG_DEBUG, 0};
    zvfs_configuration *configuration;
    zvfs_registry *registry;
    zvfs_handle *handle;
    char root[4096];
    OK(zvfs_configuration_new(&configuration, &error));
    OK(zvfs_registry_new(configuration, NULL, &registry, &error));
    FAILS(ZVFS_EPROTONOSUPPORT, zvfs_registry_open(registry, "mem:x", NULL, &handle, &error));
    zvfs_registry_free(registry);

    OK(zvfs_configuration_add_provider_path(configuration, providers, &error));
    FAILS(ZVFS_EINVAL, zvfs_configuration_add_provider_path(configuration, "relative", &error));
    OK(zvfs_configuration_allow(configuration, "file", &error));
    FAILS(ZVFS_EINVAL, zvfs_configuration_allow(configuration, "../file", &error));
    FAILS(ZVFS_EINVAL, zvfs_configuration_allow_all(configuration, &error));
    FAILS(ZVFS_EINVAL, zvfs_configuration_pin(configuration, "file", "abc", &error));
    FAILS(ZVFS_EINVAL, zvfs_configuration_place_in_process(configuration, "file", "dsn = true", &error));
    FAILS(ZVFS_EINVAL, zvfs_configuration_place_in_process(configuration, "file", "read = [\"relative\"]", &error));
    OK(zvfs_configuration_set(configuration, "file", "read-only", "true", &error));
    OK(zvfs_configuration_append(configuration, "file", "root", "/usr", &error));
    OK(zvfs_configuration_append(configuration, "file", "root", folder, &error));
    snprintf(root, sizeof root, "read-only=false");
    settings[0] = root;
    OK(zvfs_configuration_alias(configuration, "data", "file", "file", settings, &error));
    OK(zvfs_registry_new(configuration, &options, &registry, &error));
    /* A registry keeps its own copy. */
    zvfs_configuration_free(configuration);
    FAILS(ZVFS_EBADF, zvfs_configuration_allow(configuration, "mem", &error));
    FAILS(ZVFS_EACCES, zvfs_registry_open(registry, "mem:x", NULL, &handle, &error));
    FAILS(ZVFS_EACCES, zvfs_registry_open(registry, "file:/etc/passwd", NULL, &handle, &error));
    CHECK(lines > 0);
    {
        zvfs_open_options how = {sizeof how, ZVFS_OPEN_WRITE | ZVFS_OPEN_CREATE, 0, NULL, NULL, NULL};
        char descriptor[5000];
        CHECK(zvfs_registry_open(registry, path, &how, &handle, &error) < 0);
        snprintf(descriptor, sizeof descriptor, "data:%s", path);
        OK(zvfs_registry_open(registry, descriptor, &how, &handle, &error));
        OK(zvfs_handle_finish(handle, ZVFS_FINISH_COMMIT, &error));
        CHECK(zvfs_handle_close(handle) == 0);
        OK(zvfs_registry_remove(registry, descriptor, NULL, &error));
    }
    zvfs_registry_free(registry);

    OK(zvfs_configuration_parse("[provider.mem]\n", &configuration, &error));
    OK(zvfs_configuration_add_provider_path(configuration, providers, &error));
    OK(zvfs_registry_new(configuration, NULL, &registry, &error));
    zvfs_configuration_free(configuration);
    handle = opened(registry, "mem:x", ZVFS_OPEN_WRITE | ZVFS_OPEN_CREATE);
    /* An open handle keeps its registry's providers going. */
    zvfs_registry_free(registry);
    CHECK(zvfs_handle_write(handle, "x", 1, &error) == 1 && zvfs_handle_close(handle) == 0);
    FAILS(ZVFS_EINVAL, zvfs_configuration_parse("[provider", &configuration, &error));
    FAILS(ZVFS_ENOENT, zvfs_configuration_find("/no/such/zvfs.toml", &configuration, &error));
}

int main(int count_, char **arguments) {
    zvfs_registry *registry;
    CHECK(count_ == 3);
    snprintf(path, sizeof path, "%s/a", arguments[1]);
    snprintf(other, sizeof other, "%s/b", arguments[1]);
    about();
    OK(zvfs_registry_new(NULL, NULL, &registry, &error));
    data(registry);
    atomically(registry);
    copying(registry);
    names(registry, arguments[1]);
    deadlines(registry);
    forked(registry);
    zvfs_registry_free(registry);
    configured(arguments[1], arguments[2]);
    printf("%d checks\n", checked);
    return 0;
}
