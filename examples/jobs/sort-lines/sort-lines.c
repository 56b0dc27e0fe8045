/* Sorts the lines of standard input by their bytes and writes them to standard output. Holds the whole input in memory: the
 * manifest's Memory says how much that may be. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line {
    const char *text;
    size_t length; /* without the line feed */
};

struct text {
    char *bytes;
    size_t length;
};

static int fail(const char *doing) {
    fprintf(stderr, "sort-lines: %s: %s\n", doing, strerror(errno));
    return EXIT_FAILURE;
}

/* Reads all of a stream. Returns 0, or -1 with errno set. */
static int read_all(FILE *from, struct text *text) {
    size_t room = 0;
    *text = (struct text){NULL, 0};
    for (;;) {
        if (text->length == room) {
            room = room ? 2 * room : 64 * 1024;
            char *bytes = realloc(text->bytes, room);
            if (bytes == NULL)
                return -1;
            text->bytes = bytes;
        }
        size_t count = fread(text->bytes + text->length, 1, room - text->length, from);
        if (count == 0)
            return ferror(from) ? -1 : 0;
        text->length += count;
    }
}

/* Splits a text into its lines; the last one may lack its line feed. Returns NULL if there is no memory. */
static struct line *split(const struct text *text, size_t *count) {
    const char *end = text->bytes + text->length;
    *count = 0;
    for (const char *at = text->bytes; at < end; (*count)++) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        at = feed ? feed + 1 : end;
    }
    struct line *lines = malloc((*count + 1) * sizeof *lines);
    if (lines == NULL)
        return NULL;
    const char *at = text->bytes;
    for (size_t i = 0; i < *count; i++) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        const char *stop = feed ? feed : end;
        lines[i] = (struct line){at, (size_t)(stop - at)};
        at = stop + 1;
    }
    return lines;
}

static int compare(const void *left, const void *right) {
    const struct line *a = left, *b = right;
    size_t common = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->text, b->text, common);
    if (order != 0)
        return order;
    return (a->length > b->length) - (a->length < b->length);
}

int main(void) {
    struct text text;
    if (read_all(stdin, &text) != 0)
        return fail("read");
    size_t count;
    struct line *lines = split(&text, &count);
    if (lines == NULL)
        return fail("split");
    qsort(lines, count, sizeof *lines, compare);
    for (size_t i = 0; i < count; i++) {
        if (fwrite(lines[i].text, 1, lines[i].length, stdout) != lines[i].length || putchar('\n') == EOF)
            return fail("write");
    }
    return fflush(stdout) == 0 ? EXIT_SUCCESS : fail("write");
}
