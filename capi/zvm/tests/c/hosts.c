/* What several sessions share, and a provider that is part of the program: as zvm_session.h says.
 *
 *     hosts CONFIGURATION
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zvm_session.h>

static int checked;

#define CHECK(condition)                                                                 \
    do {                                                                                 \
        checked++;                                                                       \
        if (!(condition)) {                                                              \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);      \
            exit(1);                                                                     \
        }                                                                                \
    } while (0)

/* ---- The provider `job:`, which reads as the name of the session's run ------------------------------------------- */

struct zvfs_file {
    char text[32];
    size_t at;
};

static int started, stopped;

static int32_t ZVFS_CALL job_start(const zvfs_host *host, const zvfs_value *const *settings, zvfs_instance **out, zvfs_error *err) {
    (void)host, (void)settings, (void)err;
    started++;
    *out = (zvfs_instance *)&started;
    return 0;
}

static void ZVFS_CALL job_stop(zvfs_instance *instance) {
    (void)instance;
    stopped++;
}

static int32_t ZVFS_CALL job_open(zvfs_instance *instance, const zvfs_open_request *request, zvfs_file **out, zvfs_error *err) {
    zvfs_file *file = (zvfs_file *)calloc(1, sizeof *file);
    const zvfs_value *const *each;
    (void)instance, (void)err;
    for (each = request->settings; *each; each++)
        if (strcmp((*each)->name, "job") == 0) snprintf(file->text, sizeof file->text, "%s", (*each)->text);
    *out = file;
    return 0;
}

static void ZVFS_CALL job_close(zvfs_file *file) { free(file); }

static int64_t ZVFS_CALL job_read(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    size_t left = strlen(file->text + file->at), count = left < n ? left : (size_t)n;
    (void)err;
    memcpy(buf, file->text + file->at, count);
    file->at += count;
    return (int64_t)count;
}

static uint64_t ZVFS_CALL job_capabilities(zvfs_file *file) {
    (void)file;
    return ZVFS_CAP_READABLE | ZVFS_CAP_CANCEL;
}

static const char *schemes[] = {"job", NULL};
static zvfs_setting job_setting;
static const zvfs_setting *settings[] = {&job_setting, NULL};
static zvfs_provider provider;

static void fill_provider(void) {
    job_setting.struct_size = sizeof job_setting;
    job_setting.name = "job";
    job_setting.help = "the run's name";
    job_setting.type = ZVFS_TYPE_STRING;
    job_setting.scope = ZVFS_SCOPE_OPEN;
    provider.struct_size = sizeof provider;
    provider.name = "job";
    provider.schemes = schemes;
    provider.settings = settings;
    provider.supported_flags = ZVFS_OPEN_READ;
    provider.start = job_start;
    provider.stop = job_stop;
    provider.open = job_open;
    provider.close = job_close;
    provider.read = job_read;
    provider.capabilities = job_capabilities;
}

/* ---- Sessions of it ---------------------------------------------------------------------------------------------- */

static const char MANIFEST[] = "Version = 20140509\nProgram = /given\nMemory = 65536, 0\nTimeout = 100\n"
                               "Channel = job:, /dev/stdin, 0, 9, 99, 0, 0\n"
                               "Channel = /given, /dev/stdout, 0, 0, 0, 9, 99\n"
                               "Channel = /given, /dev/stderr, 0, 0, 0, 9, 99\n";

/* Copies what one read of standard input gives. */
static const char GUEST[] =
    "(module (import \"wasi_snapshot_preview1\" \"fd_read\" (func $read (param i32 i32 i32 i32) (result i32)))"
    "(import \"wasi_snapshot_preview1\" \"fd_write\" (func $write (param i32 i32 i32 i32) (result i32)))"
    "(memory (export \"memory\") 1) (func (export \"_start\")"
    "(i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 64))"
    "(drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 4)))"
    "(drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))";

static char output[32];

static int64_t ZVFS_CALL keep(void *arg, const void *buf, uint64_t n) {
    (void)arg;
    CHECK(n < sizeof output);
    memset(output, 0, sizeof output);
    memcpy(output, buf, (size_t)n);
    return (int64_t)n;
}

/* Runs it, and returns the exit code. */
static int32_t run(zvm_session *session) {
    zvm_channel channel;
    int32_t exit_code;
    memset(&channel, 0, sizeof channel);
    channel.struct_size = sizeof channel;
    channel.write = keep;
    output[0] = '\0';
    CHECK(zvm_session_program(session, GUEST, strlen(GUEST), NULL) == 0);
    CHECK(zvm_session_channel(session, "/dev/stdout", &channel, NULL) == 0);
    CHECK(zvm_session_channel(session, "/dev/stderr", &channel, NULL) == 0);
    CHECK(zvm_session_run(session, NULL) == 0);
    exit_code = zvm_session_exit_code(session);
    zvm_session_free(session);
    return exit_code;
}

