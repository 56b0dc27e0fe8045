/* SPDX-License-Identifier: Apache-2.0
 *
 * zvfs.h: use zvfs from C or C++. For programs that reach files, pipes, networks and whatever else there is a provider for,
 * by names such as "file:/srv/in.txt", "netpipe:broker:7:w" or "http://host/data.csv", through the providers that an operator
 * allows and no others.
 *
 *     #include <stdio.h>
 *     #include <zvfs.h>
 *
 *     int main(void) {
 *         zvfs_error error;
 *         zvfs_registry *registry;
 *         zvfs_handle *handle;
 *         char text[80];
 *         int64_t count;
 *         if (zvfs_registry_new(NULL, NULL, &registry, &error) ||
 *             zvfs_registry_open(registry, "file:/etc/hostname", NULL, &handle, &error) ||
 *             (count = zvfs_handle_read(handle, text, sizeof text, &error)) < 0) {
 *             fprintf(stderr, "%s\n", error.message);
 *             return 1;
 *         }
 *         fwrite(text, 1, (size_t)count, stdout);
 *         zvfs_handle_close(handle);
 *         zvfs_registry_free(registry);
 *         return 0;
 *     }
 *
 *     cc -o example example.c $(pkg-config --cflags --libs zvfs)
 *
 * docs/hosts.md is the guide; this header is the authority. Authors of providers need zvfs_provider.h and not this file; this
 * file includes that one for what both sides share: error codes, open flags, capabilities, zvfs_error, zvfs_stat.
 *
 * Four objects
 *
 *     zvfs_configuration   which providers may load, from where, with which settings; no longer needed once a registry has it
 *     zvfs_registry        the providers, each loaded and started at its first use; a program needs one
 *     zvfs_handle          an open file
 *     zvfs_control         cancel and deadline, for one handle or for several; optional
 *
 * Results
 *
 *     int32_t: 0, or a negative code: -ZVFS_ENOENT. int64_t: a count, position or size >= 0, or a negative code.
 *     `zvfs_error *err` gets code and text of a failure. It may be NULL, need not be initialised, and is left alone on success.
 *     The text is one line, says what to do where something can be done, and holds no password.
 *     Outputs (`out`) are written only on success.
 *
 * Memory
 *
 *     What a _new or an _open returns belongs to the caller, who passes it to the matching _free or _close. Both take NULL.
 *     Strings and structs passed in are copied: they need to be valid during the call only. Strings are UTF-8.
 *     Structs of options start with their own size, as the provider's do, and grow at their end. Set struct_size to sizeof and
 *     unused fields to zero, and the program will work with every later libzvfs.so.1.
 *
 * Mistakes
 *
 *     NULL for a required argument is -ZVFS_EINVAL; for a buffer of more than 0 bytes it is -ZVFS_EFAULT, as in read(2).
 *     A handle or another object used after it was freed is -ZVFS_EBADF, and so is an object of the wrong kind; this is detected
 *     as long as its slot has not been reused. Two calls at once on an object that takes one is -ZVFS_EBUSY. None crashes.
 *
 * Threads, in [brackets] at each function
 *
 *     [any]     any thread at any time
 *     [one]     any thread, but one call at a time for the object (the first argument); others return -ZVFS_EBUSY
 *     [shared]  as [one], but may overlap other [shared] calls of the same handle
 *
 *     Call none in a signal handler. Callbacks may call [any] functions, unless their comment says otherwise, and must return:
 *     no longjmp, no C++ exception.
 *
 * Process
 *
 *     The library changes nothing that belongs to the whole process and raises no SIGPIPE. After a fork the child cannot use
 *     what its parent made, except configurations (-ZVFS_EPERM, at once, whatever the parent's threads were doing; freeing or
 *     closing it does nothing); it makes its own registry. A program may exit without freeing anything. Data that it ended but
 *     that is not yet delivered may then be lost, so free the registry, which waits for the delivery up to 5 s.
 */
#ifndef ZVFS_H
#define ZVFS_H

