/* A host of guests: what a web server would do with a request. The request's body is the guest's standard input, the guest's
 * standard output is the answer; the guest reaches nothing else.
 *
 *     request echo.wat 'the body of a request'
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zvm_session.h>

/* Every request is run under the same manifest. The sources that it names are not opened: this host gives all channels. */
static const char MANIFEST[] =
    "Version = 20140509\n"
    "Program = /given/by/the/host\n"
    "Memory = 16777216, 0\n"
    "Timeout = 100\n"
    "Channel = /given, /dev/stdin, 0, 1000, 1000000, 0, 0\n"
    "Channel = /given, /dev/stdout, 0, 0, 0, 1000, 1000000\n"
    "Channel = /given, /dev/stderr, 0, 0, 0, 1000, 1000000\n";

struct body {
    const char *text;
    size_t left;
};

static int64_t ZVFS_CALL read_body(void *arg, void *buf, uint64_t n) {
    struct body *body = arg;
    size_t count = body->left < n ? body->left : (size_t)n;
    memcpy(buf, body->text, count);
    body->text += count;
    body->left -= count;
    return (int64_t)count;
}

static int64_t ZVFS_CALL write_answer(void *arg, const void *buf, uint64_t n) {
    size_t count = fwrite(buf, 1, (size_t)n, arg);
    return count > 0 ? (int64_t)count : -ZVFS_EIO;
}

static int fail(const char *doing, const zvfs_error *error) {
    fprintf(stderr, "request: %s: %s\n", doing, error->message);
    return 1;
}

/* Reads a whole file; NULL: it cannot be read. */
static char *slurp(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    char *bytes = NULL;
    long end;
    if (file && fseek(file, 0, SEEK_END) == 0 && (end = ftell(file)) >= 0) {
        rewind(file);
        *size = (size_t)end;
        bytes = malloc(*size + 1);
        if (bytes && fread(bytes, 1, *size, file) != *size) {
            free(bytes);
            bytes = NULL;
        }
    }
    if (file) fclose(file);
    return bytes;
}

int main(int argc, char **argv) {
    zvfs_error error;
    zvm_session *session;
    zvm_channel in = {0}, out = {0}, err = {0};
    struct body body;
    size_t size;
    char *program;
    int code = 0;
    if (argc != 3) {
        fprintf(stderr, "usage: request PROGRAM BODY\n");
        return 64;
    }
    if (!(program = slurp(argv[1], &size))) {
        fprintf(stderr, "request: cannot read %s\n", argv[1]);
        return 1;
    }
    body.text = argv[2];
    body.left = strlen(argv[2]);
    in.struct_size = out.struct_size = err.struct_size = sizeof in;
    in.arg = &body;
    in.read = read_body;
    out.arg = stdout;
    out.write = write_answer;
    err.arg = stderr;
    err.write = write_answer;

    if (zvm_session_new(MANIFEST, sizeof MANIFEST - 1, NULL, &session, &error)) {
        free(program);
        return fail("manifest", &error);
    }
    if (zvm_session_program(session, program, size, &error) ||
        zvm_session_channel(session, "/dev/stdin", &in, &error) ||
        zvm_session_channel(session, "/dev/stdout", &out, &error) ||
        zvm_session_channel(session, "/dev/stderr", &err, &error) || zvm_session_run(session, &error)) {
        code = fail("run", &error);
    } else if (zvm_session_exit_code(session) != 0 || zvm_session_guest_code(session) != 0) {
        /* A server would answer 500 here, and log this. */
        fprintf(stderr, "%s", zvm_session_report(session, ZVM_REPORT_TEXT));
        code = 1;
    }
    zvm_session_free(session);
    free(program);
    return code;
}
