/* Copies one channel to another, whatever they are: files, pipes, what the operator has providers for. Shows an open for
 * reading and one for writing, flags that only some providers know, errors, and an end that is reported. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zvfs.h>

static int fails(const zvfs_error *error) {
    fprintf(stderr, "copy: %s\n", error->message);
    return error->code < 126 ? error->code : ZVFS_EIO;
}

/* A file is created, empty and visible under its name once it is complete; a pipe's provider has no such flags. */
static int32_t open_target(zvfs_registry *registry, const char *descriptor, zvfs_handle **out, zvfs_error *error) {
    zvfs_open_options how = {.struct_size = sizeof how};
    uint64_t supported;
    int32_t code = zvfs_registry_supported_flags(registry, descriptor, &supported, error);
    if (code) return code;
    how.flags = ZVFS_OPEN_WRITE | ((ZVFS_OPEN_CREATE | ZVFS_OPEN_ATOMIC) & supported);
    return zvfs_registry_open(registry, descriptor, &how, out, error);
}

int main(int count, char **arguments) {
    zvfs_open_options reading = {.struct_size = sizeof reading, .flags = ZVFS_OPEN_READ};
    zvfs_error error;
    zvfs_registry *registry = NULL;
    zvfs_handle *source = NULL, *target = NULL;
    int64_t bytes;
    int result = 0;
    if (count != 3) {
        fprintf(stderr, "usage: copy SOURCE TARGET, each scheme:rest or an absolute path\n");
        return 64;
    }
    if (zvfs_registry_new(NULL, NULL, &registry, &error) ||
        zvfs_registry_open(registry, arguments[1], &reading, &source, &error) ||
        open_target(registry, arguments[2], &target, &error)) {
        result = fails(&error);
    } else if ((bytes = zvfs_handle_copy(source, target, ZVFS_COPY_ALL, NULL, NULL, &error)) < 0) {
        result = fails(&error);
        zvfs_handle_finish(target, ZVFS_FINISH_DISCARD, NULL); /* no partial output stays; a second error adds nothing */
    } else if (zvfs_handle_finish(target, ZVFS_FINISH_COMMIT, &error)) {
        result = fails(&error);
    } else {
        printf("%" PRId64 " bytes\n", bytes);
    }
    zvfs_handle_close(source);
    zvfs_handle_close(target);
    zvfs_registry_free(registry);
    return result;
}
