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
 * libzvm contains the engine, so it is a library of its own and does not need libzvfs. Errors, codes, strings, memory and structs
 * of options work as in zvfs.h, with the definitions of zvfs_provider.h. In short: int32_t is 0 or a negative code; `err` may be
 * NULL; outputs are written only on success; arguments need to be valid during the call only, unless the function says otherwise.
 *
 * Mistakes
 *
 *     NULL for a required argument is -ZVFS_EINVAL. A session, template or host used after it was freed is -ZVFS_EBADF, always: no
 *     pointer is given out twice. So is a pointer to another object. A call that does not fit a session's state (a channel for one
 *     that runs, a second run) is -ZVFS_EBUSY.
 *
 * Threads
 *
 *     Any function may be called on any thread. zvm_session_run blocks until the session's end, and only zvm_session_cancel may
 *     overlap it. Any number of sessions may run at the same time, each on a thread that the library makes; zvm_session_start
 *     needs no thread of the host's. The library's threads block all signals but SIGSEGV, SIGBUS, SIGILL and SIGFPE.
 *     Callbacks are called on the session's thread, one at a time for a session, except `stop` and `ended`. They may call nothing
 *     of their own session but zvm_session_cancel, and must return: no longjmp, no C++ exception.
 *
 * Servers
 *
 *     A template is what many sessions have in common: the manifest, the options, and the program, read and compiled once. What is
 *     a request's own is added to its session: channels, arguments, environment.
 *
 *         zvm_template_new(manifest, strlen(manifest), &options, &template, &error);      at the start
 *         zvm_template_session(template, &session, &error);                               for each request
 *         zvm_session_environment(session, "QUERY_STRING", query, &error);
 *         zvm_session_channel(session, "/dev/stdout", &out, &error);
 *         zvm_session_start(session, ended, request, &error);
 *
 *     A host (zvm_host) bounds how many of its sessions run at a time, keeps their threads and, if it is to, their memory for the
 *     next ones, and counts what becomes of them:
 *
 *         zvm_host_options limits = { .struct_size = sizeof limits, .jobs = 100, .flags = ZVM_HOST_POOLED };
 *         zvm_session_options options = { .struct_size = sizeof options };
 *         zvm_host_new(&limits, &options.host, &error);                                   and a template with these options
 *         if (zvm_session_start(session, ended, request, &error) == -ZVFS_EMFILE)         100 run: refuse the request, or
 *             wait_for_an_end(request);                                                   start it when one has ended
 *         server_log(request, zvm_session_report(session, ZVM_REPORT_LINE));              at its end
 *
 *     Without `jobs` any number may run: the library then limits a session, not how many there are.
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

/* What many sessions have in common. */
typedef struct zvm_template zvm_template;

/* What several templates or many sessions share: the operator's file, which is read once; the providers that it allows, each loaded and started
 * once; and providers that are part of the program. */
typedef struct zvm_host zvm_host;

/* What a host is made of. All zero except struct_size is the same as NULL. */
typedef struct zvm_host_options {
    uint64_t struct_size;

    /* As in zvm_session_options. */
    const char *configuration;
    const char *worker;
    const char *cache_folder;
    const char *cache_key;

    /* Takes one line of the providers' log, warnings and errors; level: ZVFS_LOG_... On any thread, in the middle of a call: it must
     * not call this library and must not block for long. NULL: standard error. */
    void(ZVFS_CALL *log)(void *arg, uint32_t level, const char *text);
    void *log_arg; /* passed to log, which may be called until the last session of the host is over */

    /* How many of the host's sessions may run at a time, 1 to 4096; one more is -ZVFS_EMFILE (zvm_session_start). There are as many
     * threads for them, made when they are needed and kept for the next sessions; one that has had none for 30 s ends. A session
     * that was left behind counts until the call that holds it returns. 0: any number, each on a thread of its own. */
    uint64_t jobs;

    uint64_t flags; /* ZVM_HOST_...; others are EINVAL */
} zvm_host_options;

enum { /* zvm_host_options.flags */
    /* Reserves the memory of `jobs` guests when the host is made, and uses it again: a session takes what an earlier one has left,
     * cleared, and maps none of its own. Small guests start sooner by that, one that touches megabytes does not
     * (docs/performance.md). It takes over 8 GiB of address space a job, none of it memory before a guest touches it. ENOMEM:
     * there is no such room (ulimit -v). A table of a guest cannot grow beyond 1,048,576 elements; a program with a larger one,
     * or with more than four, gets memory of its own, as without this. */
    ZVM_HOST_POOLED = 1
};

