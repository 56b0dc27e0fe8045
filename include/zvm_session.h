/* SPDX-License-Identifier: Apache-2.0
 *
 * zvm_session.h: run an untrusted WebAssembly program from C or C++. The program sees the channels of its manifest and nothing
 * else; any of them may be the host's own: a web server's request body is the guest's standard input.
 *
 *     #include <string.h>
 *     #include <zvm_session.h>
 *
 *     static int64_t ZVFS_CALL body(void *request, void *buf, uint64_t n) { return server_read(request, buf, n); }
 *     static int64_t ZVFS_CALL answer(void *request, const void *buf, uint64_t n) { return server_write(request, buf, n); }
 *
 *     int32_t run(const char *manifest, struct request *request, zvfs_error *error) {
 *         zvm_channel in = { .struct_size = sizeof in, .arg = request, .read = body };
 *         zvm_channel out = { .struct_size = sizeof out, .arg = request, .write = answer };
 *         zvm_session *session;
 *         int32_t code = zvm_session_new(manifest, strlen(manifest), NULL, &session, error);
 *         if (code) return code;
 *         if (!(code = zvm_session_channel(session, "/dev/stdin", &in, error)) &&
 *             !(code = zvm_session_channel(session, "/dev/stdout", &out, error)) &&
 *             !(code = zvm_session_run(session, error)))
 *             server_log(request, zvm_session_report(session, ZVM_REPORT_JSON));
 *         zvm_session_free(session);
 *         return code;
 *     }
 *
 *     cc -o example example.c $(pkg-config --cflags --libs zvm)
 *
 * libzvm carries the engine, so it is a library of its own, apart from libzvfs; it needs no part of that. Errors, codes,
 * strings, memory, structs of options: as in zvfs.h, whose words zvfs_provider.h has. In short: int32_t is 0 or a negative
 * code; `err` may be NULL; outputs are written only on success; what is passed in needs to be valid during the call only,
 * unless it says otherwise.
 *
 * Mistakes
 *
 *     NULL where something belongs is -ZVFS_EINVAL. A session used after its end is -ZVFS_EBADF, always: no pointer is given
 *     out twice, so what is another object is no session. What doesn't fit a session's state (a channel for one that runs, a second run) is -ZVFS_EBUSY.
 *
 * Threads
 *
 *     Any function may be called on any thread. zvm_session_run keeps its caller until the session's end and lets only
 *     zvm_session_cancel overlap. Any number of sessions may run at the same time, each on a thread that the library makes.
 *     Callbacks are called on that thread, one at a time for a session; they may call nothing of their own session but
 *     zvm_session_cancel, and must return: no longjmp, no C++ exception.
 *
 * Process
 *
 *     The engine installs handlers for SIGSEGV, SIGBUS, SIGILL and SIGFPE when the first program is loaded. They take what a guest
 *     raises and pass everything else on to the handlers that were there before. A host that has such handlers of its own (a
 *     JVM, say) installs them before the first session.
 *
 *     After a fork the child cannot use its parent's sessions (-ZVFS_EPERM; freeing one does nothing). It makes its own, and may
 *     run them if its parent has run none: the engine's threads and locks do not survive a fork, so sessions run in the parent or
 *     in its children, and a run in the other is -ZVFS_EPERM.
 */
#ifndef ZVM_SESSION_H
#define ZVM_SESSION_H

#include "zvfs_provider.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One run of a program. */
typedef struct zvm_session zvm_session;

/* What a session is to have beyond its manifest. All zero but struct_size is the same as NULL. */
typedef struct zvm_session_options {
    uint64_t struct_size;

    /* The operator's file, which says what providers the channels may use; it is checked and read as zvfs_configuration_find
     * does. NULL: no provider is known, so the host gives every channel, and the program, by calls. */
    const char *configuration;

    /* The path of the command `zvfs`, which then compiles the program in a process of its own, limited in memory and CPU time
     * and ended by Timeout and cancel. NULL: the program is compiled on the session's thread: within limits on its size, but
     * for as long as that takes and in this process's memory. Programs of strangers want the command. */
    const char *worker;

    /* A folder, yours alone (mode 0700), where compiled programs are kept for the next process, and the file of the key that
     * they are authenticated with (mode 0600), elsewhere. Both are made if they are not there. Both NULL: nothing is kept on
     * disk; in the process programs are kept all the same. */
    const char *cache_folder;
    const char *cache_key;

    /* The run's name, offered to providers that know jobs; or NULL. */
    const char *job;
} zvm_session_options;

