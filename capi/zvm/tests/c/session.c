/* Every function of zvm_session.h, its mistakes too. Arguments: the command zvfs or "", an operator's file, a folder. */
#include "../../../tests/c/check.h"
#include <pthread.h>
#include <unistd.h>
#include <zvm_session.h>

#define CHANNELS \
    "Channel = /given, /dev/stdin, 0, 1000, 1000000, 0, 0\n" \
    "Channel = /given, /dev/stdout, 0, 0, 0, 1000, 1000000\n" \
    "Channel = /given, /dev/stderr, 0, 0, 0, 1000, 1000000\n"
#define MANIFEST "Version = 20140509\nProgram = /given\nMemory = 1048576, 0\nTimeout = 100\n" CHANNELS

/* Reads once, and writes it. */
static const char ECHO_GUEST[] =
    "(module (import \"wasi_snapshot_preview1\" \"fd_read\" (func $read (param i32 i32 i32 i32) (result i32)))"
    "(import \"wasi_snapshot_preview1\" \"fd_write\" (func $write (param i32 i32 i32 i32) (result i32)))"
    "(import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"
    "(memory (export \"memory\") 1) (func (export \"_start\")"
    "(i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 4096))"
    "(drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))"
    "(drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))"
    "(call $exit (i32.const 7))))";
static const char ENDLESS[] = "(module (memory (export \"memory\") 1) (func (export \"_start\") (loop (br 0))))";

struct host {
    const char *text;
    size_t left;
    char out[100];
    size_t size;
    int64_t fails;
    int32_t finishes;
    char ends[10];
    int closed;
    int cancels; /* as it is closed */
    zvm_session *session;
};

static int64_t ZVFS_CALL host_read(void *arg, void *buf, uint64_t n) {
    struct host *host = (struct host *)arg;
    if (host->fails == -ZVFS_ECANCELED) CHECK(zvm_session_cancel(host->session, NULL) == 0);
    if (host->fails == -ZVFS_EINTR) {
        host->fails = 0;
        return -ZVFS_EINTR;
    }
    if (host->fails) return host->fails;
    if (host->left > 0 && n > 0) {
        *(char *)buf = *host->text++;
        host->left--;
        return 1;
    }
    return 0;
}

static int64_t ZVFS_CALL host_write(void *arg, const void *buf, uint64_t n) {
    struct host *host = (struct host *)arg;
    size_t count = n < 3 ? (size_t)n : 3;
    memcpy(host->out + host->size, buf, count);
    host->size += count;
    return (int64_t)count;
}

static int32_t ZVFS_CALL host_finish(void *arg, uint32_t how) {
    struct host *host = (struct host *)arg;
    host->ends[strlen(host->ends)] = (char)('0' + how);
    return host->finishes;
}

static void ZVFS_CALL host_close(void *arg) {
    struct host *host = (struct host *)arg;
    if (host->cancels) zvm_session_cancel(host->session, NULL);
    host->closed++;
}

static int64_t ZVFS_CALL swallow(void *arg, const void *buf, uint64_t n) {
    (void)arg, (void)buf;
    return (int64_t)n;
}

static zvm_session *make(struct host *host, const char *guest, const zvm_session_options *options) {
    zvm_channel in, out, err;
    zvm_session *session;
    zvfs_error error;
    memset(&in, 0, sizeof in);
    memset(&out, 0, sizeof out);
    memset(&err, 0, sizeof err);
    in.struct_size = out.struct_size = err.struct_size = sizeof in;
    in.arg = out.arg = host;
    in.read = host_read;
    out.write = host_write;
    out.finish = host_finish;
    in.close = out.close = host_close;
    err.write = swallow;
    if (zvm_session_new(MANIFEST, strlen(MANIFEST), options, &session, &error)) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    host->session = session;
    /* Once this aborted the host: the size is looked at before anything is copied. */
    CHECK(zvm_session_program(session, guest, UINT64_C(1) << 62, NULL) == -ZVFS_EINVAL);
    CHECK(zvm_session_program(session, guest, strlen(guest), NULL) == 0);
    CHECK(zvm_session_channel(session, "/dev/stdin", &in, NULL) == 0);
    CHECK(zvm_session_channel(session, "/dev/stdout", &out, NULL) == 0);
    CHECK(zvm_session_channel(session, "/dev/stderr", &err, NULL) == 0);
    return session;
}

