/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"
#include "call.h"
#include "module.h"
#include <inttypes.h>
#include <stdio.h>

/* Control characters as \xHH, since they would move a terminal's cursor; the rest as it is, UTF-8 too. `out` has room for 4 times the
 * line. */
static void escape(char *out, const struct log *log) {
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    for (size_t i = 0; i < log->size; i++) {
        unsigned char byte = (unsigned char)log->line[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
            out[at++] = '\\';
            out[at++] = 'x';
            out[at++] = digits[byte >> 4];
            byte = (unsigned char)digits[byte & 15];
        }
        out[at++] = (char)byte;
    }
    out[at] = '\0';
}

void log_end(struct log *log, struct call *call) {
    char line[4 * LOG_LINE_MAX + 1];
    if (log->size == 0) return;
    escape(line, log);
    log->size = 0;
    snprintf(call->last_line, sizeof call->last_line, "%.*s", LAST_LINE_MAX, line);
    RedisModule_Log(module.ctx, "notice", "%s %" PRIu64 ": %s", call->program->name, call->id, line);
}

void log_write(struct log *log, struct call *call, const char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '\n' || log->size == LOG_LINE_MAX) log_end(log, call);
        if (bytes[i] != '\n') log->line[log->size++] = bytes[i];
    }
}