/* Makes a host. Loads no provider yet. Free it with zvm_host_free. Fails as the configuration and the cache do. */
int32_t ZVFS_CALL zvm_host_new(const zvm_host_options *options, zvm_host **out, zvfs_error *err);

/* Adds a provider that is part of the program, as the table that its entry returns; the table must live as long as the process. No
 * policy applies to it, and it serves all its schemes except those that an alias leads elsewhere. An open of it is offered the
 * session's `job`, by which it can tell the sessions apart. EEXIST: one of that name is in use, or was added with one of its schemes;
 * ELIBBAD: the table breaks a rule. */
int32_t ZVFS_CALL zvm_host_register(zvm_host *host, const zvfs_provider *provider, zvfs_error *err);

/* What has become of a host's sessions since it was made, for the host's own metrics. `started` is the sum of `running` and of the
 * six below it. */
typedef struct zvm_counters {
    uint64_t struct_size;
    uint64_t started;       /* sessions that were run or started */
    uint64_t running;       /* those that have no report yet */
    uint64_t refused;       /* starts that were -ZVFS_EMFILE; not among the started ones */
    uint64_t ok;            /* the guest exited with 0 */
    uint64_t guest_failed;  /* it exited with another code */
    uint64_t trapped;       /* it trapped, or used up its fuel */
    uint64_t timed_out;     /* the manifest's Timeout */
    uint64_t cancelled;     /* zvm_session_cancel */
    uint64_t failed;        /* anything else: a channel, the program, the manifest, memory */
    uint64_t left_behind;   /* of those six: a call did not return in time, and its thread was left behind */
    uint64_t fuel;          /* that guests used, of sessions that have a report, as all below */
    uint64_t bytes_read;    /* by guests, from all channels */
    uint64_t bytes_written; /* by guests, to all channels */
} zvm_counters;

/* Counts the sessions of a host. All numbers are of the same moment. Costs a lock that is held for moments. */
int32_t ZVFS_CALL zvm_host_counters(zvm_host *host, zvm_counters *out, zvfs_error *err);

/* Frees a host, and stops its providers once no session uses them. Sessions that were made of it go on. NULL: nothing. */
void ZVFS_CALL zvm_host_free(zvm_host *host);

/* What a session has beyond its manifest. All zero except struct_size is the same as NULL. */
typedef struct zvm_session_options {
    uint64_t struct_size;

    /* The operator's file, which says which providers the channels may use; it is checked and read as zvfs_configuration_find
     * does. NULL: no provider is available, so the host must supply every channel, and the program, by calls. */
    const char *configuration;

    /* The path of the command `zvfs`, which then compiles the program in a process of its own, limited in memory and CPU time
     * and ended by Timeout and cancel. NULL: the program is compiled on the session's thread: within limits on its size, but
     * for as long as that takes and in this process's memory. Use the command for untrusted programs. */
    const char *worker;

    /* A folder, yours alone (mode 0700), where compiled programs are kept for the next process, and the file of the key that
     * authenticates them (mode 0600), elsewhere. Both are made if they do not exist. Both NULL: nothing is kept on disk; programs
     * are still kept within the process. */
    const char *cache_folder;
    const char *cache_key;

    /* The run's name, offered to providers that know jobs; or NULL. */
    const char *job;

    /* Where the configuration, the worker and the cache come from, which are then NULL here; or NULL. */
    zvm_host *host;
} zvm_session_options;

/* Makes a session of a manifest's text, `size` bytes. Parses it, opens nothing. Free it with zvm_session_free.
 * EINVAL: a defect in the manifest, with its line: "MANIFEST 3: ...". EACCES and others: the configuration's and the cache's. */
int32_t ZVFS_CALL zvm_session_new(const char *manifest, uint64_t size, const zvm_session_options *options, zvm_session **out,
                                  zvfs_error *err);

/* Supplies the program, a WebAssembly binary or its text, in place of the one that the manifest's Program names. Copied. EINVAL:
 * over 256 MiB, the limit for a program. */
int32_t ZVFS_CALL zvm_session_program(zvm_session *session, const void *bytes, uint64_t size, zvfs_error *err);

/* Names the run, in the place of the options' `job`. Copied. */
int32_t ZVFS_CALL zvm_session_job(zvm_session *session, const char *name, zvfs_error *err);

/* Adds an argument after the manifest's Args: any bytes but NUL, copied. */
int32_t ZVFS_CALL zvm_session_argument(zvm_session *session, const char *text, zvfs_error *err);

/* Sets a variable of the guest's environment, in the place of the manifest's Env of this name: any bytes but NUL, copied. EINVAL:
 * the name is empty or has a `=`. */
int32_t ZVFS_CALL zvm_session_environment(zvm_session *session, const char *name, const char *value, zvfs_error *err);