#include "zvfs_provider.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- About the library ------------------------------------------------------------------------------------------ */

/* The version of zvfs that this header is from. */
#define ZVFS_VERSION "0.1.0"

/* Returns the version of the library that the program runs with: "0.1.0". Lives as long as the process.  [any] */
const char *ZVFS_CALL zvfs_version(void);

enum { /* only a host sees this one; the other codes are in zvfs_provider.h */
    ZVFS_ELIBBAD = 80 /* a provider's library is broken, or not a provider */
};

/* Returns a code's name, "ENOENT", or NULL for a number without one. `code` may be positive or, as functions return it,
 * negative. Lives as long as the process.  [any] */
const char *ZVFS_CALL zvfs_code_name(int32_t code);

/* Returns a few words for a code, "no such file"; never NULL. An error's own text says more.  [any] */
const char *ZVFS_CALL zvfs_code_text(int32_t code);

/* ---- Configuration ----------------------------------------------------------------------------------------------
 * Which providers may load, from which folders, and with which settings. Most programs leave that to the operator and pass
 * NULL to zvfs_registry_new. Loading runs code: an error says who could have changed a file, and how to fix it.
 */
typedef struct zvfs_configuration zvfs_configuration;

/* Makes a configuration that allows nothing; the calls below add to it. Free it with zvfs_configuration_free.  [any] */
int32_t ZVFS_CALL zvfs_configuration_new(zvfs_configuration **out, zvfs_error *err);

/* Finds the operator's configuration as every host does: `file` if not NULL; else the environment's ZVFS_CONFIG (not in a
 * set-uid program); else /etc/zvfs/zvfs.toml. Without any of them the providers that belong to this library may load: those in
 * ../lib/zvfs, seen from its folder, or beside it where it lies in Cargo's target folder. Never one in the current folder.
 * Fails with ENOENT (the named file is absent), EACCES (somebody else could have changed it), EINVAL (a mistake in it, with its
 * line). Free it with zvfs_configuration_free. Reads files.  [any] */
int32_t ZVFS_CALL zvfs_configuration_find(const char *file, zvfs_configuration **out, zvfs_error *err);

/* Makes a configuration of a text in zvfs.toml's format, which may come from anywhere. EINVAL: a mistake, with
 * its line. Free it with zvfs_configuration_free.  [any] */
int32_t ZVFS_CALL zvfs_configuration_parse(const char *text, zvfs_configuration **out, zvfs_error *err);

/* Adds a folder to search for libzvfs_<name>.so, after the existing ones. An absolute path, else EINVAL. This alone allows no
 * provider in it to load.  [one] */
int32_t ZVFS_CALL zvfs_configuration_add_provider_path(zvfs_configuration *configuration, const char *folder, zvfs_error *err);

/* Lets a provider load: "file", as in libzvfs_file.so. EINVAL: not a provider's name.  [one] */
int32_t ZVFS_CALL zvfs_configuration_allow(zvfs_configuration *configuration, const char *provider, zvfs_error *err);

/* Lets every provider in the folders load. EINVAL: some are already named.  [one] */
int32_t ZVFS_CALL zvfs_configuration_allow_all(zvfs_configuration *configuration, zvfs_error *err);

/* Lets a provider load if its library has this SHA-256, 64 hexadecimal digits: exactly the bytes that were hashed are
 * loaded. EINVAL: not a digest, or all may load.  [one] */
int32_t ZVFS_CALL zvfs_configuration_pin(zvfs_configuration *configuration, const char *provider, const char *sha256,
                                         zvfs_error *err);

/* Lets a provider load, and runs it in a process of its own (zvfs-provider, searched for where providers are), which may do no more
 * than `may` says: what stands between the braces of `may` in zvfs.toml, such as "dns = true, read = [\"/etc/ssl\"]"; "": nothing.
 * EINVAL: not such a text, not a provider's name, or all may load.  [one] */
int32_t ZVFS_CALL zvfs_configuration_place_in_process(zvfs_configuration *configuration, const char *provider, const char *may,
                                                      zvfs_error *err);

