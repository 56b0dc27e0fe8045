/* A guest for ZVM.CALL: adds its argument to the number in its key, and replies with the sum. As INCRBY does it takes integers of 64
 * bits and nothing else, and leaves the key alone if it holds something else or the sum is out of range: its manifest says
 * `Commit = success`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *why) {
    fprintf(stderr, "%s\n", why);
    return 1;
}

/* Whether a text is a decimal number of 64 bits as printf would write it: no space, no +, no leading zero. */
static int to_number(const char *text, long long *number) {
    char again[24], *end;
    errno = 0;
    *number = strtoll(text, &end, 10);
    snprintf(again, sizeof again, "%lld", *number);
    return errno == 0 && strcmp(text, again) == 0;
}

int main(int argc, char **argv) {
    char text[101];
    long long number = 0, add, sum;
    FILE *before = fopen("/before", "r"), *after = fopen("/after", "w");
    size_t size;
    if (argc != 2 || !before || !after) return fail("usage: ZVM.CALL counter 1 key number");
    if (!to_number(argv[1], &add)) return fail("the argument is not an integer or out of range");
    size = fread(text, 1, sizeof text - 1, before);
    text[size] = '\0';
    if (ferror(before) || strlen(text) != size || (size > 0 && !to_number(text, &number)))
        return fail("the key's value is not an integer or out of range");
    if (__builtin_add_overflow(number, add, &sum)) return fail("the sum would overflow");
    if (fprintf(after, "%lld", sum) < 0 || fclose(after) != 0) return fail("the key cannot be written");
    printf(":%lld\n", sum);
    return 0;
}
