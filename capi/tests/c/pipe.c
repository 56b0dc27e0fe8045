/* The functions of zvm.h, one role of a pair for each run: pipe ROLE DESCRIPTOR [DESCRIPTOR]. */
#include "check.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zvfs.h>
#include <zvm.h>

enum { PIECE = 32 * 1024, PIECES = 64 };

static char out[PIECE], in[PIECE];

static netpipe_t *opened(const char *descriptor) {
    netpipe_t *pipe = netpipe_open(descriptor);
    if (!pipe) perror(descriptor);
    CHECK(pipe != NULL);
    return pipe;
}

/* Writes 2 MiB, ends, and leaves at once: the exit delivers. */
static void writes(netpipe_t *pipe) {
    int at;
    for (at = 0; at < PIECES; at++) {
        memset(out, at + 1, sizeof out);
        CHECK(netpipe_write(pipe, out, sizeof out) == sizeof out);
    }
    CHECK(netpipe_close(pipe) == 0);
}

static void reads(netpipe_t *pipe) {
    int64_t total = 0, count, at;
    while ((count = netpipe_read(pipe, in, sizeof in)) > 0) {
        for (at = 0; at < count; at++) CHECK(in[at] == (char)((total + at) / PIECE + 1));
        total += count;
    }
    CHECK(count == 0 && total == (int64_t)PIECE * PIECES);
    CHECK(netpipe_read(pipe, in, sizeof in) == 0);
    CHECK(netpipe_close(pipe) == 0);
}

static int64_t waited;
static int waited_errno;
static volatile long waiter;

static void *waits_to_read(void *pipe) {
    waiter = syscall(SYS_gettid);
    waited = netpipe_read(pipe, in, sizeof in);
    waited_errno = errno;
    return NULL;
}

static void *waits_to_write(void *pipe) {
    waiter = syscall(SYS_gettid);
    waited = netpipe_write(pipe, out, sizeof out);
    waited_errno = errno;
    return NULL;
}

/* Starts a thread that waits on a pipe, and waits until it sleeps. */
static pthread_t waiting(void *(*what)(void *), netpipe_t *pipe) {
    char name[64], state = 0;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, what, pipe) == 0);
    while (state != 'S') {
        FILE *stat = NULL;
        if (waiter) {
            snprintf(name, sizeof name, "/proc/self/task/%ld/stat", waiter);
            stat = fopen(name, "r");
        }
        if (stat) {
            CHECK(fscanf(stat, "%*d (%*[^)]) %c", &state) == 1);
            fclose(stat);
        }
        usleep(1000);
    }
    return thread;
}