/* Gives a provider a setting, written as in zvfs.toml ("/srv/jobs", "64k", "30s", "true"), in place of its earlier value. The
 * setting may be a secret. This does not allow the provider to load. Its first use checks that it has that setting.  [one] */
int32_t ZVFS_CALL zvfs_configuration_set(zvfs_configuration *configuration, const char *provider, const char *setting,
                                         const char *value, zvfs_error *err);

/* The same for a setting that is a list: appends a value.  [one] */
int32_t ZVFS_CALL zvfs_configuration_append(zvfs_configuration *configuration, const char *provider, const char *setting,
                                            const char *value, zvfs_error *err);

/* Leads a scheme to a provider: after ("logs", "file", NULL, settings) "logs:x" is served by the provider file, which is told
 * `as_scheme`, or where that is NULL the scheme as written if it knows that, else its own first one. `settings`: NULL, or a
 * NULL-terminated list of "name=value", which override the provider's own; the alias is then a separate instance. A name that
 * occurs several times is a list. An alias does not allow the provider to load.  [one] */
int32_t ZVFS_CALL zvfs_configuration_alias(zvfs_configuration *configuration, const char *scheme, const char *provider,
                                           const char *as_scheme, const char *const *settings, zvfs_error *err);

/* Frees a configuration. Registries made of it keep their copy. NULL: nothing.  [one] */
void ZVFS_CALL zvfs_configuration_free(zvfs_configuration *configuration);

/* ---- Control ----------------------------------------------------------------------------------------------------
 * Cancel and deadline of whatever is opened with it: one handle, or all that belong to one job. Make it before the open, so
 * that a long open can be cancelled too.
 *
 * A handle with ZVFS_CAP_CANCEL ends its calls within 100 ms of a cancel or the deadline. One without may block its caller for
 * longer: a program that must not block makes a thread for the call and leaves it behind, or uses the calls that do not wait,
 * further below. This library makes threads for those alone.
 */
typedef struct zvfs_control zvfs_control;

/* Makes a control that is not cancelled and has no deadline. Free it with zvfs_control_free.  [any] */
int32_t ZVFS_CALL zvfs_control_new(zvfs_control **out, zvfs_error *err);

/* Ends the calls in progress, and all later ones, with ECANCELED, until zvfs_control_lift. Does not wait for them. Closing a
 * handle still works.  [any] */
int32_t ZVFS_CALL zvfs_control_cancel(zvfs_control *control, zvfs_error *err);

/* Undoes a cancel, for later calls.  [any] */
int32_t ZVFS_CALL zvfs_control_lift(zvfs_control *control, zvfs_error *err);

/* Sets the time, in nanoseconds from now, after which calls end with ETIMEDOUT, those in progress too. 0: at once.
 * ZVFS_TIME_UNLIMITED: no deadline. Such a call moved nothing that it did not report, and may be repeated once the deadline is
 * moved.  [any] */
int32_t ZVFS_CALL zvfs_control_set_deadline(zvfs_control *control, uint64_t ns, zvfs_error *err);

/* Returns a file descriptor that is readable while the control is cancelled or late: for a program with an event loop, since what
 * zvfs_handle_interest lends says nothing of that. Poll it and never read it; do not close it. It lives until the control is freed.
 * -EMFILE and the like: the system gives none.  [any] */
int32_t ZVFS_CALL zvfs_control_fd(zvfs_control *control, zvfs_error *err);

/* What is waited for under a control. Set struct_size to sizeof; the rest is written. */
typedef struct zvfs_waiting {
    uint64_t struct_size;
    uint64_t ns;       /* nanoseconds since the wait began */
    char object[512];  /* in words: "a reader of netpipe `a`"; empty: nothing, or the provider does not say */
    char refusal[512]; /* why the last attempt failed; empty: none has */
} zvfs_waiting;

