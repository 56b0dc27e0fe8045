/* A mistake that the tools must find: it asks for more than its buffer holds. */
#include "check.h"
#include <zvfs.h>

static char large[4096];

int main(void) {
    zvfs_open_options options = {sizeof options, ZVFS_OPEN_READ | ZVFS_OPEN_WRITE | ZVFS_OPEN_CREATE, 0, NULL, NULL, NULL};
    zvfs_error error;
    zvfs_registry *registry;
    zvfs_handle *handle;
    char *small = malloc(8);
    CHECK(small != NULL);
    CHECK(zvfs_registry_new(NULL, NULL, &registry, &error) == 0);
    CHECK(zvfs_registry_open(registry, "mem:x", &options, &handle, &error) == 0);
    CHECK(zvfs_handle_write_all(handle, large, sizeof large, &error) == 0);
    CHECK(zvfs_handle_seek(handle, 0, ZVFS_SEEK_SET, &error) == 0);
    CHECK(zvfs_handle_read(handle, small, 16, &error) > 8 /* no more: the program is to live on */);
    CHECK(zvfs_handle_close(handle) == 0);
    zvfs_registry_free(registry);
    free(small);
    return 0;
}