/* Makes a session of a manifest's text, `size` bytes. Parses it, opens nothing. Free it with zvm_session_free.
 * EINVAL: a defect in the manifest, with its line: "MANIFEST 3: ...". EACCES and others: the configuration's and the cache's. */
int32_t ZVFS_CALL zvm_session_new(const char *manifest, uint64_t size, const zvm_session_options *options, zvm_session **out,
                                  zvfs_error *err);

/* Gives the program, a WebAssembly binary or its text, instead of what the manifest's Program names. Copied. EINVAL: over
 * 256 MiB, which no program may have. */
int32_t ZVFS_CALL zvm_session_program(zvm_session *session, const void *bytes, uint64_t size, zvfs_error *err);

/* A channel that the host fills itself. Alias, type and quotas stay the manifest's; what it names as source is not opened.
 * `read` or `write` or both, as the quotas ask for; others may be NULL. The channel is sequential. */
typedef struct zvm_channel {
    uint64_t struct_size;

    /* Passed to each call. */
    void *arg;

    /* Puts up to n bytes into buf: waits for at least one. Returns the count, 0 at the end, or a negative code, which ends the
     * session (-ZVFS_EINTR: called again). A session that is stopped calls it no more; for a call in progress it waits 1 s, and
     * is then left behind: reported without it, with a note that says so, while the thread, and the call with its buffer, stay
     * until it returns. So is one that ends while an interactive channel is read ahead. */
    int64_t(ZVFS_CALL *read)(void *arg, void *buf, uint64_t n);

    /* Takes up to n bytes from buf, at least one. Returns the count or a negative code; -ZVFS_EPIPE (nobody reads any more) is
     * the guest's to see, others end the session. As for the time, see read. */
    int64_t(ZVFS_CALL *write)(void *arg, const void *buf, uint64_t n);

    /* Tells a channel that is written how it ended, ZVFS_FINISH_...: END and then COMMIT where the session ended well; DISCARD
     * where it failed, or where write returned -ZVFS_EPIPE, and what was written is not the whole. Returns 0 or a negative code, which makes the session fail. */
    int32_t(ZVFS_CALL *finish)(void *arg, uint32_t how);

    /* The last call for this arg, in any case, also if the session never ran. zvm_session_run, or zvm_session_free for one that
     * never ran, returns after it; only where the session was left behind it comes later, when the call in progress returns. */
    void(ZVFS_CALL *close)(void *arg);
} zvm_channel;

/* Gives a channel. `alias`: as in the manifest. EINVAL: the manifest has no such channel. EEXIST: it was given already. If it
 * fails, close is not called. */
int32_t ZVFS_CALL zvm_session_channel(zvm_session *session, const char *alias, const zvm_channel *channel, zvfs_error *err);

/* Runs the session, and waits for its end: the manifest's Timeout and some seconds more at most. Returns 0 if there is a report,
 * whatever it says. A session runs once. */
int32_t ZVFS_CALL zvm_session_run(zvm_session *session, zvfs_error *err);

/* Ends a session from another thread, or from a callback: the guest does not run on, what it wrote is discarded but for
 * what was committed already, the report says "cancelled". Does not wait. Before the run, the run then ends at once, opens nothing and leaves nothing: of the host's functions
 * only close is called. After the run, nothing happens. */
int32_t ZVFS_CALL zvm_session_cancel(zvm_session *session, zvfs_error *err);

/* Returns how the host fared: 0, or one of ZeroVM's exit codes, of which docs and `zvfs --help` have the list: 4 stopped, 5 a
 * channel failed, 8 not a program, 12 memory, 14 manifest, 32 a digest, 125 a guest that
 * failed and whose manifest says `Commit = success`... -ZVFS_EBUSY: there is no report yet. */
int32_t ZVFS_CALL zvm_session_exit_code(zvm_session *session);

/* Returns what the guest exited with, 0 to UINT32_MAX. -ZVFS_ENOENT: it did not come to that. -ZVFS_EBUSY: there is no report
 * yet. */
int64_t ZVFS_CALL zvm_session_guest_code(zvm_session *session);

enum {
    ZVM_REPORT_TEXT = 1, /* ZeroVM's six lines and an empty one */
    ZVM_REPORT_JSON = 2  /* one object in one line, with all there is */
};

/* Returns the report. Valid until the session is freed. NULL: there is none yet, or no such form. */
const char *ZVFS_CALL zvm_session_report(zvm_session *session, uint32_t form);

/* Frees a session, and closes its channels if it never ran. One that runs is cancelled and freed at its end. NULL: nothing. */
void ZVFS_CALL zvm_session_free(zvm_session *session);

#ifdef __cplusplus
}
#endif

#endif
