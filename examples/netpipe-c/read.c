/* The other node: prints what comes through pipe 2 until its writer closes. */
#include <stdio.h>
#include <zvm.h>

int main(void) {
    netpipe_t *pipe = netpipe_open("127.0.0.1:2:r");
    char buf[4096];
    int64_t n;
    if (!pipe) {
        perror("netpipe_open");
        return 1;
    }
    while ((n = netpipe_read(pipe, buf, sizeof buf)) > 0) fwrite(buf, 1, (size_t)n, stdout);
    if (n < 0) perror("netpipe_read");
    netpipe_close(pipe);
    return n < 0;
}
