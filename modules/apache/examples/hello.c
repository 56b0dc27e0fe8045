/* A guest that answers a request: header lines, an empty line, and the body, as any CGI program does. */
#include <stdio.h>
#include <stdlib.h>

int main(void) {
    const char *method = getenv("REQUEST_METHOD"), *query = getenv("QUERY_STRING");
    char buf[4096];
    size_t count;
    printf("Content-Type: text/plain\n\n");
    printf("%s, and the query is `%s`\n", method ? method : "?", query ? query : "");
    while ((count = fread(buf, 1, sizeof buf, stdin)) > 0) fwrite(buf, 1, count, stdout);
    return 0;
}
