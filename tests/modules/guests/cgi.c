/* A guest behind a web server, good or bad as its QUERY_STRING says: `mode` or `mode=number`. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static char block[65536];

static void header(const char *lines) {
    printf("Content-Type: text/plain\n%s\n", lines);
}

static void send_all(const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t count = write(1, bytes, size);
        if (count < 0) exit(3);
        bytes += count;
        size -= (size_t)count;
    }
}

/* The body, as it came. */
static void echo(void) {
    ssize_t count;
    header("");
    fflush(stdout);
    while ((count = read(0, block, sizeof block)) > 0) send_all(block, (size_t)count);
    if (count < 0) exit(4);
}

/* How many bytes the body has, and their sum. */
static void sum(void) {
    unsigned long long size = 0, total = 0;
    ssize_t count, i;
    while ((count = read(0, block, sizeof block)) > 0) {
        size += (unsigned long long)count;
        for (i = 0; i < count; i++) total += (unsigned char)block[i];
    }
    header("");
    printf("%llu %llu\n", size, total);
}

/* Just these bytes, which are written in hexadecimal digits. */
static void raw(const char *digits) {
    unsigned byte;
    for (; sscanf(digits, "%2x", &byte) == 1 && digits[1]; digits += 2) putchar((int)byte);
}

static void environment(void) {
    char **variable;
    header("");
    for (variable = environ; *variable; variable++) puts(*variable);
}

/* So many bytes, behind a header. */
static void fill(long long size) {
    fflush(stdout);
    memset(block, 'x', sizeof block);
    for (; size > 0; size -= (long long)sizeof block)
        send_all(block, size < (long long)sizeof block ? (size_t)size : sizeof block);
}

static void many(long long size) {
    header("");
    fill(size);
}

/* A line each tenth of a second. */
static void ticks(int count) {
    struct timespec tenth = { 0, 100000000 };
    int i;
    header("");
    for (i = 0; i < count; i++) {
        printf("tick %d\n", i);
        fflush(stdout);
        nanosleep(&tenth, NULL);
    }
}

/* Whatever it may try: the names of files that the machine has, and directories above its own. */
static void hostile(void) {
    static const char *const names[] = { "/etc/passwd", "../../etc/passwd", "/proc/self/maps", "/dev/stdin/../mem", "/", ".." };
    void *volatile memory;
    size_t i;
    header("");
    for (i = 0; i < sizeof names / sizeof *names; i++) {
        int fd = open(names[i], O_RDONLY);
        printf("%s: %s\n", names[i], fd >= 0 && read(fd, block, 1) > 0 ? "read" : "refused");
    }
    for (i = 3; i < 100; i++)
        if (write((int)i, "x", 1) == 1) printf("wrote to %zu\n", i);
    memory = malloc((size_t)1 << 31);
    printf("memory: %s\n", memory ? "taken" : "refused");
}

static int overflow(int depth) {
    volatile char frame[1024];
    frame[0] = (char)depth;
    return depth < 0 ? 0 : overflow(depth + 1) + frame[0];
}

int main(void) {
    const char *query = getenv("QUERY_STRING");
    const char *value;
    char mode[32];
    size_t length;
    long long number;
    if (!query) return 9;
    length = strcspn(query, "=");
    if (length >= sizeof mode) return 9;
    memcpy(mode, query, length);
    mode[length] = 0;
    value = query[length] ? query + length + 1 : "0";
    number = strtoll(value, NULL, 10);
#define MODE(name) (strcmp(mode, name) == 0)
    if (MODE("")) header(""), puts("hello");
    else if (MODE("echo")) echo();
    else if (MODE("sum")) sum();
    else if (MODE("say-and-sum")) fprintf(stderr, "begun %lld\n", number), sum();
    else if (MODE("environment")) environment();
    else if (MODE("many")) many(number);
    else if (MODE("ticks")) ticks((int)number);
    else if (MODE("hostile")) hostile();
    else if (MODE("status")) printf("Status: %lld What I Say\nX-Own: yes\n\nbody\n", number);
    else if (MODE("status-line")) printf("Status: %s\n\nbody\n", value);
    else if (MODE("raw")) raw(value);
    else if (MODE("nul")) fwrite("X: a\0b\n\nbody\n", 1, 14, stdout);
    else if (MODE("redirect")) printf("Location: /elsewhere\n\n");
    else if (MODE("again")) printf("Location: %s?again\n\n", getenv("SCRIPT_NAME"));
    else if (MODE("hop")) printf("Content-Type: text/html; charset=koi8-r\nConnection: close\nTransfer-Encoding: chunked\nSet-Cookie: a=1\n"
                                 "Set-Cookie: b=2\nKeep-Alive: guest-made\nProxy-Connection: guest-made\nTE: guest-made\n"
                                 "Trailer: guest-made\nUpgrade: guest-made\n\nhop\n");
    else if (MODE("length")) printf("Content-Length: %lld\n\n0123456789", number);
    else if (MODE("short")) {
        printf("Content-Type: text/plain\nContent-Length: 300000\n\n");
        fill(200000);
    }
    else if (MODE("large-header")) printf("X: %0*d\n\n", (int)number, 1);
    else if (MODE("none")) return 0;
    else if (MODE("half")) printf("Content-Type: text/plain\nX-Hal");
    else if (MODE("bad-line")) printf("no colon here\n\nbody\n");
    else if (MODE("split")) printf("X: a\rX-Injected: b\n\nbody\n");
    else if (MODE("bad-status")) printf("Status: 99\n\nbody\n");
    else if (MODE("messages")) {
        header("");
        fprintf(stderr, "first\nsecond \x1b[31m\"quoted\"\nback\\slash%c and behind a NUL\nlast without an end", 0);
        puts("told");
    }
    else if (MODE("loud")) {
        memset(block, 27, 1000);
        fwrite(block, 1, 1000, stderr);
    }
    else if (MODE("exit")) return (int)number;
    else if (MODE("late-exit")) {
        many(200000);
        return (int)number;
    }
    else if (MODE("trap")) __builtin_trap();
    else if (MODE("late-trap")) {
        many(200000);
        __builtin_trap();
    }
    else if (MODE("overflow")) return overflow(0);
    else if (MODE("spin")) for (;;) __asm__ volatile("");
    else if (MODE("file")) {
        int fd = open("/data", O_RDONLY);
        ssize_t count = read(fd, block, sizeof block);
        header("");
        fflush(stdout);
        if (count > 0) send_all(block, (size_t)count);
    }
    else return 9;
    fflush(stdout);
    return 0;
}
