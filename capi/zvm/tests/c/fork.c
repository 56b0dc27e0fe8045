/* Forks: a child's sessions are its own, whatever its parent's other thread was doing; they run in one of the two. */
#include "../../../tests/c/check.h"
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <zvm_session.h>

#define MANIFEST \
    "Version = 20140509\nProgram = /given\nMemory = 1048576, 0\nTimeout = 100\n" \
    "Channel = /given, /dev/stdin, 0, 9, 9, 0, 0\n" \
    "Channel = /given, /dev/stdout, 0, 0, 0, 9, 9\n" \
    "Channel = /given, /dev/stderr, 0, 0, 0, 9, 9\n"

static const char GUEST[] = "(module (memory (export \"memory\") 1) (func (export \"_start\")))";

enum { FORKS = 40 };

static int stop, closed;

static int64_t ZVFS_CALL no_read(void *arg, void *buf, uint64_t n) {
    (void)arg, (void)buf, (void)n;
    return 0;
}

static int64_t ZVFS_CALL no_write(void *arg, const void *buf, uint64_t n) {
    (void)arg, (void)buf;
    return (int64_t)n;
}

static void ZVFS_CALL count_close(void *arg) { __atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST); }

static zvm_session *make(void) {
    static const char *const ALIASES[] = {"/dev/stdin", "/dev/stdout", "/dev/stderr"};
    zvm_session *session;
    int at;
    if (zvm_session_new(MANIFEST, strlen(MANIFEST), NULL, &session, NULL)) return NULL;
    if (zvm_session_program(session, GUEST, strlen(GUEST), NULL)) return NULL;
    for (at = 0; at < 3; at++) {
        zvm_channel channel;
        memset(&channel, 0, sizeof channel);
        channel.struct_size = sizeof channel;
        channel.arg = &closed;
        if (at == 0) channel.read = no_read;
        if (at != 0) channel.write = no_write;
        channel.close = count_close;
        if (zvm_session_channel(session, ALIASES[at], &channel, NULL)) return NULL;
    }
    return session;
}

static void *make_and_free(void *unused) {
    while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
        zvm_session *session = make();
        CHECK(session != NULL && zvm_session_cancel(session, NULL) == 0);
        zvm_session_free(session);
    }
    return unused;
}

#define WANT(condition) if (!(condition)) _exit(__LINE__ % 100 + 100)

/* What a child does with its parent's session and one of its own, which runs or does not. */
static void child(zvm_session *parents, int32_t runs) {
    zvm_session *own;
    alarm(60);
    WANT(zvm_session_cancel(parents, NULL) == -ZVFS_EPERM);
    WANT(zvm_session_run(parents, NULL) == -ZVFS_EPERM);
    WANT(zvm_session_report(parents, ZVM_REPORT_TEXT) == NULL);
    closed = 0;
    zvm_session_free(parents);
    WANT(closed == 0);
    own = make();
    WANT(own != NULL && own != parents);
    WANT(zvm_session_run(own, NULL) == runs);
    WANT(runs != 0 || (zvm_session_exit_code(own) == 0 && closed == 3));
    zvm_session_free(own);
    WANT(closed == 3);
    _exit(0);
}

static void forked(zvm_session *session, int32_t runs) {
    int status = 0;
    pid_t forked = fork();
    CHECK(forked >= 0);
    if (forked == 0) child(session, runs);
    CHECK(waitpid(forked, &status, 0) == forked);
    if (status) fprintf(stderr, "status %x\n", (unsigned)status);
    CHECK(status == 0);
}

int main(void) {
    pthread_t thread;
    int turn;
    zvm_session *session = make();
    CHECK(session != NULL);
    CHECK(pthread_create(&thread, NULL, make_and_free, NULL) == 0);
    for (turn = 0; turn < FORKS; turn++) forked(session, 0);
    __atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
    CHECK(pthread_join(thread, NULL) == 0);
    /* Once the parent has run one, its children are told so. */
    CHECK(zvm_session_run(session, NULL) == 0 && zvm_session_exit_code(session) == 0);
    forked(session, -ZVFS_EPERM);
    zvm_session_free(session);
    printf("%d checks\n", checked);
    return 0;
}
