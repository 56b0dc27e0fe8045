/* What the test programs share: a check that says what was false, and where. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int checked;

#define CHECK(condition) \
    do { \
        checked++; \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: false: %s\n", __FILE__, __LINE__, #condition); \
            exit(1); \
        } \
    } while (0)

/* How often the process's timers have fired unseen; a forked child has the same timers. */
static inline int fired(void) {
    int at, ticks, fired = 0;
    char name[64], line[64], target[64];
    for (at = 3; at < 256; at++) {
        FILE *info;
        ssize_t length;
        snprintf(name, sizeof name, "/proc/self/fd/%d", at);
        length = readlink(name, target, sizeof target - 1);
        if (length < 0) continue;
        target[length] = 0;
        if (!strstr(target, "timerfd")) continue;
        snprintf(name, sizeof name, "/proc/self/fdinfo/%d", at);
        info = fopen(name, "r");
        while (info && fgets(line, sizeof line, info)) {
            if (sscanf(line, "ticks: %d", &ticks) == 1) fired += ticks;
        }
        if (info) fclose(info);
    }
    return fired;
}

#endif