/* A channel that the host implements itself. Alias, type and quotas are the manifest's; its source is not opened. Set `read` or
 * `write` or both, as the quotas require; others may be NULL. The channel is sequential. */
typedef struct zvm_channel {
    uint64_t struct_size;

    /* Passed to each call. */
    void *arg;

    /* Puts up to n bytes into buf: waits for at least one. Returns the count, 0 at the end, or a negative code, which ends the
     * session (-ZVFS_EINTR: called again). A stopped session makes no further calls. It waits 1 s for a call in progress, and is
     * then left behind: it is reported with a note that says so, while the thread, and the call with its buffer, stay until the
     * call returns. The same happens to a session that ends while an interactive channel is read ahead. */
    int64_t(ZVFS_CALL *read)(void *arg, void *buf, uint64_t n);

    /* Takes up to n bytes from buf, at least one. Returns the count or a negative code; -ZVFS_EPIPE (nobody reads any more) is
     * returned to the guest, others end the session. For the time that it may take, see read. */
    int64_t(ZVFS_CALL *write)(void *arg, const void *buf, uint64_t n);

    /* Tells a written channel how it ended, ZVFS_FINISH_...: END and then COMMIT if the session succeeded; DISCARD if it failed,
     * or if write returned -ZVFS_EPIPE, and the output is partial. Returns 0 or a negative code, which makes the session fail. */
    int32_t(ZVFS_CALL *finish)(void *arg, uint32_t how);

    /* The last call for this arg, always made, even if the session never ran. zvm_session_run, or zvm_session_free for one that
     * never ran, returns after it. Only if the session was left behind does it come later, when the call in progress returns. */
    void(ZVFS_CALL *close)(void *arg);

    /* Says that the session was stopped, by its Timeout or a cancel: a read or write that waits must return at once, with whatever
     * negative code. Called on another thread than the rest, also while none of them runs; at most once, never after close. It
     * must not wait, but may lock what the waiting call locks. NULL: a call that waits holds the session up, see read. */
    void(ZVFS_CALL *stop)(void *arg);
} zvm_channel;

/* Supplies a channel. `alias`: as in the manifest. EINVAL: the manifest has no such channel. EEXIST: it was already supplied. If
 * this fails, close is not called. */
int32_t ZVFS_CALL zvm_session_channel(zvm_session *session, const char *alias, const zvm_channel *channel, zvfs_error *err);

/* Looks for what would make the session fail, before it runs: for a server that checks its configuration. Opens no channel and runs
 * nothing. The program is read, if it was supplied or is a file, must be what a guest can be, and must start within the manifest's
 * Memory (with a `worker`, a program's text is not looked at); the worker must compile; each source of a channel that was not
 * supplied, of a tree and of an export must have a provider that is allowed and loads. The session stays as it was. Waits for that,
 * a minute at most. Codes as of zvm_template_prepare, for a provider too; ENOMEM: the Memory is too small. The message has the
 * manifest's line. */
int32_t ZVFS_CALL zvm_session_check(zvm_session *session, zvfs_error *err);

/* Runs the session, and waits for its end: the manifest's Timeout and some seconds more at most. Returns 0 if there is a report,
 * whatever it says. A session runs once. EMFILE: as many of the host's sessions run as its `jobs` allow; the session stays as it
 * is, and may be run later. */
int32_t ZVFS_CALL zvm_session_run(zvm_session *session, zvfs_error *err);

/* Starts the session, and does not wait. `ended` is called once, with `arg`, when there is a report, as soon as zvm_session_run
 * would return: on another thread; or on this one before this returns, if no thread can be made for the session. It must not wait,
 * and leaves the report to others: it sets a flag, or wakes an event loop. Not called if this fails. EMFILE: as zvm_session_run;
 * once `ended` is called, another session of the host can be started, from there too. */
int32_t ZVFS_CALL zvm_session_start(zvm_session *session, void(ZVFS_CALL *ended)(void *arg), void *arg, zvfs_error *err);

/* Ends a session from another thread, or from a callback: the guest stops, what it wrote is discarded except what was already
 * committed, and the report says "cancelled". Does not wait. If it is called before the run, the run ends at once, opens nothing
 * and leaves nothing: of the host's functions only close is called. After the run it does nothing. */
int32_t ZVFS_CALL zvm_session_cancel(zvm_session *session, zvfs_error *err);

/* Returns the host's result: 0, or one of ZeroVM's exit codes: 4 stopped, 5 a channel failed, 8 not a program, 12 memory, 14
 * manifest, 32 digest mismatch, 125 a guest that failed and whose manifest says `Commit = success`, or an output that
 * a quota cut... docs/report.md and `zvfs --help` have the list. -ZVFS_EBUSY: there is no report yet. */
