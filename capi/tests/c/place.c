/* A provider in a process of its own, because the program says so. Arguments: the folders of the providers and of the program for it. */
#include "check.h"
#include <zvfs.h>

int main(int argc, char **argv) {
    zvfs_configuration *configuration;
    zvfs_registry *registry;
    zvfs_handle *handle;
    zvfs_open_options how = {sizeof how, ZVFS_OPEN_WRITE | ZVFS_OPEN_CREATE, 0, NULL, NULL, NULL};
    char text[8] = "";
    CHECK(argc == 3);
    CHECK(zvfs_configuration_new(&configuration, NULL) == 0);
    CHECK(zvfs_configuration_add_provider_path(configuration, argv[1], NULL) == 0);
    CHECK(zvfs_configuration_add_provider_path(configuration, argv[2], NULL) == 0);
    CHECK(zvfs_configuration_place_in_process(configuration, "mem", "memory = \"256m\"", NULL) == 0);
    CHECK(zvfs_configuration_place_in_process(configuration, "file", "", NULL) == 0);
    CHECK(zvfs_registry_new(configuration, NULL, &registry, NULL) == 0);
    zvfs_configuration_free(configuration);

    CHECK(zvfs_registry_open(registry, "mem:x", &how, &handle, NULL) == 0);
    CHECK(zvfs_handle_write(handle, "across", 6, NULL) == 6);
    CHECK(zvfs_handle_finish(handle, ZVFS_FINISH_COMMIT, NULL) == 0);
    CHECK(zvfs_handle_close(handle) == 0);
    CHECK(zvfs_registry_open(registry, "mem:x", NULL, &handle, NULL) == 0);
    CHECK(zvfs_handle_read(handle, text, sizeof text, NULL) == 6);
    CHECK(strcmp(text, "across") == 0);
    CHECK(zvfs_handle_close(handle) == 0);
    /* It may compute only. */
    CHECK(zvfs_registry_open(registry, "/etc/passwd", NULL, &handle, NULL) == -ZVFS_EACCES);
    zvfs_registry_free(registry);
    return 0;
}