/* Returns what the calls under a control wait for now; of several waits, the longest. The error of a call that ended with
 * ECANCELED or ETIMEDOUT says it too, and the log once a wait has lasted 5 s.  [any] */
int32_t ZVFS_CALL zvfs_control_waiting(zvfs_control *control, zvfs_waiting *out, zvfs_error *err);

/* Frees the caller's reference to a control. Handles opened with it keep what was set. NULL: nothing.  [any] */
void ZVFS_CALL zvfs_control_free(zvfs_control *control);

/* ---- Registry --------------------------------------------------------------------------------------------------- */

typedef struct zvfs_registry zvfs_registry;
typedef struct zvfs_handle zvfs_handle;

/* Takes one line of the providers' log. On any thread, in the middle of a call: it must not call this library and must not
 * block for long. level: ZVFS_LOG_... */
typedef void(ZVFS_CALL *zvfs_log_fn)(void *arg, uint32_t level, const char *text);

/* Who the host is, and where its log goes. */
typedef struct zvfs_registry_options {
    uint64_t struct_size;
    const char *name;    /* the program's name, shown to providers; NULL: "libzvfs" */
    const char *version; /* likewise; NULL: the library's */
    zvfs_log_fn log;     /* NULL: standard error */
    void *log_arg;       /* passed to log */
    uint32_t log_level;  /* the least important lines to log, ZVFS_LOG_...; 0: ZVFS_LOG_WARNING */
    uint32_t reserved;   /* 0 */
} zvfs_registry_options;

/* Makes a registry. `configuration`: copied, may be freed afterwards; NULL: zvfs_configuration_find(NULL) and its errors.
 * `options` may be NULL. Loads no provider yet. Free it with zvfs_registry_free.  [any] */
int32_t ZVFS_CALL zvfs_registry_new(const zvfs_configuration *configuration, const zvfs_registry_options *options,
                                    zvfs_registry **out, zvfs_error *err);

/* Adds a provider that is part of the program itself, as the table that its entry returns; the table must live as long as the
 * process. No policy applies to it, and it serves all its schemes except those that an alias leads elsewhere. EEXIST: one of that
 * name is in use, or was added with one of its schemes; ELIBBAD: the table breaks a rule.  [any] */
int32_t ZVFS_CALL zvfs_registry_register(zvfs_registry *registry, const zvfs_provider *provider, zvfs_error *err);

/* How to open. All zero but struct_size is the same as NULL. */
typedef struct zvfs_open_options {
    uint64_t struct_size;
    uint64_t flags;              /* ZVFS_OPEN_...; neither READ nor WRITE: the descriptor decides */
    uint64_t expected_size;      /* bytes that will be written, for PREALLOCATE; 0 or ZVFS_SIZE_UNKNOWN: not known */
    const char *const *settings; /* "name=value", a NULL-terminated list, for the provider, which must know them; or NULL */
    const char *const *offered;  /* likewise, but given only to a provider that declares them: node, job, broker,
                                  * writers, digest */
    zvfs_control *control;       /* NULL: nobody will cancel it, and it has no deadline */
} zvfs_open_options;

/* Opens a descriptor: "scheme:rest", or an absolute path, which means file:. The first use of a provider loads and starts it.
 * Close the handle with zvfs_handle_close.
 * Fails with EINVAL (not a descriptor, contradictory flags, an unknown setting), ENOTSUP (a flag that the provider does not
 * support), EPROTONOSUPPORT (unknown scheme, or its provider is not installed), EACCES (not allowed), ELIBBAD (broken library), or
 * the provider's own.
 * flags in zvfs_error: ZVFS_ERROR_RETRYABLE says that the same open may succeed later.
 * Blocks as the provider does; a network provider may. The control ends it.  [any] */
int32_t ZVFS_CALL zvfs_registry_open(zvfs_registry *registry, const char *descriptor, const zvfs_open_options *options,
                                     zvfs_handle **out, zvfs_error *err);

