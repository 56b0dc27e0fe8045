/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A number's name, its place, and its range. */
struct number {
    const char *name;
    size_t place;
    long long least, most;
};

static const struct number numbers[] = {
    {"threads", offsetof(struct options, threads), 1, 1024},
    {"queue", offsetof(struct options, queue), 0, 1000000},
    {"nice", offsetof(struct options, nice), 0, 19},
    {"value-limit", offsetof(struct options, value_limit), 1, 512LL << 20},
};

static const struct {
    const char *name;
    size_t place;
} paths[] = {
    {"config", offsetof(struct options, config)},
    {"worker", offsetof(struct options, worker)},
    {"cache-folder", offsetof(struct options, cache_folder)},
    {"cache-key", offsetof(struct options, cache_key)},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *text_of(RedisModuleString *text) { return RedisModule_StringPtrLen(text, NULL); }

/* A decimal number, for a size also with k, m or g. */
static int read_number(RedisModuleCtx *ctx, const struct number *number, const char *text, struct options *out) {
    char *end;
    long long value = strtoll(text, &end, 10);
    int shift = 0;
    if (number->place == offsetof(struct options, value_limit) && *end) {
        const char *suffix = strchr("kmg", *end | 0x20);
        if (suffix && value >= 0 && value <= number->most) {
            shift = 10 * (int)(suffix - "kmg" + 1);
            end++;
        }
    }
    if (end == text || *end || value < number->least || value > number->most >> shift) {
        RedisModule_Log(ctx, "warning", "argument %s: `%s` is not a number from %lld to %lld", number->name, text, number->least,
                        number->most);
        return REDIS_ERR;
    }
    *(long long *)(void *)((char *)out + number->place) = value << shift;
    return REDIS_OK;
}

static int read_path(RedisModuleCtx *ctx, const char *name, const char *text, char **place) {
    if (text[0] != '/') {
        RedisModule_Log(ctx, "warning", "argument %s: `%s` is not an absolute path", name, text);
        return REDIS_ERR;
    }
    *place = strdup(text);
    return *place ? REDIS_OK : REDIS_ERR;
}

static int read_one(RedisModuleCtx *ctx, const char *name, const char *value, struct options *out) {
    for (size_t i = 0; i < COUNT(numbers); i++)
        if (strcasecmp(name, numbers[i].name) == 0) return read_number(ctx, &numbers[i], value, out);
    for (size_t i = 0; i < COUNT(paths); i++)
        if (strcasecmp(name, paths[i].name) == 0)
            return read_path(ctx, name, value, (char **)(void *)((char *)out + paths[i].place));
    RedisModule_Log(ctx, "warning",
                    "argument `%s`: unknown; there are threads, queue, nice, value-limit, config, worker, cache-folder, cache-key and "
                    "load",
                    name);
    return REDIS_ERR;
}

/* The value that the argument at `at` has already, or NULL: of two, nobody could see which one counts. */
static const char *said_before(RedisModuleString **argv, int at) {
    for (int i = 0; i < at; i += strcasecmp(text_of(argv[i]), "load") == 0 ? 3 : 2)
        if (strcasecmp(text_of(argv[i]), text_of(argv[at])) == 0) return text_of(argv[i + 1]);
    return NULL;
}

int options_read(RedisModuleCtx *ctx, RedisModuleString **argv, int argc, struct options *out, options_load_fn *load) {
    for (int i = 0; i < argc;) {
        const char *name = text_of(argv[i]);
        int is_load = strcasecmp(name, "load") == 0;
        int words = is_load ? 3 : 2;
        if (argc - i < words) {
            RedisModule_Log(ctx, "warning", "argument %s: %s", name, is_load ? "write load NAME FILE" : "its value is missing");
            return REDIS_ERR;
        }
        if (is_load) {
            if (load && load(ctx, text_of(argv[i + 1]), text_of(argv[i + 2])) != REDIS_OK) return REDIS_ERR;
        } else if (!load && said_before(argv, i)) {
            RedisModule_Log(ctx, "warning", "argument %s: given twice: `%s` and `%s`", name, said_before(argv, i), text_of(argv[i + 1]));
            return REDIS_ERR;
        } else if (!load && read_one(ctx, name, text_of(argv[i + 1]), out) != REDIS_OK) {
            return REDIS_ERR;
        }
        i += words;
    }
    if (!out->cache_folder == !out->cache_key) return REDIS_OK;
    RedisModule_Log(ctx, "warning", "arguments cache-folder and cache-key go together: %s is missing",
                    out->cache_folder ? "cache-key" : "cache-folder");
    return REDIS_ERR;
}

void options_free(struct options *options) {
    for (size_t i = 0; i < COUNT(paths); i++) free(*(char **)(void *)((char *)options + paths[i].place));
}