int main(int count, char **arguments) {
    const char *role;
    netpipe_t *pipe;
    struct sigaction action;
    CHECK(count >= 3);
    role = arguments[1];
    pipe = opened(arguments[2]);
    if (!strcmp(role, "write")) {
        writes(pipe);
    } else if (!strcmp(role, "read")) {
        reads(pipe);
    } else if (!strcmp(role, "exchange")) { /* both sides write first: a close that waited for its reader would never return */
        netpipe_t *from = opened(arguments[3]);
        CHECK(netpipe_write(pipe, "ping", 4) == 4);
        CHECK(netpipe_close(pipe) == 0);
        CHECK(netpipe_read(from, in, sizeof in) == 4 && netpipe_read(from, in, sizeof in) == 0);
        CHECK(netpipe_close(from) == 0);
    } else if (!strcmp(role, "leave")) { /* a reader that has enough */
        CHECK(netpipe_read(pipe, in, 1) == 1);
        CHECK(netpipe_close(pipe) == 0);
    } else if (!strcmp(role, "break")) { /* a writer whose reader leaves, where SIGPIPE would kill */
        int64_t written = 0;
        CHECK(sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL);
        while ((written = netpipe_write(pipe, out, sizeof out)) > 0) {}
        CHECK(written == -1 && errno == EPIPE);
        CHECK(netpipe_write(pipe, out, 1) == -1 && errno == EPIPE);
        CHECK(netpipe_read(pipe, in, 1) == -1 && errno == EBADF);
        netpipe_close(pipe);
    } else if (!strcmp(role, "exit")) { /* a writer that forgets its close */
        CHECK(netpipe_write(pipe, "half", 4) == 4);
    } else if (!strcmp(role, "die")) {
        CHECK(netpipe_write(pipe, "half", 4) == 4);
        _exit(0);
    } else if (!strcmp(role, "lost")) { /* a reader of such a writer: never an end */
        int64_t got;
        while ((got = netpipe_read(pipe, in, sizeof in)) > 0) {}
        CHECK(got == -1 && errno == ECONNRESET);
        CHECK(netpipe_read(pipe, in, sizeof in) == -1 && errno == ECONNRESET);
        CHECK(netpipe_write(pipe, out, 1) == -1 && errno == EBADF);
        CHECK(netpipe_close(pipe) == 0);
    } else if (!strcmp(role, "abort")) { /* a writer that failed, and lives on */
        CHECK(netpipe_write(pipe, "half", 4) == 4);
        CHECK(netpipe_abort(pipe) == 0);
        CHECK(netpipe_abort(pipe) == -1 && errno == EBADF);
        pipe = opened(arguments[3]);
        CHECK(netpipe_write(pipe, "half", 4) == 4);
        CHECK(netpipe_close(pipe) == 0);
    } else if (!strcmp(role, "refuse")) { /* a reader that wants no more, beside one of whom all is well */
        netpipe_t *from = opened(arguments[3]);
        int64_t got;
        while ((got = netpipe_read(pipe, in, sizeof in)) > 0) {}
        CHECK(got == -1 && errno == ECONNRESET);
        CHECK(netpipe_abort(pipe) == 0);
        CHECK(netpipe_read(from, in, sizeof in) == 4 && netpipe_read(from, in, sizeof in) == 0);
        CHECK(netpipe_abort(from) == 0);
    } else if (!strcmp(role, "patience")) { /* nobody comes: a wait that ends, and says for whom it was */
        zvfs_error error;
        memset(&error, 0, sizeof error);
        error.struct_size = sizeof error;
        CHECK(netpipe_set_timeout(pipe, -1) == -1 && errno == EINVAL);
        CHECK(netpipe_set_timeout(NULL, 1) == -1 && errno == EBADF);
        CHECK(netpipe_set_timeout(pipe, 20) == 0);
        CHECK(netpipe_read(pipe, in, 1) == -1 && errno == ETIMEDOUT);
        CHECK(zvfs_netpipe_error(&error) == 0 && error.code == ETIMEDOUT);
        CHECK(strstr(error.message, "a writer") && strstr(error.message, arguments[3]));
        CHECK(netpipe_set_timeout(pipe, INT64_MAX) == 0 && netpipe_set_timeout(pipe, 0) == 0);
        CHECK(netpipe_abort(pipe) == 0);
    } else if (!strcmp(role, "close") || !strcmp(role, "abandon")) { /* a close while another thread waits on the pipe */
        pthread_t thread = waiting(!strcmp(role, "close") ? waits_to_read : waits_to_write, pipe);
        CHECK(netpipe_close(pipe) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(waited == -1 && waited_errno == EBADF);
        CHECK(netpipe_close(pipe) == -1 && errno == EBADF);
    } else if (!strcmp(role, "fork")) { /* a child has not its parent's pipes, but may have its own */
        int status = 0;
        pthread_t thread = waiting(waits_to_read, pipe); /* it has the pipe's lock, and is not in the child */
        pid_t child = fork();
        if (child == 0) {
            CHECK(netpipe_read(pipe, in, 1) == -1 && errno == EPERM);
            CHECK(netpipe_write(pipe, out, 1) == -1 && errno == EPERM);
            CHECK(netpipe_close(pipe) == 0);
            writes(opened(arguments[3]));
            return 0;
        }
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
        CHECK(fired() == 0);
        CHECK(netpipe_close(pipe) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        CHECK(waited == -1 && waited_errno == EBADF);
    } else {
        CHECK(!"a role");
    }
    printf("%s: %d checks\n", role, checked);
    return 0;
}