static void runs(const zvm_session_options *options) {
    struct host host;
    zvm_session *session;
    memset(&host, 0, sizeof host);
    host.text = "a request";
    host.left = 9;
    host.fails = -ZVFS_EINTR;
    session = make(&host, ECHO_GUEST, options);
    CHECK(zvm_session_exit_code(session) == -ZVFS_EBUSY);
    CHECK(zvm_session_guest_code(session) == -ZVFS_EBUSY);
    CHECK(zvm_session_report(session, ZVM_REPORT_TEXT) == NULL);
    CHECK(zvm_session_run(session, NULL) == 0);
    CHECK(zvm_session_exit_code(session) == 0);
    CHECK(zvm_session_guest_code(session) == 7);
    CHECK(host.size == 9 && memcmp(host.out, "a request", 9) == 0);
    CHECK(strcmp(host.ends, "12") == 0 && host.closed == 2);
    CHECK(strstr(zvm_session_report(session, ZVM_REPORT_TEXT), "\nok\n") != NULL);
    CHECK(strstr(zvm_session_report(session, ZVM_REPORT_JSON), "\"guest_code\":7") != NULL);
    CHECK(strstr(zvm_session_report(session, ZVM_REPORT_LINE), " exit=0 guest=7 seconds=") != NULL);
    CHECK(zvm_session_report(session, 4) == NULL);
    CHECK(zvm_session_run(session, NULL) == -ZVFS_EBUSY);
    CHECK(zvm_session_program(session, "x", 1, NULL) == -ZVFS_EBUSY);
    CHECK(zvm_session_cancel(session, NULL) == 0);
    CHECK(zvm_session_exit_code(session) == 0);
    zvm_session_free(session);
    CHECK(zvm_session_run(session, NULL) == -ZVFS_EBADF);
    CHECK(zvm_session_report(session, ZVM_REPORT_TEXT) == NULL);
    zvm_session_free(session);
}

/* A failed callback ends the session, and its output is discarded. */
static void fails(void) {
    struct host host;
    zvm_session *session;
    memset(&host, 0, sizeof host);
    host.fails = -ZVFS_ECONNRESET;
    session = make(&host, ECHO_GUEST, NULL);
    CHECK(zvm_session_run(session, NULL) == 0);
    CHECK(zvm_session_exit_code(session) == 5);
    CHECK(zvm_session_guest_code(session) == -ZVFS_ENOENT);
    CHECK(strcmp(host.ends, "3") == 0 && host.closed == 2);
    zvm_session_free(session);
}

/* A number that finish may not return is no success. */
static void finishes_wrongly(void) {
    struct host host;
    zvm_session *session;
    memset(&host, 0, sizeof host);
    host.finishes = 5;
    session = make(&host, ECHO_GUEST, NULL);
    CHECK(zvm_session_run(session, NULL) == 0);
    CHECK(zvm_session_exit_code(session) == 5);
    CHECK(strstr(zvm_session_report(session, ZVM_REPORT_TEXT), "finish returned 5 instead of") != NULL);
    zvm_session_free(session);
}

/* The second one for an alias is refused and stays the host's; closing one may cancel, at any time. */
static void gives_twice(void) {
    struct host host;
    zvm_channel channel;
    zvfs_error error;
    zvm_session *session;
    memset(&host, 0, sizeof host);
    memset(&channel, 0, sizeof channel);
    channel.struct_size = sizeof channel;
    channel.arg = &host;
    channel.read = host_read;
    channel.close = host_close;
    host.cancels = 1;
    session = make(&host, ECHO_GUEST, NULL);
    CHECK(zvm_session_channel(session, "/dev/stdin", &channel, &error) == -ZVFS_EEXIST);
    CHECK(strstr(error.message, "already has a channel /dev/stdin") != NULL && host.closed == 0);
    CHECK(zvm_session_run(session, NULL) == 0);
    CHECK(host.closed == 2);
    CHECK(zvm_session_channel(session, "/dev/stdin", &channel, NULL) == -ZVFS_EBUSY);
    CHECK(host.closed == 2);
    zvm_session_free(session);
    session = make(&host, ECHO_GUEST, NULL);
    zvm_session_free(session);
    CHECK(host.closed == 4);
}

static void *run(void *session) {
    CHECK(zvm_session_run((zvm_session *)session, NULL) == 0);
    return NULL;
}