/* Begins to open a descriptor, and returns a handle at once, for a program with an event loop: see "Without waiting". Until it is open,
 * which the next call of those notices, its try_ calls return -EAGAIN, its capabilities are 0, and its other calls are
 * EBUSY. If the open fails, every call of the handle returns its error; close it then too. Closing it earlier ends the open.
 * Fails at once with EINVAL (not a descriptor) or EMFILE (the registry's poll threads are all in use).  [any] */
int32_t ZVFS_CALL zvfs_registry_open_start(zvfs_registry *registry, const char *descriptor, const zvfs_open_options *options,
                                           zvfs_handle **out, zvfs_error *err);

/* Sets how many threads a registry may have at once for opens that were started and for handles that are tried and have no
 * ZVFS_CAP_POLL: 1 to 4096, else EINVAL; 64 unless set. Each is made when it is needed.  [any] */
int32_t ZVFS_CALL zvfs_registry_set_poll_threads(zvfs_registry *registry, uint32_t count, zvfs_error *err);

/* Writes into *out which ZVFS_OPEN_... the provider of a descriptor supports, so that a program can leave out the others: a pipe
 * has nothing to create. Opens nothing. The first use of a provider loads it, and no control ends that: to be able to cancel,
 * call zvfs_registry_stat first, which loads the provider under the control in its options. Errors as zvfs_registry_open.  [any] */
int32_t ZVFS_CALL zvfs_registry_supported_flags(zvfs_registry *registry, const char *descriptor, uint64_t *out,
                                                zvfs_error *err);

/* Asks for the status of a name. Set out->struct_size to sizeof *out; the rest is written. If the provider cannot tell the status
 * of a name, opens it for reading. The options' flags are ignored. ENOTSUP: this provider knows no status. Blocks as
 * zvfs_registry_open.  [any] */
int32_t ZVFS_CALL zvfs_registry_stat(zvfs_registry *registry, const char *descriptor, const zvfs_open_options *options,
                                     zvfs_stat *out, zvfs_error *err);

/* Calls `each` for every UTF-8 name in a directory, in no order, on this thread; it returns 0 to go on. Its arguments are valid
 * during that call. ENOTDIR, ENOTSUP (this provider has no directories); EOVERFLOW: more than 256 MiB of names, each counted with
 * 128 bytes for what is kept beside it. Blocks as zvfs_registry_open.  [any] */
int32_t ZVFS_CALL zvfs_registry_list(zvfs_registry *registry, const char *descriptor, const zvfs_open_options *options,
                                     zvfs_entry_fn each, void *arg, zvfs_error *err);

/* As zvfs_registry_list, including names that are not UTF-8, as bytes with their length.  [any] */
int32_t ZVFS_CALL zvfs_registry_names(zvfs_registry *registry, const char *descriptor, const zvfs_open_options *options,
                                      zvfs_name_fn each, void *arg, zvfs_error *err);

/* Removes a file, never a directory (EISDIR). ENOTSUP: this provider cannot remove. Blocks as zvfs_registry_open.  [any] */
int32_t ZVFS_CALL zvfs_registry_remove(zvfs_registry *registry, const char *descriptor, const zvfs_open_options *options,
                                       zvfs_error *err);

/* Makes a folder, and none above it. EEXIST: something has that name. ENOENT: the folder above it is not there. ENOTSUP: this provider
 * makes none, be it because its folders are there as soon as a name lies below. Blocks as zvfs_registry_open.  [any] */
int32_t ZVFS_CALL zvfs_registry_make_folder(zvfs_registry *registry, const char *descriptor, const zvfs_open_options *options,
                                            zvfs_error *err);

/* Removes an empty folder. ENOTEMPTY (EIO or EACCES from a server that does not say why): it is not empty. ENOTDIR: it is no folder.
 * ENOTSUP: as for zvfs_registry_make_folder. Blocks as zvfs_registry_open.  [any] */
int32_t ZVFS_CALL zvfs_registry_remove_folder(zvfs_registry *registry, const char *descriptor, const zvfs_open_options *options,
                                              zvfs_error *err);

