/* SPDX-License-Identifier: Apache-2.0
 * A correct provider of an empty file, any part of which a -D can spoil: -DREAD=NULL, -DSIZE=8, -DSCHEMES=endless. */
#include "zvfs_provider.h"
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef NAME
#define NAME "table"
#endif
#ifndef SIZE
#define SIZE sizeof(zvfs_provider)
#endif
#ifndef SCHEMES
#define SCHEMES schemes
#endif
#ifndef SCHEME
#define SCHEME NAME
#endif
#ifndef SETTINGS
#define SETTINGS NULL
#endif
#ifndef FLAGS
#define FLAGS ZVFS_OPEN_READ | ZVFS_OPEN_WRITE
#endif
#ifndef THREADS
#define THREADS ZVFS_THREADS_PER_FILE
#endif
#ifndef RESERVED
#define RESERVED 0
#endif
#ifndef VERSION
#define VERSION "1.0"
#endif
#ifndef OPEN
#define OPEN empty_open
#endif
#ifndef CLOSE
#define CLOSE empty_close
#endif
#ifndef READ
#define READ empty_read
#endif
#ifndef WRITE
#define WRITE empty_write
#endif
#ifndef CAPABILITIES
#define CAPABILITIES empty_capabilities
#endif
#ifndef CLAIMED
#define CLAIMED ZVFS_CAP_READABLE
#endif
#ifndef EXTENSION
#define EXTENSION NULL
#endif
#ifndef ENTRY
#define ENTRY zvfs_provider_v1
#endif

static char the_file;
#define UNUSED __attribute__((unused))

UNUSED static int32_t ZVFS_CALL empty_open(zvfs_instance *instance, const zvfs_open_request *request, zvfs_file **out,
                                           zvfs_error *err) {
    (void)instance, (void)request, (void)err;
    *out = (zvfs_file *)&the_file;
    return 0;
}
UNUSED static void ZVFS_CALL empty_close(zvfs_file *file) { (void)file; }
UNUSED static int64_t ZVFS_CALL empty_read(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    (void)file, (void)buf, (void)n, (void)err;
    return 0;
}
UNUSED static int64_t ZVFS_CALL empty_write(zvfs_file *file, const void *buf, uint64_t n, zvfs_error *err) {
    (void)file, (void)buf, (void)err;
    return (int64_t)n;
}
UNUSED static uint64_t ZVFS_CALL empty_capabilities(zvfs_file *file) {
    (void)file;
    return CLAIMED;
}

/* ---- lists */
UNUSED static const char *const schemes[] = { SCHEME, NULL };
UNUSED static const char *const no_schemes[] = { NULL };
UNUSED static const char *endless[4096];

#ifndef SETTING_SIZE
#define SETTING_SIZE sizeof(zvfs_setting)
#endif
#ifndef SETTING_NAME
#define SETTING_NAME "depth"
#endif
#ifndef SETTING_TYPE
#define SETTING_TYPE ZVFS_TYPE_INTEGER
#endif
#ifndef SETTING_RESERVED
#define SETTING_RESERVED 0
#endif
#ifndef SETTING_DEFAULT
#define SETTING_DEFAULT "7"
#endif
UNUSED static const zvfs_setting setting = { SETTING_SIZE, SETTING_NAME, SETTING_DEFAULT, NULL, SETTING_TYPE,
                                             ZVFS_SCOPE_OPERATOR, 0, SETTING_RESERVED };
UNUSED static const zvfs_setting *const one_setting[] = { &setting, NULL };
UNUSED static const zvfs_setting *endless_settings[4096];

/* ---- extensions */
UNUSED static const void *ZVFS_CALL short_positional(const char *id) {
    static const uint64_t size_only = sizeof(uint64_t);
    return strcmp(id, ZVFS_EXT_POSITIONAL) == 0 ? &size_only : NULL;
}
UNUSED static const void *ZVFS_CALL hollow_extensions(const char *id) {
    static const zvfs_positional positional = { sizeof positional, NULL, NULL };
    static const zvfs_stat_extension stat = { sizeof stat, NULL };
    static const zvfs_fd_extension fd = { sizeof fd, NULL, NULL };
    if (strcmp(id, ZVFS_EXT_POSITIONAL) == 0) return &positional;
    static const zvfs_splice splice = { sizeof splice, NULL, NULL };
    static const zvfs_poll poll = { sizeof poll, NULL, NULL, NULL, NULL };
    static const zvfs_times times = { sizeof times, NULL, NULL };
    if (strcmp(id, ZVFS_EXT_STAT) == 0) return &stat;
    if (strcmp(id, ZVFS_EXT_SPLICE) == 0) return &splice;
    if (strcmp(id, ZVFS_EXT_POLL) == 0) return &poll;
    if (strcmp(id, ZVFS_EXT_TIMES) == 0) return &times;
    return strcmp(id, ZVFS_EXT_FD) == 0 ? &fd : NULL;
}

/* ---- rules for settings: one, spoilt by -DRULE_... */
#ifndef RULE_SETTING
#define RULE_SETTING "depth"
#endif
#ifndef RULE_SIZE
#define RULE_SIZE sizeof(zvfs_setting_rule)
#endif
#ifndef RULE_MINIMUM
#define RULE_MINIMUM 1
#endif
#ifndef RULE_VALUES
#define RULE_VALUES NULL
#endif
#ifndef RULE_FLAGS
#define RULE_FLAGS 0
#endif
#ifndef RULES
#define RULES one_rule
#endif
UNUSED static const char *const two_values[] = { "shallow", "deep", NULL };
UNUSED static const char *const no_values[] = { NULL };
static const zvfs_setting_rule rule = { RULE_SIZE, RULE_SETTING, RULE_MINIMUM, 9, RULE_VALUES, RULE_FLAGS };
UNUSED static const zvfs_setting_rule *const one_rule[] = { &rule, NULL };
UNUSED static const zvfs_setting_rule *const two_rules[] = { &rule, &rule, NULL };
UNUSED static const void *ZVFS_CALL settings_rules(const char *id) {
    static const zvfs_settings_extension extension = { sizeof extension, RULES };
    return strcmp(id, ZVFS_EXT_SETTINGS) == 0 ? &extension : NULL;
}

static const zvfs_provider provider = { .struct_size = SIZE, .name = NAME, .version = VERSION, .summary = NULL,
    .schemes = (const char *const *)SCHEMES, .settings = SETTINGS, .supported_flags = FLAGS, .threads = THREADS,
    .reserved = RESERVED,
    .open = OPEN, .close = CLOSE, .read = READ, .write = WRITE, .capabilities = CAPABILITIES, .extension = EXTENSION };

/* As a later version may look: larger, with something at the end that this one does not know. */
UNUSED static struct {
    zvfs_provider known;
    void (*later[16])(void);
} future;

ZVFS_EXPORT const zvfs_provider *ZVFS_CALL ENTRY(void) {
    for (size_t at = 0; at < sizeof endless / sizeof *endless; at++) {
        endless[at] = SCHEME;
        endless_settings[at] = &setting;
    }
#if defined(FUTURE)
    future.known = provider;
    future.known.struct_size = sizeof future;
    return &future.known;
#elif defined(EDGE)
    /* The last EDGE bytes of the table, if it claims so few, end where readable memory does. */
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + page, page, PROT_NONE) != 0) return NULL;
    return memcpy(pages + page - EDGE, &provider, EDGE);
#elif defined(NO_TABLE)
    return NULL;
#else
    return &provider;
#endif
}
