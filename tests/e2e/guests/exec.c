/* What the tests of `zvfs exec` run: the first argument says what to do. Each failure of a file ends it with code 1 and a line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void fails(const char *what) {
    perror(what);
    exit(1);
}

static void copy(const char *name, FILE *file) {
    int character;
    while (file && (character = getc(file)) != EOF)
        if (putchar(character) == EOF)
            fails("standard output");
    if (!file || ferror(file))
        fails(name);
}

/* Writes a text to a file: at the end of what it holds with mode "r+". */
static void put(const char *name, const char *mode, const char *text) {
    FILE *file = fopen(name, mode);
    if (!file || (*mode == 'r' && fseek(file, 0, SEEK_END)) || fputs(text, file) < 0 || fclose(file))
        fails(name);
}

/* Writes until that fails, and passes over it. */
static void fill(const char *name) {
    FILE *file = fopen(name, "w");
    while (file && fputs("more and more\n", file) >= 0) {
    }
}

/* Makes `a`, `sub/b` and `sub/c d` in a folder, the last one under another name first. */
static void make(const char *folder) {
    if (chdir(folder) || mkdir("sub", 0755))
        fails(folder);
    put("a", "w", "A");
    put("sub/b", "w", "B");
    put("sub/.c", "w", "C");
    if (rename("sub/.c", "sub/c d"))
        fails("rename");
}

/* Adds to `a`, removes `sub/gone`, makes `sub/new` under another name first, and says what it reads of `a`. */
static void change(const char *folder) {
    if (chdir(folder))
        fails(folder);
    put("a", "r+", "+");
    copy("a", fopen("a", "r"));
    if (remove("sub/gone"))
        fails("remove");
    put("sub/.new", "w", "N");
    if (rename("sub/.new", "sub/new"))
        fails("rename");
}

int main(int count, char **arguments) {
    const char *what = count > 1 ? arguments[1] : "cat";
    if (!strcmp(what, "cat")) {
        for (int at = 2; at < count; at++)
            copy(arguments[at], fopen(arguments[at], "r"));
        if (count < 3)
            copy("standard input", stdin);
    } else if (!strcmp(what, "tell")) {
        unsigned char chance[4];
        for (int at = 2; at < count; at++)
            printf("[%s]\n", arguments[at]);
        for (char **variable = environ; *variable; variable++)
            printf("<%s>\n", *variable);
        if (getentropy(chance, sizeof chance))
            fails("entropy");
        printf("%lld %02x%02x%02x%02x\n", (long long)time(NULL), chance[0], chance[1], chance[2], chance[3]);
    } else if (!strcmp(what, "put")) {
        put(arguments[2], "w", arguments[3]);
    } else if (!strcmp(what, "add")) {
        put(arguments[2], "r+", arguments[3]);
    } else if (!strcmp(what, "fill")) {
        fill(arguments[2]);
    } else if (!strcmp(what, "put-and-trap")) {
        put(arguments[2], "w", arguments[3]);
        __builtin_trap();
    } else if (!strcmp(what, "make")) {
        make(arguments[2]);
        exit(count > 3 ? atoi(arguments[3]) : 0);
    } else if (!strcmp(what, "change")) {
        change(arguments[2]);
    } else if (!strcmp(what, "exit")) {
        fputs("told by the guest\n", stderr);
        exit(atoi(arguments[2]));
    } else if (!strcmp(what, "spin")) {
        for (volatile int spins = 1; spins;) {
        }
    }
    if (fflush(stdout))
        fails("standard output");
    return 0;
}