int32_t ZVFS_CALL zvm_session_exit_code(zvm_session *session);

/* Returns the guest's exit code, 0 to UINT32_MAX. -ZVFS_ENOENT: it did not exit by itself. -ZVFS_EBUSY: there is no report yet. */
int64_t ZVFS_CALL zvm_session_guest_code(zvm_session *session);

/* Returns the fuel that the guest used: exact if it exited by itself, else an upper bound. -ZVFS_ENOENT: it never ran. -ZVFS_EBUSY:
 * there is no report yet. */
int64_t ZVFS_CALL zvm_session_fuel(zvm_session *session);

/* Returns "ok", or what happened, in one line: the report's `state`. Valid until the session is freed. NULL: there is no report
 * yet. */
const char *ZVFS_CALL zvm_session_state(zvm_session *session);

enum {
    ZVM_REPORT_TEXT = 1, /* ZeroVM's six lines and an empty one */
    ZVM_REPORT_JSON = 2, /* one object on one line, with every field */
    ZVM_REPORT_LINE = 3  /* for a log: session="job" exit=0 guest=0 seconds=0.000213 cpu=0.00 fuel=77 in=10 out=20 state="ok";
                          * docs/report.md has the form */
};

/* Returns the report. Valid until the session is freed. NULL: there is none yet, or no such form. */
const char *ZVFS_CALL zvm_session_report(zvm_session *session, uint32_t form);

/* Frees a session, and closes its channels if it never ran. One that runs is cancelled and freed at its end. NULL: nothing. */
void ZVFS_CALL zvm_session_free(zvm_session *session);

/* Makes a template, as zvm_session_new makes a session. The options' file is read once, and each provider is started once for all
 * sessions. Free it with zvm_template_free. */
int32_t ZVFS_CALL zvm_template_new(const char *manifest, uint64_t size, const zvm_session_options *options, zvm_template **out,
                                   zvfs_error *err);

/* Supplies the program of the sessions to come, as zvm_session_program does. */
int32_t ZVFS_CALL zvm_template_program(zvm_template *shared, const void *bytes, uint64_t size, zvfs_error *err);

enum {
    ZVM_SOURCE_READ = 1, /* the channel's quotas let the guest read */
    ZVM_SOURCE_WRITE = 2 /* and write */
};

/* A channel of a manifest and one of its sources. The texts are valid until the template is freed. */
typedef struct zvm_source {
    uint64_t struct_size;
    const char *alias;  /* the channel's name for the guest: "/dev/stdin" */
    const char *source; /* as the manifest has it: "file:/srv/in.txt" */
    uint64_t flags;     /* of the ZVM_SOURCE_ ones */
} zvm_source;

/* Tells the sources of a template's manifest, one after the other, from 0: for a host that has a provider of its own, and refuses
 * what no session could open. A channel of several sources has a turn for each. ENOENT: there is none of this number, nor beyond. */
int32_t ZVFS_CALL zvm_template_source(zvm_template *shared, uint64_t index, zvm_source *out, zvfs_error *err);

/* Reads and compiles the program now, and runs nothing; else the first session does that within its own Timeout. Waits for that, an
 * hour at most, or until the template is freed. A failure is not kept: the next session tries again. ENOENT: no such program.
 * EINVAL: not a program that can run here. EPROTONOSUPPORT: no provider serves its scheme. EACCES: the provider is not allowed, or
 * lets nobody open it; others: as zvfs_registry_open. ENOMEM: it starts with more than the manifest's Memory, or the compiler had too
 * little; EIO: the compiler failed. ECANCELED: the template was freed meanwhile. */
int32_t ZVFS_CALL zvm_template_prepare(zvm_template *shared, zvfs_error *err);

/* As zvm_template_prepare, if nothing has to be compiled for that: the program is ready already, or in the host's `cache_folder`. Returns
 * 1: it is ready; 0: it has to be compiled. For a server that compiles few programs at a time, so that those which are compiled wait for
 * none of the others. Waits for the program and the cache to be read, an hour at most, or until the template is freed. ENOENT: no such
 * program. EINVAL: neither WebAssembly nor its text. Others: as zvm_template_prepare. */
int64_t ZVFS_CALL zvm_template_load(zvm_template *shared, zvfs_error *err);

/* Makes a session of a template. It is like any other, and outlives the template if need be. */
int32_t ZVFS_CALL zvm_template_session(zvm_template *shared, zvm_session **out, zvfs_error *err);

/* Frees a template. Its sessions go on. NULL: nothing. */
void ZVFS_CALL zvm_template_free(zvm_template *shared);

#ifdef __cplusplus
}
#endif

#endif