static zvm_session_options options_of(zvm_host *host) {
    zvm_session_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.host = host;
    return options;
}

static void sessions_share_a_provider_and_are_told_apart(void) {
    zvm_host *host;
    zvm_session *session;
    zvm_template *shared;
    zvm_session_options options;
    CHECK(zvm_host_new(NULL, &host, NULL) == 0);
    CHECK(zvm_host_register(host, &provider, NULL) == 0);
    CHECK(zvm_host_register(host, &provider, NULL) == -ZVFS_EEXIST);
    options = options_of(host);
    options.job = "first";
    CHECK(zvm_session_new(MANIFEST, strlen(MANIFEST), &options, &session, NULL) == 0);
    CHECK(run(session) == 0 && strcmp(output, "first") == 0);
    CHECK(zvm_template_new(MANIFEST, strlen(MANIFEST), &options, &shared, NULL) == 0);
    CHECK(zvm_template_session(shared, &session, NULL) == 0);
    CHECK(zvm_session_job(session, "second", NULL) == 0);
    CHECK(run(session) == 0 && strcmp(output, "second") == 0);
    CHECK(zvm_template_session(shared, &session, NULL) == 0);
    CHECK(run(session) == 0 && strcmp(output, "first") == 0);
    CHECK(zvm_session_job(session, "late", NULL) == -ZVFS_EBADF);
    CHECK(started == 1 && stopped == 0);
    zvm_template_free(shared);
    zvm_host_free(host);
    CHECK(started == 1 && stopped == 1);
}

static void sessions_outlive_their_host(void) {
    zvm_host *host;
    zvm_session *session;
    zvm_session_options options;
    CHECK(zvm_host_new(NULL, &host, NULL) == 0);
    CHECK(zvm_host_register(host, &provider, NULL) == 0);
    options = options_of(host);
    options.job = "orphan";
    CHECK(zvm_session_new(MANIFEST, strlen(MANIFEST), &options, &session, NULL) == 0);
    zvm_host_free(host);
    CHECK(zvm_session_new(MANIFEST, strlen(MANIFEST), &options, &session, NULL) == -ZVFS_EBADF);
    CHECK(run(session) == 0 && strcmp(output, "orphan") == 0);
}

static void mistakes(const char *configuration) {
    zvm_host_options of_host;
    zvm_host *host;
    zvm_session *session;
    zvm_session_options options;
    zvfs_error error;
    zvfs_provider broken = provider;
    memset(&of_host, 0, sizeof of_host);
    of_host.struct_size = sizeof of_host;
    of_host.cache_folder = "/nowhere";
    CHECK(zvm_host_new(&of_host, &host, NULL) == -ZVFS_EINVAL);
    of_host.cache_folder = NULL;
    of_host.configuration = "/does/not/exist.toml";
    CHECK(zvm_host_new(&of_host, &host, NULL) < 0);
    of_host.configuration = configuration;
    CHECK(zvm_host_new(&of_host, NULL, NULL) == -ZVFS_EINVAL);
    CHECK(zvm_host_new(&of_host, &host, NULL) == 0);
    broken.read = NULL;
    CHECK(zvm_host_register(host, &broken, &error) < 0);
    CHECK(zvm_host_register(host, NULL, NULL) == -ZVFS_EINVAL);
    CHECK(zvm_host_register(NULL, &provider, NULL) == -ZVFS_EINVAL);
    options = options_of(host);
    options.configuration = configuration;
    CHECK(zvm_session_new(MANIFEST, strlen(MANIFEST), &options, &session, &error) == -ZVFS_EINVAL);
    CHECK(strstr(error.message, "options.host") != NULL);
    /* A session is no host. */
    CHECK(zvm_session_new(MANIFEST, strlen(MANIFEST), NULL, &session, NULL) == 0);
    CHECK(zvm_host_register((zvm_host *)session, &provider, NULL) == -ZVFS_EBADF);
    CHECK(zvm_session_job(session, NULL, NULL) == -ZVFS_EINVAL);
    CHECK(run(session) != 0); /* nobody knows job: here */
    zvm_host_free(host);
    zvm_host_free(host);
    zvm_host_free(NULL);
    CHECK(zvm_host_register(host, &provider, NULL) == -ZVFS_EBADF);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    fill_provider();
    sessions_share_a_provider_and_are_told_apart();
    sessions_outlive_their_host();
    mistakes(argv[1]);
    printf("%d checks\n", checked);
    return 0;
}
