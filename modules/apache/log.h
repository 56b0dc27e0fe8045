/* SPDX-License-Identifier: Apache-2.0
 * A guest's standard error as lines of the error log, each with the request's id. */
#ifndef ZVM_LOG_H
#define ZVM_LOG_H

#include <httpd.h>

/* The longest line, in bytes; what is longer becomes several. */
enum { LOG_LINE_MAX = 2000 };

/* A line that is not complete. All zero: empty. */
struct log {
    char line[LOG_LINE_MAX];
    apr_size_t size;
};

void log_write(struct log *log, request_rec *r, const char *bytes, apr_size_t size);

/* Logs what is left. */
void log_end(struct log *log, request_rec *r);

#endif
