/* Writes the files named by its arguments to standard output, one after the other; `-`, or no argument, is standard input.
 * A guest knows its channels by their aliases, so a file's name is a channel's alias. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

static char buffer[64 * 1024];

/* Returns 0, or -1 after saying what failed. */
static int copy(FILE *from, const char *name) {
    size_t count;
    while ((count = fread(buffer, 1, sizeof buffer, from)) > 0) {
        if (fwrite(buffer, 1, count, stdout) != count) {
            fprintf(stderr, "cat: write: %s\n", strerror(errno));
            return -1;
        }
    }
    if (ferror(from)) {
        fprintf(stderr, "cat: %s: %s\n", name, strerror(errno));
        return -1;
    }
    return 0;
}

static int cat(const char *name) {
    if (strcmp(name, "-") == 0)
        return copy(stdin, "standard input");
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        fprintf(stderr, "cat: %s: %s\n", name, strerror(errno));
        return -1;
    }
    int result = copy(file, name);
    fclose(file);
    return result;
}

int main(int argc, char **argv) {
    int failed = 0;
    if (argc < 2)
        failed = cat("-") != 0;
    for (int i = 1; i < argc; i++)
        failed |= cat(argv[i]) != 0;
    if (fflush(stdout) != 0) {
        fprintf(stderr, "cat: write: %s\n", strerror(errno));
        failed = 1;
    }
    return failed;
}
