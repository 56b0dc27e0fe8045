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
    CHECK(zvm_template_load(template, NULL) == 0);
    CHECK(zvm_template_prepare(template, NULL) == 0);
    CHECK(zvm_template_load(template, NULL) == 1);
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

/* What its manifest names, for a host that has a provider of its own. */
static void sources(void) {
    static const char manifest[] = HEAD "Timeout = 100\nChannel = /a, /dev/stdin, 0, 9, 9, 0, 0\n"
        "Channel = /b;\"mem:c,d\", /dev/stdout, 0, 0, 0, 9, 9\nChannel = /e, /dev/stderr, 3, 9, 9, 9, 9\n";
    static const struct { const char *alias, *source; uint64_t flags; } told[] = {
        { "/dev/stdin", "/a", ZVM_SOURCE_READ },
        { "/dev/stdout", "/b", ZVM_SOURCE_WRITE },
        { "/dev/stdout", "mem:c,d", ZVM_SOURCE_WRITE },
        { "/dev/stderr", "/e", ZVM_SOURCE_READ | ZVM_SOURCE_WRITE },
    };
    zvm_source source = { .struct_size = sizeof source };
    zvfs_error error;
    zvm_template *template;
    uint64_t i;
    CHECK(zvm_template_new(manifest, strlen(manifest), NULL, &template, NULL) == 0);
    for (i = 0; i < 4; i++) {
        CHECK(zvm_template_source(template, i, &source, NULL) == 0 && source.struct_size == sizeof source);
        CHECK(!strcmp(source.alias, told[i].alias) && !strcmp(source.source, told[i].source) && source.flags == told[i].flags);
    }
    CHECK(zvm_template_source(template, 4, &source, &error) == -ZVFS_ENOENT && strstr(error.message, "has 4 sources"));
    CHECK(zvm_template_source(template, UINT64_MAX, &source, NULL) == -ZVFS_ENOENT);
    CHECK(zvm_template_source(template, 0, NULL, NULL) == -ZVFS_EINVAL);
    zvm_template_free(template);
    CHECK(zvm_template_source(template, 0, &source, NULL) == -ZVFS_EBADF);
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
    CHECK(zvm_template_load(template, NULL) < 0);
    CHECK(zvm_template_load(NULL, NULL) == -ZVFS_EINVAL);
    zvm_template_free(template);
    zvm_template_free(template);
    zvm_template_free(bad);
    zvm_template_free(NULL);
}

/* A template of a host with these limits. */
static zvm_template *template_in(zvm_host *host, const char *manifest, const char *program) {
    zvm_session_options options = { .struct_size = sizeof options, .job = "a job", .host = host };
    zvm_template *template;
    CHECK(zvm_template_new(manifest, strlen(manifest), &options, &template, NULL) == 0);
    CHECK(zvm_template_program(template, program, strlen(program), NULL) == 0);
    return template;
}

static zvm_counters count(zvm_host *host) {
    zvm_counters counters = { .struct_size = sizeof counters };
    CHECK(zvm_host_counters(host, &counters, NULL) == 0);
    CHECK(counters.started == counters.running + counters.ok + counters.guest_failed + counters.trapped + counters.timed_out +
                                  counters.cancelled + counters.failed);
    return counters;
}

/* Starts the next session of a chain as soon as one has ended: its place is free by then. */
struct chain {
    struct host host;
    zvm_template *template;
    zvm_session *sessions[50];
    int next;
};

static void ZVFS_CALL chain_ended(void *arg) {
    struct chain *chain = (struct chain *)arg;
    if (chain->next == 50) {
        set(&chain->host, &chain->host.ended);
        return;
    }
    CHECK(zvm_session_start(chain->sessions[chain->next++], chain_ended, chain, NULL) == 0);
}

/* Memory and threads are used again, and nothing of an earlier session is seen. */
static void uses_again(zvm_host *host) {
    /* Exits with the first byte of its memory, which it changes; its data begins with a 7. */
    static const char CHANGES[] =
        "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"
        "(memory (export \"memory\") 2) (data (i32.const 0) \"\\07\")"
        "(func (export \"_start\") (local $old i32)"
        "  (local.set $old (i32.add (i32.load8_u (i32.const 0)) (i32.load8_u (i32.const 70000))))"
        "  (i32.store8 (i32.const 0) (i32.const 9)) (i32.store8 (i32.const 70000) (i32.const 9))"
        "  (call $exit (local.get $old))))";
    struct chain chain;
    zvm_counters before = count(host), after;
    int i;
    memset(&chain, 0, sizeof chain);
    chain.template = template_in(host, MANIFEST, CHANGES);
    for (i = 0; i < 50; i++) chain.sessions[i] = session_of(chain.template, &chain.host);
    chain_ended(&chain);
    wait_for(&chain.host, &chain.host.ended);
    for (i = 0; i < 50; i++) {
        CHECK(zvm_session_exit_code(chain.sessions[i]) == 0 && zvm_session_guest_code(chain.sessions[i]) == 7);
        zvm_session_free(chain.sessions[i]);
    }
    zvm_template_free(chain.template);
    after = count(host);
    CHECK(after.guest_failed == before.guest_failed + 50 && after.running == 0 && after.fuel > before.fuel);
}

