/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"
#include <http_log.h>

APLOG_USE_MODULE(zvm);

void log_end(struct log *log, request_rec *r) {
    if (log->size == 0) return;
    /* Apache escapes control characters, but for a NUL, where a line would end. */
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r, "zvm guest: %.*s", (int)log->size, log->line);
    log->size = 0;
}

void log_write(struct log *log, request_rec *r, const char *bytes, apr_size_t size) {
    for (apr_size_t i = 0; i < size; i++) {
        if (bytes[i] == '\n' || log->size == LOG_LINE_MAX) log_end(log, r);
        if (bytes[i] != '\n') log->line[log->size++] = bytes[i] ? bytes[i] : '?';
    }
}
