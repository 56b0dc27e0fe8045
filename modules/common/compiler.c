/* SPDX-License-Identifier: Apache-2.0 */
#include "compiler.h"

static int64_t ZVFS_CALL never_read(void *arg, void *buf, uint64_t n) {
    (void)arg, (void)buf, (void)n;
    return -ZVFS_EIO;
}

static int64_t ZVFS_CALL never_written(void *arg, const void *buf, uint64_t n) {
    (void)arg, (void)buf, (void)n;
    return -ZVFS_EIO;
}

int32_t compiler_supply(zvm_session *session, zvfs_error *err) {
    const zvm_channel in = {.struct_size = sizeof in, .read = never_read}, out = {.struct_size = sizeof out, .write = never_written};
    int32_t code = zvm_session_channel(session, "/dev/stdin", &in, err);
    if (!code) code = zvm_session_channel(session, "/dev/stdout", &out, err);
    return code ? code : zvm_session_channel(session, "/dev/stderr", &out, err);
}

int32_t compiler_check(zvm_host *host, zvfs_error *err) {
    static const char manifest[] =
        "Version = 20140509\nProgram = /given\nMemory = 64k, 0\nTimeout = 1\n"
        "Channel = /given, /dev/stdin, 0, 1, 1, 0, 0\n"
        "Channel = /given, /dev/stdout, 0, 0, 0, 1, 1\n"
        "Channel = /given, /dev/stderr, 0, 0, 0, 1, 1\n";
    static const char program[] = "(module (memory (export \"memory\") 0) (func (export \"_start\")))";
    const zvm_session_options options = {.struct_size = sizeof options, .host = host};
    zvm_session *session;
    int32_t code = zvm_session_new(manifest, sizeof manifest - 1, &options, &session, err);
    if (code) return code;
    code = zvm_session_program(session, program, sizeof program - 1, err);
    if (!code) code = compiler_supply(session, err);
    if (!code) code = zvm_session_check(session, err);
    zvm_session_free(session);
    return code;
}
