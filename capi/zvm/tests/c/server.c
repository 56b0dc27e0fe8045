/* What a server does: many sessions of one template, started without a thread of its own, each with its own environment. */
#include "../../../tests/c/check.h"
#include <pthread.h>
#include <signal.h>
#include <zvm_session.h>

#define CHANNELS \
    "Channel = /given, /dev/stdin, 0, 1000, 1000000, 0, 0\n" \
    "Channel = /given, /dev/stdout, 0, 0, 0, 1000, 1000000\n" \
    "Channel = /given, /dev/stderr, 0, 0, 0, 1000, 1000000\n"
#define HEAD "Version = 20140509\nProgram = /given\nMemory = 1048576, 0\nArgs = one\nEnv = A=manifest\nEnv = B=manifest\n"
#define MANIFEST HEAD "Timeout = 100\n" CHANNELS

/* Writes its arguments and its environment, with the NULs, or reads if there is no argument beyond the manifest's. */
static const char TELLS[] =
    "(module (import \"wasi_snapshot_preview1\" \"fd_read\" (func $read (param i32 i32 i32 i32) (result i32)))"
    "(import \"wasi_snapshot_preview1\" \"fd_write\" (func $write (param i32 i32 i32 i32) (result i32)))"
    "(import \"wasi_snapshot_preview1\" \"args_sizes_get\" (func $args_sizes (param i32 i32) (result i32)))"
    "(import \"wasi_snapshot_preview1\" \"args_get\" (func $args (param i32 i32) (result i32)))"
    "(import \"wasi_snapshot_preview1\" \"environ_sizes_get\" (func $environ_sizes (param i32 i32) (result i32)))"
    "(import \"wasi_snapshot_preview1\" \"environ_get\" (func $environ (param i32 i32) (result i32)))"
    "(memory (export \"memory\") 1)"
    "(func $all (param $size i32) (i32.store (i32.const 16) (i32.const 4096)) (i32.store (i32.const 20) (local.get $size))"
    "  (drop (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24))))"
    "(func (export \"_start\")"
    "  (drop (call $args_sizes (i32.const 0) (i32.const 4)))"
    "  (if (i32.eq (i32.load (i32.const 0)) (i32.const 2)) (then"
    "    (i32.store (i32.const 16) (i32.const 4096)) (i32.store (i32.const 20) (i32.const 100))"
    "    (drop (call $read (i32.const 0) (i32.const 16) (i32.const 1) (i32.const 24)))"
    "    (return)))"
    "  (drop (call $args (i32.const 64) (i32.const 4096))) (call $all (i32.load (i32.const 4)))"
    "  (drop (call $environ_sizes (i32.const 0) (i32.const 4)))"
    "  (drop (call $environ (i32.const 64) (i32.const 4096))) (call $all (i32.load (i32.const 4)))))";

struct host {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char out[200];
    size_t size;
    int waits, stopped, closed, ended, mask;
};

static void ready(struct host *host) {
    memset(host, 0, sizeof *host);
    pthread_mutex_init(&host->lock, NULL);
    pthread_cond_init(&host->changed, NULL);
}

static void set(struct host *host, int *flag) {
    pthread_mutex_lock(&host->lock);
    ++*flag;
    pthread_cond_broadcast(&host->changed);
    pthread_mutex_unlock(&host->lock);
}

static void wait_for(struct host *host, const int *flag) {
    pthread_mutex_lock(&host->lock);
    while (!*flag) pthread_cond_wait(&host->changed, &host->lock);
    pthread_mutex_unlock(&host->lock);
}

/* Waits for bytes that never come. */
static int64_t ZVFS_CALL host_read(void *arg, void *buf, uint64_t n) {
    struct host *host = (struct host *)arg;
    (void)buf, (void)n;
    set(host, &host->waits);
    wait_for(host, &host->stopped);
    return -ZVFS_EIO;
}