/* Sets the time of what is there under a name, a folder too: nanoseconds since 1970-01-01 UTC, before that negative, rounded down to
 * what the store holds. ENOENT: nothing is there. EOVERFLOW: the store cannot hold it. EINVAL: ZVFS_TIME_UNKNOWN. ENOTSUP: this provider
 * sets none. Blocks as zvfs_registry_open.  [any] */
int32_t ZVFS_CALL zvfs_registry_set_modified(zvfs_registry *registry, const char *descriptor, const zvfs_open_options *options,
                                             int64_t modified_ns, zvfs_error *err);

/* Frees a registry. Each provider's instance stops when the last of its handles is closed, or now if none is open. The stop
 * delivers what was ended, in up to 5 s. Libraries stay loaded. NULL: nothing.  [any] */
void ZVFS_CALL zvfs_registry_free(zvfs_registry *registry);

/* ---- Handle -----------------------------------------------------------------------------------------------------
 * An open file. Calls block as its provider does and end with ECANCELED or ETIMEDOUT by the control it was opened with; never
 * with EINTR, and with EAGAIN only from those "Without waiting". zvfs_handle_capabilities says what a handle can do; other
 * calls fail as described here.
 */

/* Returns ZVFS_CAP_...: what this file can do; the same for its whole life. 0: not an open handle, or another call is using
 * it.  [shared] */
uint64_t ZVFS_CALL zvfs_handle_capabilities(zvfs_handle *handle);

/* Returns the descriptor in the form for messages: secrets hidden, control characters escaped. Valid until the handle is
 * closed. NULL: as above.  [shared] */
const char *ZVFS_CALL zvfs_handle_shown(zvfs_handle *handle);

/* Reads up to n bytes into buf: waits for at least one byte, the end, or an error. Returns the count, which may be smaller
 * than n before the end, or 0 at the end, and again at each further call. n = 0 gives 0. EBADF: not open for reading.  [one] */
int64_t ZVFS_CALL zvfs_handle_read(zvfs_handle *handle, void *buf, uint64_t n, zvfs_error *err);

/* Writes up to n bytes from buf, at least one. Returns the count, which may be smaller than n. EBADF: not open for writing;
 * EPIPE: the reader closed, no signal is raised. After ETIMEDOUT the call may be repeated; any other error is permanent: later
 * writes, END and COMMIT return it again. A call that the control refused before it began does not count: it may be made again
 * once the control allows it.  [one] */
int64_t ZVFS_CALL zvfs_handle_write(zvfs_handle *handle, const void *buf, uint64_t n, zvfs_error *err);

/* Writes all n bytes, in as many writes as needed. After an error it is unknown how much was written; use zvfs_handle_write if
 * that matters. Errors as there.  [one] */
int32_t ZVFS_CALL zvfs_handle_write_all(zvfs_handle *handle, const void *buf, uint64_t n, zvfs_error *err);

/* Reads at an offset (0 to INT64_MAX) without the handle's position. Past the end: 0. Needs ZVFS_CAP_POSITIONAL_READ, else
 * ENOTSUP.  [shared] */
int64_t ZVFS_CALL zvfs_handle_read_at(zvfs_handle *handle, void *buf, uint64_t n, uint64_t offset, zvfs_error *err);

/* Writes at an offset without the handle's position; a gap is filled with zeros. Needs ZVFS_CAP_POSITIONAL_WRITE, else ENOTSUP.
 * Errors as zvfs_handle_write.  [shared] */
int64_t ZVFS_CALL zvfs_handle_write_at(zvfs_handle *handle, const void *buf, uint64_t n, uint64_t offset, zvfs_error *err);

/* Moves the position that read and write share, and returns it. whence: ZVFS_SEEK_SET, _CUR or _END. Before the start: EINVAL;
 * beyond the end is allowed. ESPIPE: no positions (not ZVFS_CAP_SEEKABLE).  [one] */
int64_t ZVFS_CALL zvfs_handle_seek(zvfs_handle *handle, int64_t offset, uint32_t whence, zvfs_error *err);

