/* Sorts the records of standard input, and writes each to the output whose share of the keys it belongs to: the arguments
 * name the outputs, in the order of their keys. A record is a line; its first seven bytes are its key, in hexadecimal
 * digits. Holds all of its input in memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_DIGITS = 7, OUTPUT_BUFFER = 64 * 1024 };

struct record {
    const char *text;
    size_t length; /* without the line feed */
};

struct text {
    char *bytes;
    size_t length;
};

static int fail(const char *doing) {
    fprintf(stderr, "mapper: %s: %s\n", doing, strerror(errno));
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

/* Splits a text into its records; the last one may lack its line feed. Returns NULL if there is no memory. */
static struct record *split(const struct text *text, size_t *count) {
    const char *end = text->bytes + text->length;
    *count = 0;
    for (const char *at = text->bytes; at < end; (*count)++) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        at = feed ? feed + 1 : end;
    }
    struct record *records = malloc((*count + 1) * sizeof *records);
    if (records == NULL)
        return NULL;
    const char *at = text->bytes;
    for (size_t i = 0; i < *count; i++) {
        const char *feed = memchr(at, '\n', (size_t)(end - at));
        const char *stop = feed ? feed : end;
        records[i] = (struct record){at, (size_t)(stop - at)};
        at = stop + 1;
    }
    return records;
}

static int compare(const void *left, const void *right) {
    const struct record *a = left, *b = right;
    size_t common = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->text, b->text, common);
    if (order != 0)
        return order;
    return (a->length > b->length) - (a->length < b->length);
}

/* The output that a record belongs to, by equal shares of all keys; -1: it has no key. */
static int output_of(const struct record *record, int outputs) {
    static const char digits[] = "0123456789abcdef";
    unsigned long key = 0;
    if (record->length < KEY_DIGITS)
        return -1;
    for (int i = 0; i < KEY_DIGITS; i++) {
        const char *digit = memchr(digits, record->text[i], sizeof digits - 1);
        if (digit == NULL)
            return -1;
        key = 16 * key + (unsigned long)(digit - digits);
    }
    return (int)((unsigned long long)key * (unsigned long long)outputs >> 4 * KEY_DIGITS);
}

/* Writes the records from *next on that belong to an output, and closes it, so that its reader sees the end. */
static int write_share(const char *name, int output, int outputs, const struct record *records, size_t count,
                       size_t *next) {
    FILE *to = fopen(name, "w");
    if (to == NULL || setvbuf(to, NULL, _IOFBF, OUTPUT_BUFFER) != 0)
        return -1;
    for (; *next < count && output_of(&records[*next], outputs) == output; (*next)++) {
        const struct record *record = &records[*next];
        if (fwrite(record->text, 1, record->length, to) != record->length || putc('\n', to) == EOF)
            return -1;
    }
    return fclose(to) == 0 ? 0 : -1;
}

int main(int argc, char **argv) {
    int outputs = argc - 1;
    struct text text;
    if (read_all(stdin, &text) != 0)
        return fail("read");
    size_t count, next = 0;
    struct record *records = split(&text, &count);
    if (records == NULL)
        return fail("split");
    for (size_t i = 0; i < count; i++) {
        if (output_of(&records[i], outputs) < 0) {
            fprintf(stderr, "mapper: record %zu has no key of %d digits\n", i + 1, KEY_DIGITS);
            return EXIT_FAILURE;
        }
    }
    qsort(records, count, sizeof *records, compare);
    for (int i = 0; i < outputs; i++) {
        if (write_share(argv[1 + i], i, outputs, records, count, &next) != 0)
            return fail(argv[1 + i]);
    }
    return EXIT_SUCCESS;
}
