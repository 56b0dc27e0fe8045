/* Merges inputs that are sorted, named by the arguments, into standard output. Holds one line and one buffer of each. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUFFER = 64 * 1024 };

struct input {
    FILE *from;
    char *line; /* the next one, with its line feed */
    size_t room;
    ssize_t length; /* of the line; -1: at the end */
};

static int fail(const char *doing) {
    fprintf(stderr, "reducer: %s: %s\n", doing, strerror(errno));
    return EXIT_FAILURE;
}

/* Goes on to an input's next line. Returns 0, at its end too, or -1 with errno set. */
static int advance(struct input *input) {
    input->length = getline(&input->line, &input->room, input->from);
    return input->length >= 0 || feof(input->from) ? 0 : -1;
}

/* Whether a line comes before another one, by their bytes. */
static int comes_first(const struct input *one, const struct input *other) {
    size_t a = (size_t)one->length, b = (size_t)other->length;
    int order = memcmp(one->line, other->line, a < b ? a : b);
    return order != 0 ? order < 0 : a < b;
}

int main(int argc, char **argv) {
    int count = argc - 1;
    struct input *inputs = calloc((size_t)count, sizeof *inputs);
    if (count > 0 && inputs == NULL)
        return fail("inputs");
    for (int i = 0; i < count; i++) {
        inputs[i].from = fopen(argv[1 + i], "r");
        if (inputs[i].from == NULL || setvbuf(inputs[i].from, NULL, _IOFBF, BUFFER) != 0)
            return fail(argv[1 + i]);
    }
    for (int i = 0; i < count; i++) {
        if (advance(&inputs[i]) != 0)
            return fail(argv[1 + i]);
    }
    for (;;) {
        int least = -1;
        for (int i = 0; i < count; i++) {
            if (inputs[i].length >= 0 && (least < 0 || comes_first(&inputs[i], &inputs[least])))
                least = i;
        }
        if (least < 0)
            break;
        struct input *input = &inputs[least];
        if (fwrite(input->line, 1, (size_t)input->length, stdout) != (size_t)input->length)
            return fail("write");
        if (advance(input) != 0)
            return fail(argv[1 + least]);
    }
    return fflush(stdout) == 0 ? EXIT_SUCCESS : fail("write");
}