static int64_t ZVFS_CALL host_write(void *arg, const void *buf, uint64_t n) {
    struct host *host = (struct host *)arg;
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    host->mask = sigismember(&mask, SIGTERM) && sigismember(&mask, SIGCHLD) && !sigismember(&mask, SIGSEGV);
    CHECK(host->size + n <= sizeof host->out);
    memcpy(host->out + host->size, buf, n);
    host->size += n;
    return (int64_t)n;
}

static int64_t ZVFS_CALL swallow(void *arg, const void *buf, uint64_t n) {
    (void)arg, (void)buf;
    return (int64_t)n;
}

static void ZVFS_CALL host_close(void *arg) {
    set((struct host *)arg, &((struct host *)arg)->closed);
}

static void ZVFS_CALL host_stop(void *arg) {
    CHECK(!((struct host *)arg)->closed);
    set((struct host *)arg, &((struct host *)arg)->stopped);
}

static void ZVFS_CALL host_ended(void *arg) {
    set((struct host *)arg, &((struct host *)arg)->ended);
}

static zvm_template *template_of(const char *manifest, const char *program) {
    zvm_template *template;
    CHECK(zvm_template_new(manifest, strlen(manifest), NULL, &template, NULL) == 0);
    CHECK(zvm_template_program(template, program, strlen(program), NULL) == 0);
    return template;
}

static zvm_session *session_of(zvm_template *template, struct host *host) {
    zvm_channel in = { .struct_size = sizeof in, .arg = host, .read = host_read, .close = host_close, .stop = host_stop };
    zvm_channel out = { .struct_size = sizeof out, .arg = host, .write = host_write };
    zvm_channel err = { .struct_size = sizeof err, .arg = host, .write = swallow };
    zvm_session *session;
    ready(host);
    CHECK(zvm_template_session(template, &session, NULL) == 0);
    CHECK(zvm_session_channel(session, "/dev/stdin", &in, NULL) == 0);
    CHECK(zvm_session_channel(session, "/dev/stdout", &out, NULL) == 0);
    CHECK(zvm_session_channel(session, "/dev/stderr", &err, NULL) == 0);
    return session;
}

/* Many at once, each told something else; the template may be gone by then. */
static void serves(void) {
    enum { SESSIONS = 20 };
    static struct host hosts[SESSIONS];
    zvm_session *sessions[SESSIONS];
    zvm_template *template = template_of(MANIFEST, TELLS);
    int i;
    CHECK(zvm_template_prepare(template, NULL) == 0);
    for (i = 0; i < SESSIONS; i++) {
        char number[20];
        snprintf(number, sizeof number, "%d\xff", i);
        sessions[i] = session_of(template, &hosts[i]);
        CHECK(zvm_session_argument(sessions[i], number, NULL) == 0);
        CHECK(zvm_session_environment(sessions[i], "B", "first", NULL) == 0);
        CHECK(zvm_session_environment(sessions[i], "B", number, NULL) == 0);
        CHECK(zvm_session_environment(sessions[i], "C", "", NULL) == 0);
    }
    zvm_template_free(template);
    CHECK(zvm_template_session(template, &sessions[0], NULL) == -ZVFS_EBADF);
    for (i = 0; i < SESSIONS; i++) CHECK(zvm_session_start(sessions[i], host_ended, &hosts[i], NULL) == 0);
    for (i = 0; i < SESSIONS; i++) {
        char expected[200];
        int size = snprintf(expected, sizeof expected, "given%cone%c%d\xff%cA=manifest%cB=%d\xff%cC=%c", 0, 0, i, 0, 0, i, 0, 0);
        wait_for(&hosts[i], &hosts[i].ended);
        CHECK(hosts[i].size == (size_t)size && memcmp(hosts[i].out, expected, hosts[i].size) == 0);
        CHECK(hosts[i].closed == 1 && hosts[i].stopped == 0 && hosts[i].mask == 1);
        CHECK(strcmp(zvm_session_state(sessions[i]), "ok") == 0 && zvm_session_fuel(sessions[i]) > 0);
        CHECK(zvm_session_exit_code(sessions[i]) == 0 && zvm_session_guest_code(sessions[i]) == 0);
        zvm_session_free(sessions[i]);
    }
}