/* Returns the position. ESPIPE as zvfs_handle_seek.  [one] */
int64_t ZVFS_CALL zvfs_handle_tell(zvfs_handle *handle, zvfs_error *err);

/* Sets the size in bytes; zeros fill a longer file; the position stays. ENOTSUP: not ZVFS_CAP_TRUNCATABLE.  [one] */
int32_t ZVFS_CALL zvfs_handle_truncate(zvfs_handle *handle, uint64_t size, zvfs_error *err);

/* Asks for the status of the open file. Set out->struct_size to sizeof *out. ENOTSUP: not ZVFS_CAP_STAT.  [one] */
int32_t ZVFS_CALL zvfs_handle_stat(zvfs_handle *handle, zvfs_stat *out, zvfs_error *err);

/* Sets the time that the file has once COMMIT has succeeded, whatever is written meanwhile; as zvfs_registry_set_modified has it. Best
 * before the first write: some stores take none later (ENOTSUP). An error here stops nothing: the file can be written and committed
 * without. ENOTSUP: not ZVFS_CAP_TIMES.  [one] */
int32_t ZVFS_CALL zvfs_handle_set_modified(zvfs_handle *handle, int64_t modified_ns, zvfs_error *err);

/* ZVFS_FLUSH_PUSH hands on what the provider buffers, without waiting for a disk or a peer. ZVFS_FLUSH_SYNC returns once it is
 * durable, or taken by the reader. Reports an earlier write's error.  [one] */
int32_t ZVFS_CALL zvfs_handle_flush(zvfs_handle *handle, uint32_t level, zvfs_error *err);

/* Ends the writing side, before the close:
 *     ZVFS_FINISH_END      no more follows: tells the other side and returns at once
 *     ZVFS_FINISH_COMMIT   END, then waits until the work is complete (visible under its name, uploaded, taken by the reader),
 *                          and reports whether it is. Durable only after a flush SYNC
 *     ZVFS_FINISH_DISCARD  the writer failed: an ATOMIC file or an upload leaves no trace, a pipe breaks. Takes up to 5 s,
 *                          whatever the control says, and affects neither the control nor other handles under it
 * After all three, write, truncate, write_at and set_modified are EBADF. A further END is 0; after a COMMIT it returns that COMMIT's
 * result, as a further COMMIT does: a failed COMMIT stays failed, except with ETIMEDOUT, after which it may be repeated. DISCARD is
 * allowed after a failed COMMIT, and EINVAL after a good one; END and COMMIT after DISCARD are EINVAL. After a failed write END and
 * COMMIT return its error, and only DISCARD is left. A finish that the control refused before it began does not count.
 * Programs that write files should COMMIT: without it errors are lost. Programs that write to each other in circles should END
 * first, and COMMIT when all their reading is done.  [one] */
int32_t ZVFS_CALL zvfs_handle_finish(zvfs_handle *handle, uint32_t how, zvfs_error *err);

/* Called during a copy with the bytes moved so far, at least once every 8 MiB, on the copying thread. To stop the copy, cancel
 * one of the files. It must not use either handle. */
typedef void(ZVFS_CALL *zvfs_progress_fn)(void *arg, uint64_t bytes);

#define ZVFS_COPY_ALL UINT64_MAX

/* Copies from the source's position to its end, or `limit` bytes (ZVFS_COPY_ALL: no limit), to the target's position, inside
 * the kernel where both sides can. Returns the bytes copied. Does not finish the target. What was copied before an error stays
 * there. `progress` may be NULL. EINVAL: both are the same handle, or the same file, and the copy would read what it
 * writes.  [one], for both */
int64_t ZVFS_CALL zvfs_handle_copy(zvfs_handle *source, zvfs_handle *target, uint64_t limit, zvfs_progress_fn progress,
                                   void *arg, zvfs_error *err);

