/* Finds its providers though it was linked by a relative path and has moved on: moved FOLDER. */
#include "check.h"
#include <unistd.h>
#include <zvfs.h>

int main(int count, char **arguments) {
    zvfs_error error;
    zvfs_configuration *configuration;
    zvfs_registry *registry;
    zvfs_handle *handle;
    error.message[0] = 0;
    CHECK(count == 2 && chdir(arguments[1]) == 0);
    if (zvfs_configuration_find(NULL, &configuration, &error)) fprintf(stderr, "%s\n", error.message);
    CHECK(error.message[0] == 0);
    CHECK(zvfs_registry_new(configuration, NULL, &registry, &error) == 0);
    CHECK(zvfs_registry_open(registry, "null:", NULL, &handle, &error) == 0);
    CHECK(zvfs_handle_close(handle) == 0);
    zvfs_configuration_free(configuration);
    zvfs_registry_free(registry);
    return 0;
}