/* As many sessions run as the host has jobs; one more is refused, stays as it is, and runs once there is room. */
static void bounded(uint64_t flags) {
    static struct host hosts[4];
    zvm_host_options options = { .struct_size = sizeof options, .jobs = 2, .flags = flags };
    zvm_counters counters;
    zvm_session *sessions[4];
    zvm_template *template;
    zvm_host *host;
    const char *line;
    int i;
    CHECK(zvm_host_new(&options, &host, NULL) == 0);
    counters = count(host);
    CHECK(counters.started == 0 && counters.refused == 0 && counters.bytes_written == 0);
    template = template_in(host, MANIFEST, TELLS);
    for (i = 0; i < 4; i++) sessions[i] = session_of(template, &hosts[i]);
    for (i = 0; i < 2; i++) CHECK(zvm_session_start(sessions[i], host_ended, &hosts[i], NULL) == 0);
    for (i = 0; i < 2; i++) wait_for(&hosts[i], &hosts[i].waits);
    CHECK(zvm_session_argument(sessions[2], "tells", NULL) == 0);
    CHECK(zvm_session_start(sessions[2], host_ended, &hosts[2], NULL) == -ZVFS_EMFILE);
    CHECK(zvm_session_run(sessions[3], NULL) == -ZVFS_EMFILE && zvm_session_state(sessions[3]) == NULL);
    CHECK(zvm_session_start(sessions[0], host_ended, &hosts[0], NULL) == -ZVFS_EBUSY);
    counters = count(host);
    CHECK(counters.started == 2 && counters.running == 2 && counters.refused == 2);
    CHECK(zvm_session_cancel(sessions[0], NULL) == 0);
    wait_for(&hosts[0], &hosts[0].ended);
    CHECK(hosts[2].closed == 0 && zvm_session_run(sessions[2], NULL) == 0 && hosts[2].closed == 1);
    CHECK(zvm_session_guest_code(sessions[2]) == 0);
    line = zvm_session_report(sessions[2], ZVM_REPORT_LINE);
    CHECK(strncmp(line, "session=\"a job\" exit=0 guest=0 seconds=", 39) == 0);
    CHECK(strstr(line, " in=0 out=") && strcmp(line + strlen(line) - 11, " state=\"ok\"") == 0);
    CHECK(line == zvm_session_report(sessions[2], ZVM_REPORT_LINE));
    CHECK(zvm_session_cancel(sessions[1], NULL) == 0);
    wait_for(&hosts[1], &hosts[1].ended);
    counters = count(host);
    CHECK(counters.started == 3 && counters.running == 0 && counters.ok == 1 && counters.cancelled == 2);
    CHECK(counters.bytes_written == hosts[2].size && counters.left_behind == 0);
    uses_again(host);
    for (i = 0; i < 4; i++) zvm_session_free(sessions[i]);
    CHECK(hosts[3].closed == 1);
    zvm_template_free(template);
    zvm_host_free(host);
    CHECK(zvm_host_counters(host, &counters, NULL) == -ZVFS_EBADF);
}

static void limits(void) {
    zvm_host_options options = { .struct_size = sizeof options, .flags = ZVM_HOST_POOLED };
    zvm_counters small = { .struct_size = 8 };
    zvm_host *host;
    CHECK(zvm_host_new(&options, &host, NULL) == -ZVFS_EINVAL); /* no jobs */
    options.flags = 2, options.jobs = 1;
    CHECK(zvm_host_new(&options, &host, NULL) == -ZVFS_EINVAL);
    options.flags = 0, options.jobs = 4097;
    CHECK(zvm_host_new(&options, &host, NULL) == -ZVFS_EINVAL);
    CHECK(zvm_host_new(NULL, &host, NULL) == 0);
    CHECK(zvm_host_counters(host, NULL, NULL) == -ZVFS_EINVAL);
    CHECK(zvm_host_counters(host, &small, NULL) == -ZVFS_EINVAL);
    uses_again(host);
    zvm_host_free(host);
}

int main(void) {
    serves();
    stops();
    bounded(0);
    bounded(ZVM_HOST_POOLED);
    limits();
    sources();
    mistakes();
    printf("%d checks\n", checked);
    return 0;
}
