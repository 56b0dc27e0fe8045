/* One node of two: sends its standard input to the node that reads pipe 2, through the broker at 127.0.0.1. */
#include <stdio.h>
#include <zvm.h>

int main(void) {
    netpipe_t *pipe = netpipe_open("127.0.0.1:2:w");
    char buf[4096];
    size_t n;
    if (!pipe) {
        perror("netpipe_open");
        return 1;
    }
    while ((n = fread(buf, 1, sizeof buf, stdin)) > 0) {
        if (netpipe_write(pipe, buf, (int32_t)n) < 0) {
            perror("netpipe_write");
            return 1;
        }
    }
    if (netpipe_close(pipe)) {
        perror("netpipe_close");
        return 1;
    }
    return 0;
}
