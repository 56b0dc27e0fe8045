/* A guest for ZVM.CALL: adds its argument to the number in its key, and replies with the sum. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    long long number = 0;
    FILE *before = fopen("/before", "r"), *after = fopen("/after", "w");
    if (argc != 2 || !before || !after) {
        fprintf(stderr, "usage: ZVM.CALL counter 1 key number\n");
        return 1;
    }
    if (fscanf(before, "%lld", &number) == 0) {
        fprintf(stderr, "the key holds no number\n");
        return 1;
    }
    number += atoll(argv[1]);
    fprintf(after, "%lld", number);
    printf(":%lld\n", number);
    return 0;
}
