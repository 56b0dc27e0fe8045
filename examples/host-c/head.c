/* Prints the first line of a channel: reads in pieces until there is one, for no longer than 10 seconds. */
#include <stdio.h>
#include <string.h>
#include <zvfs.h>

int main(int count, char **arguments) {
    zvfs_open_options how = {.struct_size = sizeof how, .flags = ZVFS_OPEN_READ};
    zvfs_error error;
    zvfs_registry *registry = NULL;
    zvfs_handle *handle = NULL;
    char piece[512], *end = NULL;
    int64_t got = -1;
    if (count != 2) {
        fprintf(stderr, "usage: head DESCRIPTOR\n");
        return 64;
    }
    if (zvfs_registry_new(NULL, NULL, &registry, &error) == 0 && zvfs_control_new(&how.control, &error) == 0 &&
        zvfs_control_set_deadline(how.control, UINT64_C(10000000000), &error) == 0 &&
        zvfs_registry_open(registry, arguments[1], &how, &handle, &error) == 0) {
        while (!end && (got = zvfs_handle_read(handle, piece, sizeof piece, &error)) > 0) {
            end = memchr(piece, '\n', (size_t)got);
            fwrite(piece, 1, end ? (size_t)(end - piece) + 1 : (size_t)got, stdout);
        }
    }
    if (got < 0) fprintf(stderr, "head: %s\n", error.message);
    zvfs_handle_close(handle);
    zvfs_control_free(how.control);
    zvfs_registry_free(registry);
    return got < 0;
}
