/* What a server that checks its configuration is told of a session, which opens nothing and runs nothing. The argument is an operator's
 * file that allows file: channels, and no others. */
#include "../../../tests/c/check.h"
#include <zvm_session.h>

#define MANIFEST(program, more) \
    "Version = 20140509\nProgram = " program "\nMemory = 1048576, 0\nTimeout = 100\n" \
    "Channel = /nowhere/at/all, /dev/stdin, 0, 1000, 1000000, 0, 0\n" \
    "Channel = /nowhere/at/all, /dev/stdout, 0, 0, 0, 1000, 1000000\n" \
    "Channel = /nowhere/at/all, /dev/stderr, 0, 0, 0, 1000, 1000000\n" more
#define GOOD "(module (memory (export \"memory\") 1) (func (export \"_start\") unreachable))"

static int closed;

static int64_t ZVFS_CALL no_read(void *arg, void *buf, uint64_t n) {
    (void)arg, (void)buf, (void)n;
    return -ZVFS_EIO;
}

static void ZVFS_CALL close_it(void *arg) {
    (void)arg;
    closed++;
}

static const char *operators, *worker;

/* What is said of a session of this manifest, of a program that is supplied or NULL; "" if nothing. */
static const char *said(const char *manifest, const char *program, int32_t expected) {
    static zvfs_error error;
    zvm_session_options options = {.struct_size = sizeof options, .configuration = operators, .worker = worker};
    zvm_session *session;
    if (zvm_session_new(manifest, strlen(manifest), &options, &session, &error)) return error.message;
    if (program) CHECK(zvm_session_program(session, program, strlen(program), NULL) == 0);
    memset(&error, 0, sizeof error);
    CHECK(zvm_session_check(session, &error) == expected);
    zvm_session_free(session);
    return error.message;
}

/* It is the same session afterwards, with the channels that it was given. */
static void leaves_it_as_it_was(void) {
    zvm_channel in = {.struct_size = sizeof in, .read = no_read, .close = close_it};
    const char *manifest = MANIFEST("/given", "");
    zvm_session *session;
    CHECK(zvm_session_new(manifest, strlen(manifest), NULL, &session, NULL) == 0);
    CHECK(zvm_session_program(session, GOOD, strlen(GOOD), NULL) == 0);
    CHECK(zvm_session_channel(session, "/dev/stdin", &in, NULL) == 0);
    /* Nobody serves the others. */
    CHECK(zvm_session_check(session, NULL) == -ZVFS_EPROTONOSUPPORT && closed == 0);
    CHECK(zvm_session_channel(session, "/dev/stdin", &in, NULL) == -ZVFS_EEXIST);
    CHECK(zvm_session_run(session, NULL) == 0 && closed == 1);
    CHECK(zvm_session_check(session, NULL) == -ZVFS_EBUSY);
    zvm_session_free(session);
    CHECK(zvm_session_check(session, NULL) == -ZVFS_EBADF && zvm_session_check(NULL, NULL) == -ZVFS_EINVAL);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    operators = arguments[1];
    CHECK(!*said(MANIFEST("/given", ""), GOOD, 0));
    CHECK(strstr(said(MANIFEST("/given", ""), "(module", -ZVFS_EINVAL), "bad program: "));
    CHECK(strstr(said(MANIFEST("/given", ""), "(module (memory (export \"memory\") 1))", -ZVFS_EINVAL), "_start"));
    CHECK(strstr(said(MANIFEST("/given", ""), "(module (memory (export \"memory\") 1) (func (export \"_start\") i32.add drop))", -ZVFS_EINVAL),
                 "bad program: "));
    CHECK(strstr(said(MANIFEST("/nowhere/at/all", ""), NULL, -ZVFS_ENOENT), "program: "));
    CHECK(strstr(said(MANIFEST("nosuch://host/x", ""), NULL, -ZVFS_EPROTONOSUPPORT), "nosuch"));
    CHECK(!*said(MANIFEST("/given", "Channel = /not/looked/for, /data, 3, 1, 1, 0, 0\n"), GOOD, 0));
    CHECK(strstr(said(MANIFEST("/given", "Channel = nosuch://host/x, /data, 0, 1, 1, 0, 0\n"), GOOD, -ZVFS_EPROTONOSUPPORT),
                 "MANIFEST 8: channel /data: "));
    CHECK(strstr(said(MANIFEST("/given", "Tree = nosuch://host/x, /data, ro, 10, 1000\n"), GOOD, -ZVFS_EPROTONOSUPPORT),
                 "MANIFEST 8: tree /data: "));
    CHECK(strstr(said(MANIFEST("/given", "Scratch = 1g\nExport = nosuch://host/x, /data, 10, 1000\n"), GOOD, -ZVFS_EPROTONOSUPPORT),
                 "MANIFEST 9: export /data: "));
    /* There is one, which this operator does not allow. */
    CHECK(strstr(said(MANIFEST("/given", "Channel = mem:x, /data, 0, 1, 1, 0, 0\n"), GOOD, -ZVFS_EACCES), "MANIFEST 8: channel /data: "));
    CHECK(strstr(said(MANIFEST("/given", ""), "(module (memory (export \"memory\") 17) (func (export \"_start\")))", -ZVFS_ENOMEM),
                 "MANIFEST 3: Memory: 1048576 bytes are too few: the program starts with 1114112"));
    /* A table counts 16 bytes an element. */
    CHECK(strstr(said(MANIFEST("/given", ""), "(module (table 2 funcref) (memory (export \"memory\") 16) (func (export \"_start\")))",
                      -ZVFS_ENOMEM), "the program starts with 1048608"));
    CHECK(!*said(MANIFEST("/given", ""), "(module (memory (export \"memory\") 16) (func (export \"_start\")))", 0));
    worker = "/bin/false";
    CHECK(strstr(said(MANIFEST("/given", ""), GOOD, -ZVFS_EIO), "/bin/false"));
    worker = "/nowhere/at/all";
    CHECK(strstr(said(MANIFEST("/given", ""), GOOD, -ZVFS_EIO), "/nowhere/at/all"));
    leaves_it_as_it_was();
    printf("%d checks\n", checked);
    return 0;
}
