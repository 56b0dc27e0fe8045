/* A fork in the middle of other threads' calls: the child is refused what its parent has, at once, and works with its own. */
#include "check.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <zvfs.h>
#include <zvm.h>

enum { FORKS = 300, THREADS = 2 };

static zvfs_registry *registry;
static zvfs_control *control;
static zvfs_configuration *configuration;
static netpipe_t *pipe_of_all;
static int stop;

static void *open_and_close(void *unused) {
    zvfs_open_options options;
    zvfs_handle *handle;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.control = control;
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
        CHECK(zvfs_registry_open(registry, "null:", &options, &handle, NULL) == 0);
        CHECK(zvfs_handle_close(handle) == 0);
    }
    return unused;
}

static void *use_a_pipe(void *unused) {
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
        netpipe_t *pipe = netpipe_open("null:");
        char byte;
        CHECK(pipe != NULL && netpipe_close(pipe) == 0);
        CHECK(netpipe_read(pipe_of_all, &byte, 1) == 0);
        CHECK(zvfs_code_text(ZVFS_ENOENT) != NULL);
    }
    return unused;
}

/* Exits with the line that was false; a wait is ended by the alarm. */
#define WANT(condition) if (!(condition)) _exit(__LINE__ % 100 + 100)

static void child(void) {
    zvfs_registry *own;
    zvfs_handle *handle;
    netpipe_t *pipe;
    char byte;
    alarm(60);
    WANT(zvfs_registry_open(registry, "null:", NULL, &handle, NULL) == -ZVFS_EPERM);
    WANT(zvfs_registry_stat(registry, "null:", NULL, NULL, NULL) < 0);
    WANT(zvfs_control_cancel(control, NULL) == -ZVFS_EPERM);
    WANT(netpipe_read(pipe_of_all, &byte, 1) == -1);
    WANT(netpipe_close(pipe_of_all) == 0);
    zvfs_control_free(control);
    zvfs_registry_free(registry);
    /* A configuration is data: it may be used here too, unless a thread that is not here was changing it. */
    WANT(zvfs_registry_new(configuration, NULL, &own, NULL) == 0);
    WANT(zvfs_registry_open(own, "null:", NULL, &handle, NULL) == 0);
    WANT(zvfs_handle_read(handle, &byte, 1, NULL) == 0);
    WANT(zvfs_handle_close(handle) == 0);
    zvfs_registry_free(own);
    WANT((pipe = netpipe_open("null:")) != NULL && netpipe_close(pipe) == 0);
    WANT(zvfs_code_text(ZVFS_ENOENT) != NULL);
    _exit(0);
}

int main(void) {
    pthread_t threads[THREADS];
    int turn;
    CHECK(zvfs_configuration_find(NULL, &configuration, NULL) == 0);
    CHECK(zvfs_registry_new(configuration, NULL, &registry, NULL) == 0);
    CHECK(zvfs_control_new(&control, NULL) == 0);
    CHECK((pipe_of_all = netpipe_open("null:")) != NULL);
    CHECK(pthread_create(&threads[0], NULL, open_and_close, NULL) == 0);
    CHECK(pthread_create(&threads[1], NULL, use_a_pipe, NULL) == 0);
    for (turn = 0; turn < FORKS; turn++) {
        int status = 0;
        pid_t forked = fork();
        CHECK(forked >= 0);
        if (forked == 0) child();
        CHECK(waitpid(forked, &status, 0) == forked);
        if (!WIFEXITED(status) || WEXITSTATUS(status)) fprintf(stderr, "fork %d: status %x\n", turn, (unsigned)status);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        sched_yield();
    }
    __atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
    for (turn = 0; turn < THREADS; turn++) CHECK(pthread_join(threads[turn], NULL) == 0);
    CHECK(netpipe_close(pipe_of_all) == 0);
    zvfs_control_free(control);
    zvfs_registry_free(registry);
    zvfs_configuration_free(configuration);
    printf("%d checks\n", checked);
    return 0;
}
