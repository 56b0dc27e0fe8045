/* SPDX-License-Identifier: Apache-2.0
 * A provider in C: `seq:1-1000` reads as the numbers from 1 to 1000, one a line. No memory, however many they are. */
#include "zvfs_provider.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One open file. Everything that a file needs is in here: several may be read at once. */
struct zvfs_file {
    uint64_t next, last; /* the numbers still to come; none if next > last */
    char line[32];       /* the number being read, with its line end */
    uint64_t at, len;    /* how much of the line was read */
};

static int32_t ZVFS_CALL seq_open(zvfs_instance *instance, const zvfs_open_request *request, zvfs_file **out,
                                  zvfs_error *err) {
    uint64_t first, last;
    int end = 0;
    (void)instance; /* NULL: there is no start, since there is nothing to configure */
    if (sscanf(request->rest, "%" SCNu64 "-%" SCNu64 "%n", &first, &last, &end) != 2 || request->rest[end] != '\0' ||
        strchr("-+ ", request->rest[0]) || last == UINT64_MAX)
        return zvfs_fail(err, ZVFS_EINVAL, "open %s: write seq:first-last", request->shown);
    zvfs_file *file = calloc(1, sizeof *file);
    if (!file) return zvfs_fail(err, ZVFS_ENOMEM, "open %s: out of memory", request->shown);
    file->next = first;
    file->last = last;
    *out = file; /* the last step: nothing can fail any more */
    return 0;
}

/* As many bytes as fit; a call may return fewer than asked for, but 0 is the end. */
static int64_t ZVFS_CALL seq_read(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    uint64_t done = 0;
    (void)err; /* it cannot fail */
    while (done < n) {
        if (file->at == file->len) {
            if (file->next > file->last) break;
            file->len = (uint64_t)snprintf(file->line, sizeof file->line, "%" PRIu64 "\n", file->next++);
            file->at = 0;
        }
        uint64_t count = file->len - file->at < n - done ? file->len - file->at : n - done;
        memcpy((char *)buf + done, file->line + file->at, count);
        file->at += count;
        done += count;
    }
    return (int64_t)done;
}

/* CANCEL: no call of this file ever waits. */
static uint64_t ZVFS_CALL seq_capabilities(zvfs_file *file) {
    (void)file;
    return ZVFS_CAP_READABLE | ZVFS_CAP_CANCEL;
}

static void ZVFS_CALL seq_close(zvfs_file *file) { free(file); }

static const char *const schemes[] = { "seq", NULL };
static const zvfs_provider provider = { .struct_size = sizeof provider, .name = "seq", .version = "1.0",
    .summary = "numbers, one a line", .schemes = schemes, .supported_flags = ZVFS_OPEN_READ, .open = seq_open,
    .close = seq_close, .read = seq_read, .capabilities = seq_capabilities };

ZVFS_EXPORT const zvfs_provider *ZVFS_CALL zvfs_provider_v1(void) { return &provider; }
