/* What a program may do wrong without being punished by a crash. */
#include "check.h"
#include <errno.h>
#include <zvfs.h>
#include <zvm.h>

static zvfs_error error;

#define REFUSED(number, call) \
    CHECK((error.message[0] = 0, (call)) == -(number) && error.code == (number) && error.message[0] != 0)

static void null(void) {
    char buf[8];
    zvfs_stat stat = {sizeof stat, 0, 0, 0, 0, {0}};
    zvfs_configuration_free(NULL);
    zvfs_registry_free(NULL);
    zvfs_control_free(NULL);
    CHECK(zvfs_handle_close(NULL) == 0);
    REFUSED(ZVFS_EINVAL, zvfs_configuration_new(NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_configuration_find(NULL, NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_configuration_parse(NULL, NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_configuration_add_provider_path(NULL, "/", &error));
    REFUSED(ZVFS_EINVAL, zvfs_configuration_allow(NULL, "x", &error));
    REFUSED(ZVFS_EINVAL, zvfs_configuration_allow_all(NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_configuration_pin(NULL, "x", "y", &error));
    REFUSED(ZVFS_EINVAL, zvfs_configuration_place_in_process(NULL, "x", "", &error));
    REFUSED(ZVFS_EINVAL, zvfs_configuration_set(NULL, "x", "y", "z", &error));
    REFUSED(ZVFS_EINVAL, zvfs_configuration_append(NULL, "x", "y", "z", &error));
    REFUSED(ZVFS_EINVAL, zvfs_configuration_alias(NULL, "xy", "y", NULL, NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_control_new(NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_control_cancel(NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_control_lift(NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_control_set_deadline(NULL, 0, &error));
    REFUSED(ZVFS_EINVAL, zvfs_registry_new(NULL, NULL, NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_registry_register(NULL, NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_registry_open(NULL, "null:", NULL, NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_registry_supported_flags(NULL, "null:", NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_registry_stat(NULL, "null:", NULL, &stat, &error));
    REFUSED(ZVFS_EINVAL, zvfs_registry_list(NULL, "null:", NULL, NULL, NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_registry_names(NULL, "null:", NULL, NULL, NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_registry_remove(NULL, "null:", NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_registry_make_folder(NULL, "null:", NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_registry_remove_folder(NULL, "null:", NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_registry_set_modified(NULL, "null:", NULL, 0, &error));
    CHECK(zvfs_handle_capabilities(NULL) == 0 && zvfs_handle_shown(NULL) == NULL);
    REFUSED(ZVFS_EINVAL, zvfs_handle_read(NULL, buf, 8, &error));
    REFUSED(ZVFS_EINVAL, zvfs_handle_write(NULL, buf, 8, &error));
    REFUSED(ZVFS_EINVAL, zvfs_handle_write_all(NULL, buf, 8, &error));
    REFUSED(ZVFS_EINVAL, zvfs_handle_read_at(NULL, buf, 8, 0, &error));
    REFUSED(ZVFS_EINVAL, zvfs_handle_write_at(NULL, buf, 8, 0, &error));
    REFUSED(ZVFS_EINVAL, zvfs_handle_seek(NULL, 0, 0, &error));
    REFUSED(ZVFS_EINVAL, zvfs_handle_tell(NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_handle_truncate(NULL, 0, &error));
    REFUSED(ZVFS_EINVAL, zvfs_handle_stat(NULL, &stat, &error));
    REFUSED(ZVFS_EINVAL, zvfs_handle_flush(NULL, ZVFS_FLUSH_PUSH, &error));
    REFUSED(ZVFS_EINVAL, zvfs_handle_finish(NULL, ZVFS_FINISH_END, &error));
    REFUSED(ZVFS_EINVAL, zvfs_handle_copy(NULL, NULL, 1, NULL, NULL, &error));
    CHECK(zvfs_netpipe_error(NULL) == -ZVFS_EINVAL);
    CHECK(strstr(error.message, "source is NULL") != NULL);
}

static void wrong_arguments(zvfs_registry *registry) {
    const char *no_value[] = {"novalue", NULL};
    const char *unknown[] = {"color=red", NULL};
    zvfs_open_options options = {sizeof options, ZVFS_OPEN_READ, 0, NULL, NULL, NULL};
    struct { zvfs_open_options known; uint64_t more; } newer = {{sizeof newer, 0, 0, NULL, NULL, NULL}, 1};
    zvfs_stat stat = {0, 0, 0, 0, 0, {0}};
    zvfs_handle *handle = NULL;
    REFUSED(ZVFS_EINVAL, zvfs_registry_open(registry, NULL, NULL, &handle, &error));
    REFUSED(ZVFS_EINVAL, zvfs_registry_open(registry, "null:", NULL, NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_registry_open(registry, "null:\xff", NULL, &handle, &error));
    REFUSED(ZVFS_EINVAL, zvfs_registry_open(registry, "relative/path", NULL, &handle, &error));
    REFUSED(ZVFS_EPROTONOSUPPORT, zvfs_registry_open(registry, "nosuch:x", NULL, &handle, &error));
    REFUSED(ZVFS_EINVAL, zvfs_registry_list(registry, "file:/", NULL, NULL, NULL, &error));
    REFUSED(ZVFS_EINVAL, zvfs_registry_stat(registry, "file:/", NULL, &stat, &error));
    REFUSED(ZVFS_EINVAL, zvfs_registry_register(registry, NULL, &error));
    options.struct_size = 8;
    REFUSED(ZVFS_EINVAL, zvfs_registry_open(registry, "null:", &options, &handle, &error));
    options.struct_size = sizeof options;
    options.flags = ZVFS_OPEN_READ | ZVFS_OPEN_CREATE;
    REFUSED(ZVFS_EINVAL, zvfs_registry_open(registry, "null:", &options, &handle, &error));
    options.flags = ZVFS_OPEN_READ;
    options.settings = no_value;
    REFUSED(ZVFS_EINVAL, zvfs_registry_open(registry, "null:", &options, &handle, &error));
    options.settings = unknown;
    REFUSED(ZVFS_EINVAL, zvfs_registry_open(registry, "null:", &options, &handle, &error));
    options.settings = NULL;
    options.offered = unknown;
    REFUSED(ZVFS_EINVAL, zvfs_registry_open(registry, "null:", &options, &handle, &error));
    REFUSED(ZVFS_EINVAL, zvfs_registry_open(registry, "null:", &newer.known, &handle, &error));
    newer.more = 0;
    CHECK(handle == NULL);
    CHECK(zvfs_registry_open(registry, "null:", &newer.known, &handle, &error) == 0);
    REFUSED(ZVFS_EFAULT, zvfs_handle_read(handle, NULL, 1, &error));
    CHECK(zvfs_handle_read(handle, NULL, 1, NULL) == -ZVFS_EFAULT);
    CHECK(zvfs_handle_close(handle) == 0);
}

static void after_the_end(zvfs_registry *registry) {
    char buf[8];
    zvfs_handle *handle;
    zvfs_control *control;
    CHECK(zvfs_registry_open(registry, "null:", NULL, &handle, &error) == 0);
    CHECK(zvfs_handle_close(handle) == 0);
    CHECK(zvfs_handle_close(handle) == -ZVFS_EBADF);
    CHECK(zvfs_handle_capabilities(handle) == 0 && zvfs_handle_shown(handle) == NULL);
    REFUSED(ZVFS_EBADF, zvfs_handle_read(handle, buf, 8, &error));
    CHECK(zvfs_control_new(&control, &error) == 0);
    zvfs_control_free(control);
    zvfs_control_free(control);
    REFUSED(ZVFS_EBADF, zvfs_control_cancel(control, &error));
    zvfs_registry_free(registry);
    zvfs_registry_free(registry);
    REFUSED(ZVFS_EBADF, zvfs_registry_open(registry, "null:", NULL, &handle, &error));
}

/* Found: a handle passed as a registry crashed, and a registry as a handle wrote out of bounds. */
static void another_kind(zvfs_registry *registry) {
    union { void *any; zvfs_configuration *configuration; zvfs_control *control; zvfs_registry *registry; zvfs_handle *handle;
        netpipe_t *pipe; } objects[7];
    zvfs_open_options options = {sizeof options, ZVFS_OPEN_READ, 0, NULL, NULL, NULL};
    zvfs_handle *out = NULL;
    zvfs_registry *made = NULL;
    char buf[8];
    int at;
    CHECK(zvfs_configuration_new(&objects[0].configuration, &error) == 0);
    CHECK(zvfs_control_new(&objects[1].control, &error) == 0);
    objects[2].registry = registry;
    CHECK(zvfs_registry_open(registry, "null:", NULL, &objects[3].handle, &error) == 0);
    CHECK((objects[4].pipe = netpipe_open("null:")) != NULL);
    objects[5].any = (void *)1; /* what libzvm gives out is odd */
    objects[6].any = buf + 1;
    for (at = 0; at < 7; at++) {
        if (at != 0) {
            REFUSED(ZVFS_EBADF, zvfs_configuration_allow(objects[at].configuration, "x", &error));
            REFUSED(ZVFS_EBADF, zvfs_registry_new(objects[at].configuration, NULL, &made, &error));
            zvfs_configuration_free(objects[at].configuration);
        }
        if (at != 1) {
            REFUSED(ZVFS_EBADF, zvfs_control_cancel(objects[at].control, &error));
            options.control = objects[at].control;
            REFUSED(ZVFS_EBADF, zvfs_registry_open(registry, "null:", &options, &out, &error));
            zvfs_control_free(objects[at].control);
        }
        if (at != 2) {
            REFUSED(ZVFS_EBADF, zvfs_registry_open(objects[at].registry, "null:", NULL, &out, &error));
            REFUSED(ZVFS_EBADF, zvfs_registry_remove(objects[at].registry, "null:", NULL, &error));
            zvfs_registry_free(objects[at].registry);
        }
        if (at != 3) {
            REFUSED(ZVFS_EBADF, zvfs_handle_read(objects[at].handle, buf, 8, &error));
            REFUSED(ZVFS_EBADF, zvfs_handle_copy(objects[3].handle, objects[at].handle, 1, NULL, NULL, &error));
            CHECK(zvfs_handle_capabilities(objects[at].handle) == 0 && zvfs_handle_shown(objects[at].handle) == NULL);
            CHECK(zvfs_handle_close(objects[at].handle) == -ZVFS_EBADF);
        }
        if (at != 4) {
            CHECK(netpipe_read(objects[at].pipe, buf, 8) == -1 && errno == EBADF);
            CHECK(netpipe_close(objects[at].pipe) == -1 && errno == EBADF);
        }
    }
    CHECK(made == NULL && out == NULL);
    REFUSED(ZVFS_EBADF, zvfs_handle_read((zvfs_handle *)(void *)registry, buf, 8, &error));
    CHECK(strstr(error.message, "handle: is a registry, expected a handle") != NULL);
    CHECK(netpipe_close(objects[4].pipe) == 0);
    CHECK(zvfs_handle_close(objects[3].handle) == 0);
    zvfs_control_free(objects[1].control);
    zvfs_configuration_free(objects[0].configuration);
}

static void pipes(void) {
    char buf[8];
    netpipe_t *pipe;
    CHECK(netpipe_open(NULL) == NULL && errno == EINVAL);
    CHECK(netpipe_open("") == NULL && errno == EINVAL);
    CHECK(netpipe_open("127.0.0.1:") == NULL && errno == EINVAL);
    CHECK(zvfs_netpipe_error(&error) == 0 && error.code == EINVAL && strstr(error.message, "127.0.0.1") != NULL);
    CHECK(netpipe_close(NULL) == -1 && errno == EBADF);
    CHECK(netpipe_read(NULL, buf, 8) == -1 && errno == EBADF);
    CHECK(netpipe_write(NULL, buf, 8) == -1 && errno == EBADF);
    pipe = netpipe_open("null:");
    CHECK(pipe != NULL);
    CHECK(netpipe_read(pipe, buf, -1) == -1 && errno == EINVAL);
    CHECK(netpipe_write(pipe, NULL, 1) == -1 && errno == EFAULT);
    CHECK(netpipe_read(pipe, NULL, 0) == 0);
    CHECK(netpipe_close(pipe) == 0);
    CHECK(netpipe_close(pipe) == -1 && errno == EBADF);
    CHECK(netpipe_read(pipe, buf, 8) == -1 && errno == EBADF);
    CHECK(zvfs_netpipe_error(&error) == 0 && error.code == EBADF && error.message[0] != 0);
}

int main(void) {
    zvfs_registry *registry;
    null();
    CHECK(zvfs_registry_new(NULL, NULL, &registry, &error) == 0);
    wrong_arguments(registry);
    another_kind(registry);
    after_the_end(registry);
    pipes();
    printf("%d checks\n", checked);
    return 0;
}