/* A call that waits is told that its session was stopped, by a cancel as by the Timeout: nothing is left behind. */
static void stops(void) {
    struct host host;
    zvm_template *template = template_of(MANIFEST, TELLS);
    zvm_session *session = session_of(template, &host);
    CHECK(zvm_session_start(session, host_ended, &host, NULL) == 0);
    CHECK(zvm_session_start(session, host_ended, &host, NULL) == -ZVFS_EBUSY);
    CHECK(zvm_session_environment(session, "A", "late", NULL) == -ZVFS_EBUSY);
    wait_for(&host, &host.waits);
    CHECK(zvm_session_state(session) == NULL && zvm_session_fuel(session) == -ZVFS_EBUSY);
    CHECK(zvm_session_cancel(session, NULL) == 0);
    wait_for(&host, &host.ended);
    CHECK(host.closed == 1 && host.stopped == 1 && strncmp(zvm_session_state(session), "cancelled", 9) == 0);
    CHECK(strstr(zvm_session_report(session, ZVM_REPORT_JSON), "did not stop") == NULL);
    zvm_session_free(session);
    zvm_template_free(template);

    template = template_of(HEAD "Timeout = 1\n" CHANNELS, TELLS);
    session = session_of(template, &host);
    CHECK(zvm_session_run(session, NULL) == 0);
    CHECK(host.closed == 1 && host.stopped == 1 && strncmp(zvm_session_state(session), "timeout", 7) == 0);
    CHECK(strstr(zvm_session_report(session, ZVM_REPORT_JSON), "did not stop") == NULL);
    zvm_session_free(session);
    zvm_template_free(template);
}

static void mistakes(void) {
    struct host host;
    zvfs_error error;
    zvm_session *session;
    zvm_template *template, *bad = template_of(MANIFEST, "(module)");
    CHECK(zvm_template_prepare(bad, &error) == -ZVFS_EINVAL && strstr(error.message, "bad program: ") == error.message);
    session = session_of(bad, &host);
    CHECK(zvm_session_fuel(session) == -ZVFS_EBUSY);
    CHECK(zvm_session_start(session, NULL, NULL, NULL) == -ZVFS_EINVAL);
    CHECK(zvm_session_argument(session, NULL, NULL) == -ZVFS_EINVAL);
    CHECK(zvm_session_environment(session, "", "x", NULL) == -ZVFS_EINVAL);
    CHECK(zvm_session_environment(session, "A=B", "x", NULL) == -ZVFS_EINVAL);
    CHECK(zvm_session_start(session, host_ended, &host, NULL) == 0);
    wait_for(&host, &host.ended);
    CHECK(zvm_session_exit_code(session) == 8 && zvm_session_fuel(session) == -ZVFS_ENOENT && host.closed == 1);
    CHECK(strstr(zvm_session_state(session), "bad program: ") == zvm_session_state(session));
    zvm_session_free(session);
    CHECK(zvm_template_new("Version = 1\n", 12, NULL, &template, NULL) == -ZVFS_EINVAL);
    CHECK(zvm_template_new(MANIFEST, strlen(MANIFEST), NULL, &template, NULL) == 0);
    CHECK(zvm_template_prepare(template, NULL) != 0); /* nobody gave a program, and no provider is there to open it */
    CHECK(zvm_template_prepare((zvm_template *)session, NULL) == -ZVFS_EBADF);
    CHECK(zvm_session_run((zvm_session *)template, NULL) == -ZVFS_EBADF);
    CHECK(zvm_template_prepare(NULL, NULL) == -ZVFS_EINVAL);
    zvm_template_free(template);
    zvm_template_free(template);
    zvm_template_free(bad);
    zvm_template_free(NULL);
}

int main(void) {
    serves();
    stops();
    mistakes();
    printf("%d checks\n", checked);
    return 0;
}
