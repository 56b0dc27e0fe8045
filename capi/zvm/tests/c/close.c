/* When a host's functions are called around an end: the last call of each channel is its close, and run returns after it. */
#include "../../../tests/c/check.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <zvm_session.h>

#define MANIFEST \
    "Version = 20140509\nProgram = /given\nMemory = 1048576, 0\nTimeout = 100\n" \
    "Channel = /given, /dev/stdin, 0, 1000000, 1000000, 0, 0\n" \
    "Channel = /given, /dev/stdout, 0, 0, 0, 1000, 1000000\n" \
    "Channel = /given, /dev/stderr, 0, 0, 0, 1000, 1000000\n"

/* Reads once, writes what it has, and exits with 0. */
static const char GUEST[] =
    "(module (import \"wasi_snapshot_preview1\" \"fd_read\" (func $read (param i32 i32 i32 i32) (result i32)))"
    "(import \"wasi_snapshot_preview1\" \"fd_write\" (func $write (param i32 i32 i32 i32) (result i32)))"
    "(memory (export \"memory\") 1) (func (export \"_start\")"
    "(i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 4))"
    "(drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))"
    "(drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))";

struct host {
    int closed[3];
    int calls;      /* of anything but close */
    int late;       /* of read and write, once a cancel had returned */
    int discards;
    int interrupts; /* read says EINTR, for ever */
    int hangs;      /* read waits for `go` */
    int says;       /* what write returns, if not 0 */
    int cancelled;  /* a cancel has returned */
    sem_t reading, go, gone;
};

struct end {
    struct host *host;
    int number;
};

static int load(int *place) { return __atomic_load_n(place, __ATOMIC_SEQ_CST); }
static void add(int *place) { __atomic_add_fetch(place, 1, __ATOMIC_SEQ_CST); }

static int64_t ZVFS_CALL end_read(void *arg, void *buf, uint64_t n) {
    struct host *host = ((struct end *)arg)->host;
    (void)buf, (void)n;
    add(&host->calls);
    if (load(&host->cancelled)) add(&host->late);
    sem_post(&host->reading);
    if (host->hangs) while (sem_wait(&host->go)) {}
    return host->interrupts ? -ZVFS_EINTR : 0;
}

static int64_t ZVFS_CALL end_write(void *arg, const void *buf, uint64_t n) {
    struct host *host = ((struct end *)arg)->host;
    (void)buf;
    add(&host->calls);
    if (load(&host->cancelled)) add(&host->late);
    return host->says ? host->says : (int64_t)n;
}

static int32_t ZVFS_CALL end_finish(void *arg, uint32_t how) {
    struct host *host = ((struct end *)arg)->host;
    add(&host->calls);
    if (how == ZVFS_FINISH_DISCARD) add(&host->discards);
    return 0;
}

/* Says so last: from then on the host may be gone. */
static void ZVFS_CALL end_close(void *arg) {
    struct end *end = (struct end *)arg;
    add(&end->host->closed[end->number]);
    sem_post(&end->host->gone);
}

static zvm_session *make(struct host *host, struct end ends[3], const char *program) {
    static const char *const ALIASES[] = {"/dev/stdin", "/dev/stdout", "/dev/stderr"};
    zvm_session *session;
    int at;
    memset(host, 0, sizeof *host);
    CHECK(!sem_init(&host->reading, 0, 0) && !sem_init(&host->go, 0, 0) && !sem_init(&host->gone, 0, 0));
    CHECK(zvm_session_new(MANIFEST, strlen(MANIFEST), NULL, &session, NULL) == 0);
    CHECK(zvm_session_program(session, program, strlen(program), NULL) == 0);
    for (at = 0; at < 3; at++) {
        zvm_channel channel;
        memset(&channel, 0, sizeof channel);
        channel.struct_size = sizeof channel;
        ends[at].host = host;
        ends[at].number = at;
        channel.arg = &ends[at];
        if (at == 0) channel.read = end_read;
        if (at != 0) channel.write = end_write;
        if (at != 0) channel.finish = end_finish;
        channel.close = end_close;
        CHECK(zvm_session_channel(session, ALIASES[at], &channel, NULL) == 0);
    }
    return session;
}

static int all_closed_once(struct host *host) {
    return load(&host->closed[0]) == 1 && load(&host->closed[1]) == 1 && load(&host->closed[2]) == 1;
}

/* A text that is no program: nothing is opened, and what was given is closed before run returns, not after free. */
static void no_program(void) {
    struct host host;
    struct end ends[3];
    int turn;
    for (turn = 0; turn < 300; turn++) {
        zvm_session *session = make(&host, ends, "not a program");
        CHECK(zvm_session_run(session, NULL) == 0);
        CHECK(all_closed_once(&host));
        CHECK(host.calls == 0 && zvm_session_exit_code(session) == 8);
        zvm_session_free(session);
    }
}

