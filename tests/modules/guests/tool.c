/* A guest that does what its first argument says; the tests of the modules choose. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(void) {
    fprintf(stderr, "no such verb\n");
    return 64;
}

/* The bytes of a channel to another, or to standard output. */
static int copy(const char *from, const char *to) {
    static char buf[65536];
    FILE *in = fopen(from, "r"), *out = to ? fopen(to, "w") : stdout;
    size_t count;
    if (!in || !out) {
        fprintf(stderr, "%s: %s\n", in ? to : from, strerror(errno));
        return 1;
    }
    while ((count = fread(buf, 1, sizeof buf, in)) > 0) fwrite(buf, 1, count, out);
    if (ferror(in) || fflush(out) != 0) {
        fprintf(stderr, "copy: %s\n", strerror(errno));
        return 1;
    }
    return 0;
}

/* Whether each of these can be opened. */
static int ask(int count, char **paths) {
    for (int i = 0; i < count; i++) {
        FILE *file = fopen(paths[i], "r");
        printf("%s: %s\n", paths[i], file ? "open" : strerror(errno));
        if (file) fclose(file);
    }
    return 0;
}

int main(int argc, char **argv) {
    const char *verb = argc > 1 ? argv[1] : "";
    if (!strcmp(verb, "say")) {
        for (int i = 2; i < argc; i++) printf("%s%s", i > 2 ? " " : "", argv[i]);
        return 0;
    }
    if (!strcmp(verb, "copy")) return copy(argv[2], argc > 3 ? argv[3] : NULL);
    /* Waits for a byte of a channel in between, so that something can happen meanwhile. */
    if (!strcmp(verb, "wait-copy")) {
        FILE *gate = fopen("/wait", "r");
        if (!gate) return 1;
        fgetc(gate);
        return argc > 3 ? copy(argv[2], argv[3]) : 0;
    }
    if (!strcmp(verb, "ask")) return ask(argc - 2, argv + 2);
    if (!strcmp(verb, "arguments")) {
        for (int i = 2; i < argc; i++) printf("%zu,", strlen(argv[i]));
        return 0;
    }
    if (!strcmp(verb, "fail")) {
        fprintf(stderr, "first\nlast words\n");
        return argc > 2 ? atoi(argv[2]) : 1;
    }
    if (!strcmp(verb, "spin"))
        for (volatile int i = 0;; i++) continue;
    if (!strcmp(verb, "trap")) __builtin_trap();
    if (!strcmp(verb, "flood"))
        for (;;)
            if (puts("0123456789012345678901234567890123456789") < 0 || fflush(stdout) != 0) return 3;
    return usage();
}
