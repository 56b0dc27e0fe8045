/* A host with a provider of its own: both headers in one program, whose provider defines struct zvfs_file as it likes. */
#include "check.h"
#include <zvfs.h>
#include <zvfs_provider.h>

static zvfs_error error;

struct zvfs_file {
    uint64_t left;
};

static int32_t ZVFS_CALL count_open(zvfs_instance *none, const zvfs_open_request *request, zvfs_file **out, zvfs_error *err) {
    zvfs_file *file;
    (void)none;
    if (strcmp(request->rest, "3")) return zvfs_fail(err, ZVFS_ENOENT, "only 3, not %s", request->rest);
    file = (zvfs_file *)malloc(sizeof *file);
    if (!file) return zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
    file->left = 3;
    *out = file;
    return 0;
}

static int64_t ZVFS_CALL count_read(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    (void)err;
    (void)n;
    if (!file->left) return 0;
    *(char *)buf = (char)('0' + file->left--);
    return 1;
}

static uint64_t ZVFS_CALL count_capabilities(zvfs_file *file) {
    (void)file;
    return ZVFS_CAP_READABLE | ZVFS_CAP_CANCEL;
}

static void ZVFS_CALL count_close(zvfs_file *file) { free(file); }

static const char *const schemes[] = {"countdown", "count-down", NULL};

int main(void) {
    zvfs_provider provider;
    zvfs_configuration *configuration;
    zvfs_registry *registry;
    zvfs_handle *handle;
    char text[8];
    int at;
    memset(&provider, 0, sizeof provider);
    provider.struct_size = sizeof provider;
    provider.name = "countdown";
    provider.schemes = schemes;
    provider.supported_flags = ZVFS_OPEN_READ;
    provider.open = count_open;
    provider.close = count_close;
    provider.read = count_read;
    provider.capabilities = count_capabilities;

    /* Nothing else may load. */
    CHECK(zvfs_configuration_new(&configuration, &error) == 0);
    CHECK(zvfs_registry_new(configuration, NULL, &registry, &error) == 0);
    zvfs_configuration_free(configuration);
    CHECK(zvfs_registry_register(registry, &provider, &error) == 0);
    CHECK(zvfs_registry_open(registry, "countdown:3", NULL, &handle, &error) == 0);
    for (at = 0; at < 3; at++) CHECK(zvfs_handle_read(handle, text + at, 8, &error) == 1);
    CHECK(memcmp(text, "321", 3) == 0 && zvfs_handle_read(handle, text, 8, &error) == 0);
    CHECK(zvfs_handle_close(handle) == 0);
    CHECK(zvfs_registry_open(registry, "countdown:4", NULL, &handle, &error) == -ZVFS_ENOENT);
    CHECK(strcmp(error.message, "open countdown:4: only 3, not 4") == 0);
    CHECK(zvfs_registry_open(registry, "count-down:3", NULL, &handle, &error) == 0 && zvfs_handle_close(handle) == 0);
    CHECK(zvfs_registry_open(registry, "mem:x", NULL, &handle, &error) == -ZVFS_EPROTONOSUPPORT);
    CHECK(zvfs_registry_register(registry, &provider, &error) == -ZVFS_EEXIST);
    provider.read = NULL;
    CHECK(zvfs_registry_register(registry, &provider, &error) == -ZVFS_ELIBBAD);
    CHECK(strstr(error.message, "no function read or write") != NULL);
    zvfs_registry_free(registry);
    printf("%d checks\n", checked);
    return 0;
}