/* A cancel before the run: no guest starts, nothing is written or committed. */
static void cancelled_before(void) {
    struct host host;
    struct end ends[3];
    int turn;
    for (turn = 0; turn < 300; turn++) {
        zvm_session *session = make(&host, ends, GUEST);
        CHECK(zvm_session_cancel(session, NULL) == 0);
        CHECK(zvm_session_run(session, NULL) == 0);
        CHECK(all_closed_once(&host));
        CHECK(host.calls == 0 && zvm_session_exit_code(session) == 4);
        CHECK(strstr(zvm_session_report(session, ZVM_REPORT_TEXT), "\ncancelled\n") != NULL);
        CHECK(strstr(zvm_session_report(session, ZVM_REPORT_JSON), "\"fuel\":null") != NULL);
        zvm_session_free(session);
    }
}

static void *cancel(void *session) {
    CHECK(zvm_session_cancel((zvm_session *)session, NULL) == 0);
    return NULL;
}

/* A cancel at any time around the start: it ends well or is discarded, and is closed either way. */
static void cancelled_around_the_start(void) {
    struct host host;
    struct end ends[3];
    int turn, yields;
    for (turn = 0; turn < 300; turn++) {
        pthread_t thread;
        zvm_session *session = make(&host, ends, GUEST);
        CHECK(pthread_create(&thread, NULL, cancel, session) == 0);
        for (yields = turn % 10; yields > 0; yields--) sched_yield();
        CHECK(zvm_session_run(session, NULL) == 0);
        CHECK(all_closed_once(&host));
        CHECK(zvm_session_exit_code(session) == 0 || zvm_session_exit_code(session) == 4);
        CHECK(pthread_join(thread, NULL) == 0);
        zvm_session_free(session);
    }
}

/* Nobody reads what is written any more: the session ends well, and its channel is told that it has not got the whole. */
static void nobody_reads(void) {
    struct host host;
    struct end ends[3];
    zvm_session *session = make(&host, ends, GUEST);
    host.says = -ZVFS_EPIPE;
    CHECK(zvm_session_run(session, NULL) == 0);
    CHECK(all_closed_once(&host) && host.discards == 1);
    CHECK(zvm_session_exit_code(session) == 0);
    zvm_session_free(session);
}

/* A callback's ECANCELED is the channel's failure, since nobody has cancelled the session. */
static void cancelled_by_nobody(void) {
    struct host host;
    struct end ends[3];
    zvm_session *session = make(&host, ends, GUEST);
    host.says = -ZVFS_ECANCELED;
    CHECK(zvm_session_run(session, NULL) == 0);
    CHECK(zvm_session_exit_code(session) == 5);
    CHECK(strstr(zvm_session_report(session, ZVM_REPORT_TEXT), "channel /dev/stdout: write ") != NULL);
    CHECK(all_closed_once(&host) && host.discards == 2);
    zvm_session_free(session);
}

static void *cancel_a_reader(void *argument) {
    struct host *host = ((struct end *)((void **)argument)[1])->host;
    while (sem_wait(&host->reading)) {}
    CHECK(zvm_session_cancel((zvm_session *)((void **)argument)[0], NULL) == 0);
    __atomic_store_n(&host->cancelled, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

/* A read that says EINTR is called again, but not once the session is stopped. */
static void interrupted_for_ever(void) {
    struct host host;
    struct end ends[3];
    void *argument[2];
    pthread_t thread;
    zvm_session *session = make(&host, ends, GUEST);
    host.interrupts = 1;
    argument[0] = session;
    argument[1] = ends;
    CHECK(pthread_create(&thread, NULL, cancel_a_reader, argument) == 0);
    CHECK(zvm_session_run(session, NULL) == 0);
    CHECK(all_closed_once(&host));
    CHECK(zvm_session_exit_code(session) == 4);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(host.late <= 1); /* it was on its way */
    CHECK(host.discards == 2);
    zvm_session_free(session);
}

/* A read that does not return: the session is reported without it, and says so; its close comes when it does. */
static void left_behind(void) {
    struct host host;
    struct end ends[3];
    void *argument[2];
    pthread_t thread;
    int at;
    zvm_session *session = make(&host, ends, GUEST);
    host.hangs = 1;
    argument[0] = session;
    argument[1] = ends;
    CHECK(pthread_create(&thread, NULL, cancel_a_reader, argument) == 0);
    CHECK(zvm_session_run(session, NULL) == 0);
    CHECK(zvm_session_exit_code(session) == 4 && load(&host.closed[0]) == 0);
    CHECK(strstr(zvm_session_report(session, ZVM_REPORT_JSON), "keeps its thread") != NULL);
    CHECK(pthread_join(thread, NULL) == 0);
    zvm_session_free(session);
    sem_post(&host.go);
    for (at = 0; at < 3; at++) while (sem_wait(&host.gone)) {}
    CHECK(all_closed_once(&host) && host.late == 0);
}

int main(void) {
    no_program();
    cancelled_before();
    cancelled_around_the_start();
    nobody_reads();
    cancelled_by_nobody();
    interrupted_for_ever();
    left_behind();
    printf("%d checks\n", checked);
    return 0;
}