static void cancels(void) {
    struct host host;
    zvm_session *session;
    pthread_t thread;
    memset(&host, 0, sizeof host);
    /* From another thread. */
    session = make(&host, ENDLESS, NULL);
    CHECK(pthread_create(&thread, NULL, run, session) == 0);
    usleep(1000); /* before or after it runs: it ends either way */
    CHECK(zvm_session_cancel(session, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(zvm_session_exit_code(session) == 4);
    CHECK(strstr(zvm_session_report(session, ZVM_REPORT_TEXT), "\ncancelled\n") != NULL);
    zvm_session_free(session);
    /* Before the run. */
    session = make(&host, ENDLESS, NULL);
    CHECK(zvm_session_cancel(session, NULL) == 0);
    CHECK(zvm_session_run(session, NULL) == 0);
    CHECK(zvm_session_exit_code(session) == 4);
    zvm_session_free(session);
    /* From a callback. */
    host.fails = -ZVFS_ECANCELED;
    session = make(&host, ECHO_GUEST, NULL);
    CHECK(zvm_session_run(session, NULL) == 0);
    CHECK(zvm_session_exit_code(session) == 4);
    zvm_session_free(session);
}

static void mistakes(void) {
    struct host host;
    zvm_channel channel;
    zvm_session_options options;
    zvfs_error error;
    zvm_session *session = NULL;
    memset(&host, 0, sizeof host);
    memset(&channel, 0, sizeof channel);
    memset(&options, 0, sizeof options);
    CHECK(zvm_session_new(NULL, 3, NULL, &session, &error) == -ZVFS_EINVAL);
    CHECK(zvm_session_new("x", 1, NULL, NULL, &error) == -ZVFS_EINVAL);
    CHECK(zvm_session_new("Version = 1\n", 12, NULL, &session, &error) == -ZVFS_EINVAL);
    CHECK(strstr(error.message, "MANIFEST 1") != NULL && session == NULL);
    CHECK(zvm_session_new(MANIFEST, strlen(MANIFEST), &options, &session, &error) == -ZVFS_EINVAL);
    CHECK(strstr(error.message, "struct_size") != NULL);
    options.struct_size = sizeof options;
    options.cache_key = "/key";
    CHECK(zvm_session_new(MANIFEST, strlen(MANIFEST), &options, &session, &error) == -ZVFS_EINVAL);
    options.cache_key = NULL;
    options.configuration = "/nowhere/zvfs.toml";
    CHECK(zvm_session_new(MANIFEST, strlen(MANIFEST), &options, &session, &error) == -ZVFS_ENOENT);
    CHECK(zvm_session_run(NULL, NULL) == -ZVFS_EINVAL);
    CHECK(zvm_session_run((zvm_session *)&host, NULL) == -ZVFS_EBADF);
    zvm_session_free(NULL);
    session = make(&host, ECHO_GUEST, NULL);
    CHECK(zvm_session_channel(session, "/dev/stdin", &channel, &error) == -ZVFS_EINVAL);
    CHECK(strstr(error.message, "struct_size") != NULL);
    channel.struct_size = sizeof channel;
    CHECK(zvm_session_channel(session, "/x", &channel, &error) == -ZVFS_EINVAL);
    CHECK(strstr(error.message, "no channel /x") != NULL);
    CHECK(zvm_session_channel(session, NULL, &channel, NULL) == -ZVFS_EINVAL);
    CHECK(zvm_session_channel(session, "/dev/stdin", NULL, NULL) == -ZVFS_EINVAL);
    /* Never run: its channels are closed all the same. */
    CHECK(host.closed == 0);
    zvm_session_free(session);
    CHECK(host.closed == 2);
    /* Neither read nor write. */
    CHECK(zvm_session_new(MANIFEST, strlen(MANIFEST), NULL, &session, NULL) == 0);
    channel.close = host_close;
    CHECK(zvm_session_channel(session, "/dev/stdin", &channel, NULL) == -ZVFS_EINVAL);
    CHECK(host.closed == 2);
    /* No provider is known without an operator's file. */
    CHECK(zvm_session_run(session, NULL) == 0);
    CHECK(zvm_session_exit_code(session) == 14);
    zvm_session_free(session);
}

/* Structs of other versions: an older one is refused only where the first was larger, a newer one only where it asks for more. */
static void grows(void) {
    struct {
        zvm_session_options known;
        uint64_t later;
    } options;
    struct {
        zvm_channel known;
        uint64_t later;
    } channel;
    zvfs_error error;
    zvm_session *session;
    memset(&options, 0, sizeof options);
    memset(&channel, 0, sizeof channel);
    channel.known.read = host_read;
    options.known.struct_size = sizeof options;
    CHECK(zvm_session_new(MANIFEST, strlen(MANIFEST), &options.known, &session, NULL) == 0);
    channel.known.struct_size = sizeof channel;
    channel.later = (uint64_t)1 << 63;
    CHECK(zvm_session_channel(session, "/dev/stdin", &channel.known, &error) == -ZVFS_EINVAL);
    CHECK(strstr(error.message, "channel: uses a field that version") != NULL);
    channel.known.struct_size = 47;
    CHECK(zvm_session_channel(session, "/dev/stdin", &channel.known, &error) == -ZVFS_EINVAL);
    CHECK(strstr(error.message, "struct_size is 47: set it to sizeof, 48 or more") != NULL);
    channel.known.struct_size = 48;
    CHECK(zvm_session_channel(session, "/dev/stdin", &channel.known, NULL) == 0);
    zvm_session_free(session);
    options.later = 1;
    CHECK(zvm_session_new(MANIFEST, strlen(MANIFEST), &options.known, &session, &error) == -ZVFS_EINVAL);
    CHECK(strstr(error.message, "options: uses a field that version") != NULL);
    options.known.struct_size = 8;
    CHECK(zvm_session_new(MANIFEST, strlen(MANIFEST), &options.known, &session, NULL) == -ZVFS_EINVAL);
}

int main(int argc, char **argv) {
    zvm_session_options options;
    char cache[1000], key[1000];
    CHECK(argc == 4);
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.configuration = argv[2];
    options.job = "nightly";
    snprintf(cache, sizeof cache, "%s/cache", argv[3]);
    snprintf(key, sizeof key, "%s/key", argv[3]);
    options.cache_folder = cache;
    options.cache_key = key;
    if (*argv[1]) options.worker = argv[1];
    runs(NULL);
    runs(&options);
    runs(&options);
    fails();
    finishes_wrongly();
    gives_twice();
    cancels();
    mistakes();
    grows();
    printf("%d checks\n", checked);
    return 0;
}
