/* SPDX-License-Identifier: Apache-2.0
 * A guest's standard error as lines of Redis's log. */
#ifndef ZVM_LOG_H
#define ZVM_LOG_H

#include <stddef.h>

struct call;

/* The longest line, in bytes; what is longer becomes several. */
enum { LOG_LINE_MAX = 480 };

/* A line that is not complete. All zero: empty. */
struct log {
    char line[LOG_LINE_MAX];
    size_t size;
};

/* Takes the next bytes, and logs each line that they complete, with the program's name and the call's id. */
void log_write(struct log *log, struct call *call, const char *bytes, size_t size);

/* Logs what is left. */
void log_end(struct log *log, struct call *call);

#endif