/* Closes a handle and frees it. Does not wait, with two exceptions: closing the last handle of a provider after zvfs_registry_free
 * stops the provider's instance, as there; and a provider in a process that does not answer is killed after 5 s. What needed
 * a COMMIT and had none (ATOMIC, an upload) leaves no trace, and a pipe being written without END breaks. Returns 0, also
 * for NULL; -ZVFS_EBADF: already closed; -ZVFS_EBUSY: a call on it is in progress on another thread, and it is still open:
 * cancel that call first.  [one] */
int32_t ZVFS_CALL zvfs_handle_close(zvfs_handle *handle);

/* ---- Without waiting --------------------------------------------------------------------------------------------
 * For a program with an event loop (epoll, libuv, poll): calls that return -ZVFS_EAGAIN where the plain ones would wait, and one that
 * says what must happen first. None of them waits, on any handle.
 *
 *     while ((got = zvfs_handle_try_read(handle, buf, sizeof buf, &error)) == -ZVFS_EAGAIN) {
 *         zvfs_interest interest = { .struct_size = sizeof interest };
 *         if (zvfs_handle_interest(handle, ZVFS_FOR_READ, &interest, &error)) break;      failed: error has it
 *         if (!interest.ready) return;            to the loop, which awaits interest.events on interest.fd, interest.ns at most
 *     }
 *
 * A handle with ZVFS_CAP_POLL is worked on directly, and costs no thread, however many wait. For any other, a regular file too, a
 * thread of the registry's makes the calls (zvfs_registry_set_poll_threads), with one buffer of 64 KiB: reads run ahead, and
 * a write counts once its bytes are copied, so that its failure comes with the next write or with COMMIT. Such a handle is
 * tried in one direction, that of its first try (the other: ENOTSUP), and once tried it takes no calls that wait (EBUSY).
 * EMFILE: all threads are in use; try later.
 *
 * The control is not in what an interest lends: await zvfs_control_fd beside it. A cancelled or late handle's calls fail as all others.
 */

/* Returns into *out what must happen before the wanted calls are worth trying; set out->struct_size to sizeof *out. `wanted`: one or more
 * of ZVFS_FOR_READ, _WRITE and _FINISH, else EINVAL. zvfs_provider.h has the fields: `ready` says what to try now; only if that is 0 await
 * `events` on `fd` (-1: only the time), for `ns` nanoseconds at most. `fd` is the same for the handle's life, so it can be registered
 * once, and must be taken out of the poller before the handle is closed. `events` may change with each call. Spurious events occur: try
 * again. The answer holds until the next call on the handle.  [one] */
int32_t ZVFS_CALL zvfs_handle_interest(zvfs_handle *handle, uint32_t wanted, zvfs_interest *out, zvfs_error *err);

/* As zvfs_handle_read, but -EAGAIN where that would wait, with `err` left alone. The next call may bring another buffer.  [one] */
int64_t ZVFS_CALL zvfs_handle_try_read(zvfs_handle *handle, void *buf, uint64_t n, zvfs_error *err);

/* As zvfs_handle_write, but -EAGAIN where that would wait: nothing was taken.  [one] */
int64_t ZVFS_CALL zvfs_handle_try_write(zvfs_handle *handle, const void *buf, uint64_t n, zvfs_error *err);

/* As zvfs_handle_finish for ZVFS_FINISH_END and _COMMIT, but -EAGAIN where that would wait: repeat it until it is something else. From
 * the first COMMIT on nothing can be written. DISCARD is EINVAL: close the handle, which does not wait and does the same.  [one] */
int32_t ZVFS_CALL zvfs_handle_try_finish(zvfs_handle *handle, uint32_t how, zvfs_error *err);

/* ---- netpipes in four functions ---------------------------------------------------------------------------------
 * zvm.h has them, with errno. This returns what errno cannot hold.
 */

/* Writes code and text of the calling thread's last failed netpipe_ call into *out; code 0 and no text if none failed.
 * EINVAL: out is NULL.  [any] */
int32_t ZVFS_CALL zvfs_netpipe_error(zvfs_error *out);

#ifdef __cplusplus
}
#endif

#endif
