/* SPDX-License-Identifier: Apache-2.0
 *
 * zvfs_provider.h: the provider ABI of zvfs, version 1.
 *
 * A provider is a shared library that serves channels of one or more schemes ("http", "file", ...). It exports one
 * function, zvfs_provider_v1(), which returns a table. A host loads the library, reads the table once, and calls it.
 * This header is the authority: if another document disagrees, this one is right.
 *
 *     STATUS: version 1 is frozen. A library that is built for it works with every later host of version 1. Structs may grow
 *     at their ends, extensions and values may be added; nothing in this header changes its meaning, size or place.
 *
 * docs/providers.md is the guide, from the first line to a checked provider; this is the manual. A provider that opens, reads
 * and closes needs five functions and about thirty lines: examples/provider-c is one in C, examples/provider-rust one in Rust.
 * The rest of the table may be NULL. (An installation has docs and examples in share/zvfs.) To build one in C, which links with
 * nothing:
 *
 *     cc -shared -fPIC $(pkg-config --cflags zvfs-provider) -o libzvfs_seq.so seq.c
 *
 * Life of a library
 *
 *     zvfs_provider_v1()                      once, after dlopen
 *        start() ........................... once for each configuration: an instance
 *           open() ......................... once for each file
 *              read() write() seek() ...     as long as the file is open
 *              finish()                      at most once with COMMIT or DISCARD; END may come before either
 *           close() ........................ once
 *        stop() ............................ once, when all files of the instance are closed
 *     (the library is never unloaded)
 *
 * Threads, in [brackets] at each function
 *
 *     [entry]     any one thread, before everything else
 *     [instance]  any thread; calls for the same instance may overlap, unless `threads` says otherwise
 *     [file]      any thread, but one call at a time for a file; different files overlap, unless `threads` says otherwise
 *     [shared]    like [file], but may overlap other [shared] calls of the same file
 *     [any]       any thread at any time
 *
 * No call is bound to the thread of an earlier one.
 *
 * Memory
 *
 *     Each side frees what it allocated. Strings are UTF-8, end with NUL, hold no inner NUL, and belong to the caller;
 *     they and every struct passed in are valid during the call only, unless their comment says otherwise.
 *     Outputs (`out`) are written only on success.
 *
 * Structs grow
 *
 *     Each struct starts with its own size in bytes. Fields are only ever appended. A reader of the other side's struct
 *     reads only what lies within its struct_size: ZVFS_HAS(). A `reserved` field is zero.
 *
 * Results
 *
 *     int32_t: 0, or a negative code: -ZVFS_ENOENT.
 *     int64_t: a count, position or size >= 0, or a negative code.
 *     The text goes into `zvfs_error *err`, which may be NULL; zvfs_fail() does both in one line.
 *     -EINTR is never returned (retry instead). -EAGAIN is returned by the try_ calls of zvfs.poll/1 only.
 *     -ETIMEDOUT promises that the call took nothing and may be repeated. A file that cannot go on after a deadline (half a
 *     request was sent, and the other side will not accept the rest) returns -ECONNRESET, at once and from every later call.
 *     NULL for a required argument is an error of the caller. The side that finds it returns -EFAULT for a buffer, as read(2)
 *     does, and -EINVAL for anything else.
 *
 * Process
 *
 *     A provider changes nothing that belongs to the whole process (signal handlers, working folder, umask, locale,
 *     environment) and raises no SIGPIPE (write sockets with MSG_NOSIGNAL). The entry and the library's constructors
 *     start no thread. No exception and no longjmp leaves a call.
 */
#ifndef ZVFS_PROVIDER_H
#define ZVFS_PROVIDER_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ZVFS_CALL marks every function of the ABI, ZVFS_EXPORT the entry. */
#if defined(_WIN32)
#define ZVFS_CALL __cdecl
#define ZVFS_EXPORT __declspec(dllexport)
#else
#define ZVFS_CALL
#define ZVFS_EXPORT __attribute__((visibility("default")))
#endif

/* The ABI is for 64-bit targets; an error in the next line means that this target is not. */
typedef char zvfs_assert_64_bit_target[sizeof(void *) == 8 && sizeof(int) == 4 ? 1 : -1];

/* Whether the struct that p points to is large enough to hold the field. */
#define ZVFS_HAS(p, field) ((uint64_t)((const char *)(&(p)->field + 1) - (const char *)(p)) <= (p)->struct_size)

/* ---- Error codes ------------------------------------------------------------------------------------------------
 * Linux's asm-generic numbers, on every system. 4096 to 65535 are reserved for what Linux lacks. A provider may return
 * any other number of that list; these are the ones with a meaning in this header.
 */
enum {
    ZVFS_EPERM = 1,
    ZVFS_ENOENT = 2,       /* no such file, object, host name, variable */
    ZVFS_EINTR = 4,        /* never returned */
    ZVFS_EIO = 5,          /* the device or the other side failed; also: a provider broke a rule of this header */
    ZVFS_EBADF = 9,        /* wrong direction: reading what was opened for writing only */
    ZVFS_EAGAIN = 11,      /* not now: of the try_ calls of zvfs.poll/1 only */
    ZVFS_ENOMEM = 12,
    ZVFS_EACCES = 13,      /* refused: permissions, credentials, a root, a policy */
    ZVFS_EFAULT = 14,      /* a NULL buffer */
    ZVFS_EBUSY = 16,       /* somebody else is using it; a later try may succeed */
    ZVFS_EEXIST = 17,
    ZVFS_ENODEV = 19,
    ZVFS_ENOTDIR = 20,
    ZVFS_EISDIR = 21,
    ZVFS_EINVAL = 22,      /* a contradiction, a malformed descriptor, a value this version does not know */
    ZVFS_EMFILE = 24,
    ZVFS_EFBIG = 27,
    ZVFS_ENOSPC = 28,
    ZVFS_ESPIPE = 29,      /* no positions: not SEEKABLE */
    ZVFS_EROFS = 30,
    ZVFS_EPIPE = 32,       /* the reader closed */
    ZVFS_ERANGE = 34,
    ZVFS_ENAMETOOLONG = 36,
    ZVFS_ENOSYS = 38,
    ZVFS_ENOTEMPTY = 39,
    ZVFS_ELOOP = 40,
    ZVFS_EPROTO = 71,      /* the other side does not speak the protocol */
    ZVFS_EBADMSG = 74,     /* data arrived damaged */
    ZVFS_EOVERFLOW = 75,
    ZVFS_EPROTONOSUPPORT = 93,
    ZVFS_ENOTSUP = 95,     /* this provider, or this file, cannot do that */
    ZVFS_ENETUNREACH = 101,
    ZVFS_ECONNRESET = 104, /* the other side was lost */
    ZVFS_ETIMEDOUT = 110,  /* the deadline passed; the call may be repeated: see Results */
    ZVFS_ECONNREFUSED = 111,
    ZVFS_EHOSTUNREACH = 113,
    ZVFS_ESTALE = 116,     /* the object changed while it was being read */
    ZVFS_EDQUOT = 122,
    ZVFS_ECANCELED = 125   /* the host cancelled the file's context */
};

/* The text of a failed call. Frozen: it never grows. The host provides it, with struct_size set and the rest zero; a
 * provider writes it only when the call fails. */
typedef struct zvfs_error {
    uint64_t struct_size;
    int32_t code;       /* positive: ZVFS_ENOENT */
    uint32_t flags;     /* ZVFS_ERROR_... */
    char message[1000]; /* one line of UTF-8, lower case, no full stop: "no variable HOME"; no secrets */
} zvfs_error;

enum {
    ZVFS_ERROR_RETRYABLE = 1 /* the same open may succeed later, with nothing changed */
};

/* Writes code and text into err (which may be NULL) and returns -code: `return zvfs_fail(err, ZVFS_ENOENT, "no %s", x);`
 * The sign of a negative code, as host->wait() returns it, is dropped: `return zvfs_fail(err, ended, "read %s", name);`
 * (If a deadline or a cancel ended the call, the host says so, and which, in front of the text.)
 * 0 becomes EIO: the caller has failed.
 * Text beyond 999 bytes is cut. */
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4), unused))
#endif
static inline int32_t zvfs_fail(zvfs_error *err, int32_t code, const char *format, ...) {
    if (code < 0) code = -code;
    if (code == 0) code = ZVFS_EIO;
    if (err) {
        va_list arguments;
        err->code = code;
        err->flags = 0;
        va_start(arguments, format);
        vsnprintf(err->message, sizeof err->message, format, arguments);
        va_end(arguments);
    }
    return -code;
}

/* ---- Opaque types ----------------------------------------------------------------------------------------------- */

typedef struct zvfs_instance zvfs_instance; /* the provider's: one configuration; it may define the struct */
typedef struct zvfs_file zvfs_file;         /* the provider's: one open descriptor; it may define the struct */
typedef struct zvfs_context zvfs_context;   /* the host's: cancel and deadline of one open file */

/* ---- Settings ---------------------------------------------------------------------------------------------------
 * A provider declares its settings. The host parses what the operator wrote, checks it against this schema, refuses
 * keys that are not in it, and fills in defaults. So a provider sees only known names with valid values. The extension
 * zvfs.settings/1 says which values are valid beyond their type.
 */
enum {
    ZVFS_TYPE_STRING = 1,
    ZVFS_TYPE_BOOLEAN = 2,   /* "true" or "false" */
    ZVFS_TYPE_INTEGER = 3,   /* decimal, 64-bit signed */
    ZVFS_TYPE_SIZE = 4,      /* bytes, 0 to INT64_MAX; suffixes k, m, g, t are powers of 1024 */
    ZVFS_TYPE_DURATION = 5,  /* nanoseconds, 0 to INT64_MAX; written with a suffix: ns, us, ms, s, m, h */
    ZVFS_TYPE_PATH = 6,      /* an absolute path */
    ZVFS_TYPE_LIST = 0x100   /* OR it to STRING or PATH: any number of values */
};

enum {
    ZVFS_SCOPE_OPERATOR = 1, /* from the operator's configuration, at start */
    ZVFS_SCOPE_OPEN = 2      /* from whoever opens, with each open */
};

/* One setting that the provider declares. Lives as long as the library. A host leaves out a setting of an unknown type. */
typedef struct zvfs_setting {
    uint64_t struct_size;
    const char *name;          /* lower-case letters, digits and '-', 1 to 63 characters */
    const char *default_value; /* as an operator would write it; NULL: none, the setting is absent unless given. With both
                                * scopes it applies at start; an open has the setting only if whoever opens gave it, and
                                * then it overrides the value from start */
    const char *help;          /* one line for the operator */
    uint32_t type;             /* ZVFS_TYPE_... */
    uint32_t scope;            /* ZVFS_SCOPE_... , or both */
    uint32_t secret;           /* 1: comes from a file or the environment, and the host never prints it */
    uint32_t reserved;
} zvfs_setting;

/* One value that the host passes. A list is several values of one name, in the operator's order. */
typedef struct zvfs_value {
    uint64_t struct_size;
    const char *name;
    const char *text; /* as written, for every type */
    int64_t number;   /* BOOLEAN: 0 or 1; INTEGER; SIZE: bytes; DURATION: nanoseconds; else 0 */
    uint32_t type;    /* ZVFS_TYPE_... without LIST */
    uint32_t reserved;
} zvfs_value;

/* ---- Opening ---------------------------------------------------------------------------------------------------- */

/* Open flags. Bits 0 to 31 must be understood: the host passes only those in `supported_flags`, and returns ENOTSUP for
 * the others itself. Bits 32 to 63 are hints; ignore those that you do not know. */
#define ZVFS_OPEN_READ UINT64_C(0x1)
#define ZVFS_OPEN_WRITE UINT64_C(0x2)
#define ZVFS_OPEN_CREATE UINT64_C(0x4)      /* create it if it is absent */
#define ZVFS_OPEN_TRUNCATE UINT64_C(0x8)    /* start empty */
#define ZVFS_OPEN_EXCLUSIVE UINT64_C(0x10)  /* with CREATE: EEXIST if it is there */
#define ZVFS_OPEN_APPEND UINT64_C(0x20)     /* every write goes to the end at that moment */
#define ZVFS_OPEN_ATOMIC UINT64_C(0x40)     /* nothing is visible under the name until COMMIT */
#define ZVFS_OPEN_PREALLOCATE UINT64_C(0x80) /* reserve expected_size bytes now, or fail with ENOSPC or EFBIG */
/* Contradictory, and EINVAL: CREATE, TRUNCATE, APPEND, ATOMIC or PREALLOCATE with READ alone; EXCLUSIVE without CREATE; ATOMIC
 * with APPEND. */
#define ZVFS_OPEN_SEQUENTIAL (UINT64_C(1) << 32) /* hint: from start to end */
#define ZVFS_OPEN_RANDOM (UINT64_C(1) << 33)     /* hint: no read-ahead */

#define ZVFS_SIZE_UNKNOWN UINT64_MAX

/* What to open. `descriptor` is what the host was asked for, e.g. "http://user:pw@h/x?sig=1"; what follows its first colon is
 * the rest ("//user:pw@h/x?sig=1"), which the host never changes or decodes. `scheme` is the part before the colon, unless an
 * operator's alias gives another. A bare absolute path "/srv/x" has the scheme "file" and itself as the rest: its descriptor
 * begins with '/', and must not be decoded. */
typedef struct zvfs_open_request {
    uint64_t struct_size;
    zvfs_context *context; /* cancel and deadline; valid until close() returns (until the call returns if it fails) */
    const char *scheme;    /* lower case, one of those the provider declares */
    const char *rest;      /* what follows the scheme and its colon */
    const char *descriptor; /* as written; may hold credentials: never put it into a message or a log */
    const char *shown;      /* the descriptor for messages: secrets hidden, control characters escaped */
    uint64_t flags;         /* ZVFS_OPEN_...; neither READ nor WRITE: the descriptor decides */
    uint64_t expected_size; /* bytes that will be written, if the host knows; else ZVFS_SIZE_UNKNOWN */
    const zvfs_value *const *settings; /* those of scope OPEN; a NULL-terminated list, never NULL itself */
} zvfs_open_request;

/* What an open file can do. Unknown bits are ignored by the host. A bit whose function is NULL is an error at open; so is a
 * file without READABLE or WRITABLE where the request had READ or WRITE (EBADF). */
#define ZVFS_CAP_READABLE UINT64_C(0x1)
#define ZVFS_CAP_WRITABLE UINT64_C(0x2)
#define ZVFS_CAP_SEEKABLE UINT64_C(0x4)          /* seek, tell */
#define ZVFS_CAP_TRUNCATABLE UINT64_C(0x8)       /* truncate */
#define ZVFS_CAP_POSITIONAL_READ UINT64_C(0x10)  /* zvfs.positional/1: read_at */
#define ZVFS_CAP_POSITIONAL_WRITE UINT64_C(0x20) /* zvfs.positional/1: write_at */
#define ZVFS_CAP_STAT UINT64_C(0x40)             /* zvfs.stat/1 */
#define ZVFS_CAP_FD UINT64_C(0x80)               /* zvfs.fd/1 */
#define ZVFS_CAP_SPLICE UINT64_C(0x100)          /* zvfs.splice/1 */
#define ZVFS_CAP_CANCEL UINT64_C(0x200) /* every call ends within 100 ms of a cancel or the deadline. A provider that */
                                        /* never blocks claims it too. Without it a file may block its caller longer: a */
                                        /* program that must not block makes a thread for the call and leaves it */
                                        /* behind, as libzvfs does for the tries of zvfs.h */
#define ZVFS_CAP_POLL UINT64_C(0x400)   /* zvfs.poll/1. The host takes the bit away where `threads` is not */
                                        /* ZVFS_THREADS_PER_FILE, since there any call may wait for its turn, and from a */
                                        /* library without the extension: a layer may have passed on its inner file's bits */
#define ZVFS_CAP_TIMES UINT64_C(0x800)  /* zvfs.times/1: set_modified, of a file that is WRITABLE. The host takes it away from a */
                                        /* library without the extension, as POLL */

enum { /* finish: how */
    ZVFS_FINISH_END = 1,    /* no more data follows; tell the other side and return at once */
    ZVFS_FINISH_COMMIT = 2, /* END, then wait until it is complete (visible under its name, uploaded, taken) and report */
    ZVFS_FINISH_DISCARD = 3 /* the writer failed: an atomic file or an upload leaves no trace, a pipe breaks */
};

enum { /* flush: level */
    ZVFS_FLUSH_PUSH = 1, /* hand on what the provider buffers; wait for no disk and no peer */
    ZVFS_FLUSH_SYNC = 2  /* durable on the medium, or taken by the reader */
};

enum { /* seek: whence */
    ZVFS_SEEK_SET = 0,
    ZVFS_SEEK_CUR = 1,
    ZVFS_SEEK_END = 2
};

/* The most bytes that one read or write is asked for: 2 GiB less a page, as Linux's own calls. */
#define ZVFS_COUNT_MAX UINT64_C(0x7ffff000)

/* ---- The host's table -------------------------------------------------------------------------------------------
 * Passed to start(), valid until stop() has returned. Through the calls on a context a provider learns of cancel and deadline.
 * A context belongs to one open request and lives until close() has returned. A provider that blocks only in wait() gets
 * cancel and deadlines for free.
 *
 * The host checks once before each call of each file, an inner file's too, and makes no call that is cancelled or late; close,
 * capabilities, DISCARD and advance are exempt. It does not check after a call: a result is returned, however late. The exception
 * is open: a late file is closed, and the opener gets ECANCELED or ETIMEDOUT; what CREATE or TRUNCATE did stays.
 */
enum {
    ZVFS_LOG_ERROR = 10,
    ZVFS_LOG_WARNING = 20,
    ZVFS_LOG_INFO = 30,
    ZVFS_LOG_DEBUG = 40
};

enum { /* wait: events, as a set */
    ZVFS_EVENT_READ = 1,  /* a read would not block */
    ZVFS_EVENT_WRITE = 2, /* a write would not block */
    ZVFS_EVENT_ERROR = 4, /* returned only: POLLERR */
    ZVFS_EVENT_HANGUP = 8 /* returned only: POLLHUP */
};

#define ZVFS_TIME_UNLIMITED UINT64_MAX

typedef struct zvfs_host zvfs_host;
struct zvfs_host {
    uint64_t struct_size;
    const char *name;    /* the host program: "zvfs", lives as long as the table */
    const char *version; /* its version, likewise */

    /* Writes one line to the host's log. Does not block for long. level: ZVFS_LOG_...  [any] */
    void(ZVFS_CALL *log)(const zvfs_host *host, uint32_t level, const char *text);

    /* Returns the host's table for an extension id ("The host's extensions", below), or NULL if it has none. That table lives
     * as long as this one.  [any] */
    const void *(ZVFS_CALL *extension)(const zvfs_host *host, const char *id);

    /* Returns 0 to go on, or -ZVFS_ECANCELED or -ZVFS_ETIMEDOUT if the call in progress should end. Does not block.  [any] */
    int32_t(ZVFS_CALL *status)(zvfs_context *context);

    /* Returns the nanoseconds until the deadline: 0 = passed, ZVFS_TIME_UNLIMITED = none. The host may move the deadline
     * between calls and during them, so ask each time rather than remember.  [any] */
    uint64_t(ZVFS_CALL *time_left)(zvfs_context *context);

    /* Sets the one function that a cancel runs, replacing an earlier one; NULL removes it. It runs at most once, on any
     * thread, must not wait, and must not call on_cancel. When on_cancel returns, an earlier function is not running and
     * will not run again; no function runs once close() has begun. Not called for a deadline: see time_left.
     * Returns 0, or -ZVFS_ECANCELED if the context is already cancelled; fn is then not called.  [file] */
    int32_t(ZVFS_CALL *on_cancel)(zvfs_context *context, void(ZVFS_CALL *fn)(void *arg), void *arg);

    /* poll(2) that also ends on a cancel or the deadline. fd -1: just sleep. events: ZVFS_EVENT_READ, _WRITE or both.
     * ns: this wait's own limit, ZVFS_TIME_UNLIMITED = none. For several descriptors pass an epoll(7) descriptor. Returns the
     * events that occurred, 0 after ns, -ZVFS_ECANCELED, -ZVFS_ETIMEDOUT (the deadline), -ZVFS_EBADF for a bad fd, or another
     * negative code (-ZVFS_EMFILE).  [any] */
    int32_t(ZVFS_CALL *wait)(zvfs_context *context, int32_t fd, uint32_t events, uint64_t ns);
};

/* ---- The provider's table ---------------------------------------------------------------------------------------
 * Mandatory: name, schemes, supported_flags, open, close, capabilities, and read or write. What the table points to lives
 * as long as the library; the host copies the table and its strings when it loads the library.
 */
enum { /* threads */
    ZVFS_THREADS_PER_FILE = 0,     /* files are independent */
    ZVFS_THREADS_PER_INSTANCE = 1, /* the host makes one call at a time for an instance and its files */
    ZVFS_THREADS_PER_LIBRARY = 2   /* the host makes one call at a time for the library */
};

typedef struct zvfs_provider {
    uint64_t struct_size;
    const char *name;    /* as in libzvfs_<name>.so: lower-case letters, digits, '-' and '_', 1 to 32 */
    const char *version; /* the provider's own, free text; may be NULL */
    const char *summary; /* one line; may be NULL */
    const char *const *schemes; /* NULL-terminated, at least one, lower case: 2 to 32 of RFC 3986's characters */
    const zvfs_setting *const *settings; /* NULL-terminated; NULL: none */
    uint64_t supported_flags;            /* ZVFS_OPEN_... that open() honours, READ and WRITE too */
    uint32_t threads;                    /* ZVFS_THREADS_... */
    uint32_t reserved;

    /* Makes an instance of one configuration. `settings`: a NULL-terminated list, never NULL, of those of scope OPERATOR.
     * May fail (ENOENT: a key file). Should not block: connect when a file is opened. `host` stays valid until stop() has
     * returned. NULL: no state, open() gets a NULL instance.  [instance] */
    int32_t(ZVFS_CALL *start)(const zvfs_host *host, const zvfs_value *const *settings, zvfs_instance **out,
                              zvfs_error *err);

    /* Delivers what was ENDed, joins the instance's threads and frees it, within 5 s. Every file is already closed. Not called
     * when a process simply exits. NULL: nothing to do.  [instance] */
    void(ZVFS_CALL *stop)(zvfs_instance *instance);

    /* Opens a file. Contradictory flags: EINVAL; a direction that the descriptor excludes: EBADF. May block, in
     * host->wait() if it can.  [instance] */
    int32_t(ZVFS_CALL *open)(zvfs_instance *instance, const zvfs_open_request *request, zvfs_file **out, zvfs_error *err);

    /* Ends the writing side: `how` is ZVFS_FINISH_... END never waits for a peer; COMMIT does, until the deadline; a DISCARD
     * is ended only by its 5 s or a cancel of this very file. COMMIT is durable only if a flush SYNC came before.
     * NULL: END and COMMIT succeed, DISCARD is close. Of a file that was opened for reading alone each of the three is 0 and does nothing.
     * The host enforces what may follow, the same for every provider. After END, COMMIT and DISCARD write, truncate, write_at,
     * set_modified, a lease for writing and send_from are EBADF. A further END is 0; after a COMMIT it returns that COMMIT's result,
     * as a further COMMIT does: a failed COMMIT stays failed, except with ETIMEDOUT, after which it may be repeated. DISCARD is
     * allowed after a failed COMMIT, and EINVAL after a good one; END and COMMIT after DISCARD are EINVAL. So a provider sees END
     * once, COMMIT again only after ETIMEDOUT, neither of them after a failed write, and DISCARD once, last.  [file] */
    int32_t(ZVFS_CALL *finish)(zvfs_file *file, uint32_t how, zvfs_error *err);

    /* Frees the file. Never waits, cannot fail. What needs a COMMIT and had none (ATOMIC, an upload) leaves no trace,
     * best effort; a pipe being written without END breaks. Called once, when nothing else runs on the file.  [file] */
    void(ZVFS_CALL *close)(zvfs_file *file);

    /* Reads into buf[0..n], 0 < n <= ZVFS_COUNT_MAX: waits for at least one byte, the end, or an error. Returns the
     * count (short is legal), or 0 at the end, again at each further call. Bytes beyond the count stay as they were; the
     * buffer is not touched after the return, cancelled or not. Not READABLE: EBADF.  [file] */
    int64_t(ZVFS_CALL *read)(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err);

    /* Writes from buf[0..n], 0 < n <= ZVFS_COUNT_MAX: takes at least one byte, or fails and took none. After
     * ETIMEDOUT the call may be repeated; after any other error the host fails further writes, END and COMMIT with it. Not
     * WRITABLE: EBADF.  [file] */
    int64_t(ZVFS_CALL *write)(zvfs_file *file, const void *buf, uint64_t n, zvfs_error *err);

    /* Moves the one position that read and write share, and returns it. whence: ZVFS_SEEK_... Before the start: EINVAL;
     * beyond the end is allowed. NULL or no positions: ESPIPE.  [file] */
    int64_t(ZVFS_CALL *seek)(zvfs_file *file, int64_t offset, uint32_t whence, zvfs_error *err);

    /* Returns the position. Both seek and tell, or neither.  [file] */
    int64_t(ZVFS_CALL *tell)(zvfs_file *file, zvfs_error *err);

    /* Sets the size in bytes; zeros fill a longer one; the position stays. NULL or not TRUNCATABLE: ENOTSUP.  [file] */
    int32_t(ZVFS_CALL *truncate)(zvfs_file *file, uint64_t size, zvfs_error *err);

    /* level: ZVFS_FLUSH_... NULL: nothing is buffered, both succeed.  [file] */
    int32_t(ZVFS_CALL *flush)(zvfs_file *file, uint32_t level, zvfs_error *err);

    /* Returns ZVFS_CAP_... of this file; the same for its whole life. Asked once, after open. Does not block.  [file] */
    uint64_t(ZVFS_CALL *capabilities)(zvfs_file *file);

    /* Returns the table for an extension id, or NULL. The table lives as long as the library, and the host copies it.
     * A table means that the library has the extension; a file's capabilities say whether this file does. NULL: none.  [any] */
    const void *(ZVFS_CALL *extension)(const char *id);
} zvfs_provider;

/* ---- Extensions -------------------------------------------------------------------------------------------------
 * An id never changes its meaning; a changed extension gets a new number. All functions of a table are mandatory unless
 * said otherwise.
 */

/* Reads and writes at an offset, without the file's position. */
#define ZVFS_EXT_POSITIONAL "zvfs.positional/1"
typedef struct zvfs_positional {
    uint64_t struct_size;
    /* Like read, at `offset` (0 to INT64_MAX); past the end: 0. Not POSITIONAL_READ: ENOTSUP. NULL if no file is.  [shared] */
    int64_t(ZVFS_CALL *read_at)(zvfs_file *file, void *buf, uint64_t n, uint64_t offset, zvfs_error *err);
    /* Like write, at `offset`; a gap is filled with zeros. Not POSITIONAL_WRITE: ENOTSUP. NULL if no file is.  [shared] */
    int64_t(ZVFS_CALL *write_at)(zvfs_file *file, const void *buf, uint64_t n, uint64_t offset, zvfs_error *err);
} zvfs_positional;

enum { /* kinds of file */
    ZVFS_KIND_UNKNOWN = 0,
    ZVFS_KIND_REGULAR = 1,   /* bytes with a size and positions */
    ZVFS_KIND_DIRECTORY = 2, /* has entries to list */
    ZVFS_KIND_STREAM = 3,    /* a pipe, a socket */
    ZVFS_KIND_DEVICE = 4,    /* a character device */
    ZVFS_KIND_TERMINAL = 5   /* a device that a person may sit at */
};

#define ZVFS_TIME_UNKNOWN INT64_MIN

/* What is known of a file. The host provides it with struct_size set, size and modified_ns unknown, and the rest zero. */
typedef struct zvfs_stat {
    uint64_t struct_size;
    uint64_t size;       /* bytes; ZVFS_SIZE_UNKNOWN */
    int64_t modified_ns; /* nanoseconds since 1970-01-01 UTC; ZVFS_TIME_UNKNOWN */
    uint32_t kind;       /* ZVFS_KIND_... */
    uint32_t reserved;
    char version[128]; /* equal tags = equal content (an ETag, a generation); empty: none */
} zvfs_stat;

/* Status of an open file. */
#define ZVFS_EXT_STAT "zvfs.stat/1"
typedef struct zvfs_stat_extension {
    uint64_t struct_size;
    int32_t(ZVFS_CALL *stat)(zvfs_file *file, zvfs_stat *out, zvfs_error *err); /* Not STAT: ENOTSUP.  [file] */
} zvfs_stat_extension;

/* One name below a directory. Valid during the callback. */
typedef struct zvfs_entry {
    uint64_t struct_size;
    const char *name;      /* the last component only: no '/', not "." or ".." */
    const zvfs_stat *stat; /* NULL: not known without a call of stat */
} zvfs_entry;

/* Called for each entry, in no order; returns 0 to go on, anything else to stop (the listing then succeeds). */
typedef int32_t(ZVFS_CALL *zvfs_entry_fn)(void *arg, const zvfs_entry *entry);

/* Work on names rather than open files. `request` as for open, with flags 0. */
#define ZVFS_EXT_NAMESPACE "zvfs.namespace/1"
typedef struct zvfs_namespace {
    uint64_t struct_size;
    /* Does not open it.  [instance] */
    int32_t(ZVFS_CALL *stat)(zvfs_instance *instance, const zvfs_open_request *request, zvfs_stat *out, zvfs_error *err);
    /* ENOTDIR if it is not a directory. NULL: cannot list.  [instance] */
    int32_t(ZVFS_CALL *list)(zvfs_instance *instance, const zvfs_open_request *request, zvfs_entry_fn each, void *arg,
                             zvfs_error *err);
    /* Removes a file, never a directory (EISDIR). NULL: cannot remove.  [instance] */
    int32_t(ZVFS_CALL *remove)(zvfs_instance *instance, const zvfs_open_request *request, zvfs_error *err);
} zvfs_namespace;

/* One name below a directory, as the bytes that it is made of. Valid during the callback. */
typedef struct zvfs_name {
    uint64_t struct_size;
    const char *bytes;     /* the last component only: no '/', no NUL, not "." or ".."; need not be UTF-8, nor end with NUL */
    uint64_t length;       /* of the name, in bytes; at least 1 */
    const zvfs_stat *stat; /* NULL: not known without a call of stat */
} zvfs_name;

/* Called for each name, as zvfs_entry_fn is. */
typedef int32_t(ZVFS_CALL *zvfs_name_fn)(void *arg, const zvfs_name *name);

/* For a provider whose names need not be UTF-8. A zvfs_entry cannot hold such a name, so zvfs_namespace's list leaves it out; this
 * list has all names. To open such a name, write it as the provider's descriptors do: file:/srv/%FF. */
#define ZVFS_EXT_NAMES "zvfs.names/1"
typedef struct zvfs_names {
    uint64_t struct_size;
    /* As zvfs_namespace's.  [instance] */
    int32_t(ZVFS_CALL *list)(zvfs_instance *instance, const zvfs_open_request *request, zvfs_name_fn each, void *arg,
                             zvfs_error *err);
} zvfs_names;

/* For a provider with zvfs.namespace/1 whose folders are made and removed by themselves, rather than being there as soon as a name
 * lies below. `request` as for the namespace. */
#define ZVFS_EXT_FOLDERS "zvfs.folders/1"
typedef struct zvfs_folders {
    uint64_t struct_size;
    /* Makes a folder, and none above it. EEXIST: something has that name, if only a folder or a link that leads nowhere. ENOENT: the
     * folder that it would lie in is not there.  [instance] */
    int32_t(ZVFS_CALL *make)(zvfs_instance *instance, const zvfs_open_request *request, zvfs_error *err);
    /* Removes an empty folder. ENOTEMPTY (EIO or EACCES from a server that does not say why): it is not empty. ENOTDIR: it is no
     * folder, though a link may lead from it to one.  [instance] */
    int32_t(ZVFS_CALL *remove)(zvfs_instance *instance, const zvfs_open_request *request, zvfs_error *err);
} zvfs_folders;

/* For a store that keeps the time of the last change and lets it be set: what `zvfs cp --preserve` and tar(1) over a mount need. Times
 * are nanoseconds since 1970-01-01 UTC, before that negative, never ZVFS_TIME_UNKNOWN. They are rounded down to what the store holds:
 * a microsecond, a second. One that it cannot hold at all is EOVERFLOW, never another time. A library of whose files none takes a time
 * returns no table: a host that must keep times then says so before it opens anything. */
#define ZVFS_EXT_TIMES "zvfs.times/1"
typedef struct zvfs_times {
    uint64_t struct_size;
    /* Sets the time that a file being written has once its COMMIT has succeeded, in place of that of its last write; what is written
     * after the call does not change it, a later call does. Best made before the first write: a store that is told the time with the
     * first bytes, as an upload is, returns ENOTSUP after them. A failure harms nothing: the file is written and committed as without
     * the call. If a store refuses only at the end, COMMIT fails. Not TIMES: ENOTSUP. NULL if no file is.  [file] */
    int32_t(ZVFS_CALL *set_modified)(zvfs_file *file, int64_t modified_ns, zvfs_error *err);
    /* Sets the time of what is there under a name, a folder too; its content stays. A link is followed. ENOENT if nothing is there.
     * `request` as for the namespace. NULL: only files that are written take times.  [instance] */
    int32_t(ZVFS_CALL *name_set_modified)(zvfs_instance *instance, const zvfs_open_request *request, int64_t modified_ns,
                                          zvfs_error *err);
} zvfs_times;

/* A kernel file behind a file, lent so that data can be moved without passing through user space. */
typedef struct zvfs_lease {
    uint64_t struct_size;
    int32_t fd; /* the provider's; the host neither closes it nor changes its position or its modes */
    uint32_t reserved;
    uint64_t offset; /* the file's position in fd; ZVFS_OFFSET_STREAM: a pipe or device, no offsets */
    uint64_t limit;  /* the most bytes that may be moved; UINT64_MAX = no limit */
} zvfs_lease;

#define ZVFS_OFFSET_STREAM UINT64_MAX

#define ZVFS_EXT_FD "zvfs.fd/1"
typedef struct zvfs_fd_extension {
    uint64_t struct_size;
    /* Lends the fd for one direction: `direction` is ZVFS_OPEN_READ or ZVFS_OPEN_WRITE. Valid until the next call on the
     * file. A regular file is used with explicit offsets from `offset` on; a stream as it is, after the host has waited
     * for it to be ready. ENOTSUP: not now (e.g. APPEND).  [file] */
    int32_t(ZVFS_CALL *lease)(zvfs_file *file, uint64_t direction, zvfs_lease *out, zvfs_error *err);
    /* Reports that n bytes were moved through the lease: the file's position advances by n.  [file] */
    int32_t(ZVFS_CALL *advance)(zvfs_file *file, uint64_t direction, uint64_t n, zvfs_error *err);
} zvfs_fd_extension;

/* Moves data between this file and a kernel file that another file lends, for a file that frames or encodes the data (a pipe
 * over a network) and so has no kernel file of its own to lend. The host has not waited for fd, which may be in blocking mode.
 * fd belongs to somebody else: leave its position and its modes unchanged. It is a regular file, used at `offset`.
 * ENOTSUP: not now (the file needs to see the bytes); the host then reads and writes. */
#define ZVFS_EXT_SPLICE "zvfs.splice/1"
typedef struct zvfs_splice {
    uint64_t struct_size;
    /* Writes up to n bytes from fd at offset, 0 < n <= ZVFS_COUNT_MAX, as write does from a buffer. Returns the count, or 0 at
     * the end of fd. NULL: never.  [file] */
    int64_t(ZVFS_CALL *send_from)(zvfs_file *file, int32_t fd, uint64_t offset, uint64_t n, zvfs_error *err);
    /* Reads up to n bytes into fd at offset, as read does into a buffer. Returns the count, or 0 at this file's end. NULL:
     * never.  [file] */
    int64_t(ZVFS_CALL *receive_into)(zvfs_file *file, int32_t fd, uint64_t offset, uint64_t n, zvfs_error *err);
} zvfs_splice;

/* Work on a file without waiting, for a host that waits for many files at once (epoll, libuv):
 *
 *     got = poll->try_read(file, buf, n, err);                     -EAGAIN: there is nothing now
 *     interest.struct_size = sizeof interest;
 *     poll->interest(file, ZVFS_FOR_READ, &interest, err);         where to wait for it
 *     if (!interest.ready) await interest.events on interest.fd, for interest.ns at most
 *     got = poll->try_read(file, buf, n, err);                     and so on
 *
 * Nothing here waits, nor calls host->wait(): the cancel and the deadline of the context are the host's, which checks them before
 * each call. A try_ call that cannot move anything now returns -EAGAIN: it has moved nothing, no error is kept, and the next call may
 * come with another buffer and another n. A call that waits (read, write, finish) may come at any time between these. */
#define ZVFS_EXT_POLL "zvfs.poll/1"

enum { /* interest: wanted, and what is ready, as a set */
    ZVFS_FOR_READ = 1,  /* try_read */
    ZVFS_FOR_WRITE = 2, /* try_write */
    ZVFS_FOR_FINISH = 4 /* try_finish, of a COMMIT that was begun */
};

/* What to wait for. The host provides it with struct_size set and the rest zero. */
typedef struct zvfs_interest {
    uint64_t struct_size;
    uint64_t ns;       /* nanoseconds after which to ask again, whatever has occurred; ZVFS_TIME_UNLIMITED: no need */
    int32_t fd;        /* the provider's, to await `events` on: pollable, and open as long as the file; the host does nothing
                        * else with it. One number for the file's life, and one kernel file until the writing side has ended, so
                        * that a host registers it once: a provider whose sockets change lends an epoll(7) descriptor that has
                        * them. -1: only the time counts */
    uint32_t events;   /* ZVFS_EVENT_READ, _WRITE or both; not always the direction that is wanted: TLS may have to write in
                        * order to read. 0: only an error or a hang-up is awaited */
    uint32_t ready;    /* ZVFS_FOR_...: what to try now, without a wait, since the bytes are in user space; a subset of `wanted` */
    uint32_t reserved;
} zvfs_interest;

typedef struct zvfs_poll {
    uint64_t struct_size;
    /* Returns what must happen before the wanted calls are worth trying. `wanted`: one or more of ZVFS_FOR_... The answer holds until
     * the next call on the file. A host waits only right after an interest that had nothing ready. An event promises nothing: the try
     * after it may be -EAGAIN, as somebody else may have been quicker. `ready` does promise: 1,000 times -EAGAIN after it, with
     * nothing moved in between, is a broken rule. Nothing ready, fd -1 and ns unlimited is another.  [file] */
    int32_t(ZVFS_CALL *interest)(zvfs_file *file, uint32_t wanted, zvfs_interest *out, zvfs_error *err);
    /* As read, but -EAGAIN where that would wait. NULL if no file with POLL is READABLE.  [file] */
    int64_t(ZVFS_CALL *try_read)(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err);
    /* As write, but -EAGAIN where that would wait: it took nothing. NULL if no file with POLL is WRITABLE.  [file] */
    int64_t(ZVFS_CALL *try_write)(zvfs_file *file, const void *buf, uint64_t n, zvfs_error *err);
    /* As finish, for END and COMMIT. END does not wait in finish either, and so is never -EAGAIN. A COMMIT is repeated until it is
     * something else than -EAGAIN; from its first call on nothing is written. To discard, close the file: close never waits, and what
     * had no COMMIT leaves no trace.  [file] */
    int32_t(ZVFS_CALL *try_finish)(zvfs_file *file, uint32_t how, zvfs_error *err);
} zvfs_poll;

/* Which values a setting may have, beyond its type. The host refuses all others, wherever they are given, and shows the operator
 * the allowed ones. A setting without a rule is not bounded. */
#define ZVFS_EXT_SETTINGS "zvfs.settings/1"

#define ZVFS_RULE_PRIVATE UINT64_C(0x1) /* a PATH names a file that holds a secret, such as a private key: the host refuses a */
                                        /* file that others than its owner may write, or others than owner and group read */

typedef struct zvfs_setting_rule {
    uint64_t struct_size;
    const char *setting; /* the name of one in `settings`, at most one rule for each */
    int64_t minimum;     /* of INTEGER, SIZE (bytes) and DURATION (nanoseconds); INT64_MIN: no limit */
    int64_t maximum;     /* of the same, not below minimum; INT64_MAX: no limit */
    const char *const *values; /* of STRING: all allowed ones, NULL-terminated; NULL: any */
    uint64_t flags;      /* ZVFS_RULE_...; unknown ones are ignored */
} zvfs_setting_rule;

typedef struct zvfs_settings_extension {
    uint64_t struct_size;
    const zvfs_setting_rule *const *rules; /* NULL-terminated */
} zvfs_settings_extension;

/* ---- The host's extensions --------------------------------------------------------------------------------------
 * Tables that zvfs_host's extension() returns. The same rule applies to their ids.
 */

/* Opens files of other providers, for a layer: a provider whose descriptor contains another one ("gzip:file:/srv/x.gz"), and
 * that transforms what the inner one reads and writes. The layer is asked for "gzip:file:/srv/x.gz", its `rest` is the inner
 * descriptor, and it opens that:
 *
 *     const zvfs_host_open *inner = host->extension(host, ZVFS_EXT_HOST_OPEN);      in start()
 *     inner->open(host, request->context, &what, &file->inner, err);                in open()
 *     inner->read(file->context, file->inner, buf, n, err);                         in read()
 *     inner->close(file->context, file->inner);                                     in close()
 *
 * Each call names the context of the layer's own file: the inner file shares its deadline and its cancel, and the host's
 * policy applies to it. A context other than the one it was opened with: EINVAL. The layer closes every inner file before its
 * close() (or the call on a name that it was opened for) returns; the inner file's instance lives at least as long.
 *
 * The calls are those of zvfs_provider and its extensions, with the same rules on counts, buffers and threads. The host checks
 * them as it does its own: a call without its capability is refused, a failed write stays failed. Do not call them in start()
 * (EBUSY: open when a file is opened) or in a cancel's function.
 *
 * The inner provider's error text is in `err` of the call: to pass it on, return the code and leave `err` as it is.
 *
 * The host also serialises these calls for a library that asks for it (`threads`), so two such libraries that open each other in
 * both orders may wait for each other until a cancel or the deadline. A layer should be ZVFS_THREADS_PER_FILE. */
#define ZVFS_EXT_HOST_OPEN "zvfs.host.open/1"

/* The most layers above a file. One more: ELOOP. So a layer that opens itself ends. */
#define ZVFS_LAYERS_MAX 8

typedef struct zvfs_inner zvfs_inner; /* the host's: an open file of another provider */

/* What a layer opens. */
typedef struct zvfs_inner_request {
    uint64_t struct_size;
    const char *descriptor; /* of any scheme that the host may load, written as for the host itself */
    uint64_t flags;         /* ZVFS_OPEN_...; one that the inner provider does not support: ENOTSUP, see supported_flags */
    uint64_t expected_size; /* bytes that will be written, or ZVFS_SIZE_UNKNOWN */
    const zvfs_value *const *settings; /* for the inner open, by name and text; NULL-terminated; NULL: none */
} zvfs_inner_request;

typedef struct zvfs_host_open {
    uint64_t struct_size;

    /* Opens an inner file. Fails as the host's own open does: EPROTONOSUPPORT for an unknown scheme, EACCES for one that the
     * operator does not allow, ELOOP, EINVAL, or the inner provider's code.  [any] */
    int32_t(ZVFS_CALL *open)(const zvfs_host *host, zvfs_context *context, const zvfs_inner_request *request,
                             zvfs_inner **out, zvfs_error *err);

    /* Returns the flags that the provider of a descriptor supports, so that a layer can leave out the others: a pipe has
     * nothing to create. May load that provider.  [any] */
    int32_t(ZVFS_CALL *supported_flags)(const zvfs_host *host, zvfs_context *context, const char *descriptor, uint64_t *out,
                                        zvfs_error *err);

    /* zvfs_provider's, of the inner file.  [file] */
    int32_t(ZVFS_CALL *finish)(zvfs_context *context, zvfs_inner *inner, uint32_t how, zvfs_error *err);
    void(ZVFS_CALL *close)(zvfs_context *context, zvfs_inner *inner); /* NULL: does nothing */
    int64_t(ZVFS_CALL *read)(zvfs_context *context, zvfs_inner *inner, void *buf, uint64_t n, zvfs_error *err);
    int64_t(ZVFS_CALL *write)(zvfs_context *context, zvfs_inner *inner, const void *buf, uint64_t n, zvfs_error *err);
    int64_t(ZVFS_CALL *seek)(zvfs_context *context, zvfs_inner *inner, int64_t offset, uint32_t whence, zvfs_error *err);
    int64_t(ZVFS_CALL *tell)(zvfs_context *context, zvfs_inner *inner, zvfs_error *err);
    int32_t(ZVFS_CALL *truncate)(zvfs_context *context, zvfs_inner *inner, uint64_t size, zvfs_error *err);
    int32_t(ZVFS_CALL *flush)(zvfs_context *context, zvfs_inner *inner, uint32_t level, zvfs_error *err);
    uint64_t(ZVFS_CALL *capabilities)(zvfs_context *context, zvfs_inner *inner);

    /* zvfs_positional's.  [shared] */
    int64_t(ZVFS_CALL *read_at)(zvfs_context *context, zvfs_inner *inner, void *buf, uint64_t n, uint64_t offset,
                                zvfs_error *err);
    int64_t(ZVFS_CALL *write_at)(zvfs_context *context, zvfs_inner *inner, const void *buf, uint64_t n, uint64_t offset,
                                 zvfs_error *err);

    /* zvfs_stat_extension's, zvfs_fd_extension's and zvfs_splice's.  [file] */
    int32_t(ZVFS_CALL *stat)(zvfs_context *context, zvfs_inner *inner, zvfs_stat *out, zvfs_error *err);
    int32_t(ZVFS_CALL *lease)(zvfs_context *context, zvfs_inner *inner, uint64_t direction, zvfs_lease *out,
                              zvfs_error *err);
    int32_t(ZVFS_CALL *advance)(zvfs_context *context, zvfs_inner *inner, uint64_t direction, uint64_t n, zvfs_error *err);
    int64_t(ZVFS_CALL *send_from)(zvfs_context *context, zvfs_inner *inner, int32_t fd, uint64_t offset, uint64_t n,
                                  zvfs_error *err);
    int64_t(ZVFS_CALL *receive_into)(zvfs_context *context, zvfs_inner *inner, int32_t fd, uint64_t offset, uint64_t n,
                                     zvfs_error *err);

    /* zvfs_namespace's, for what `request` names, so that a layer has names if its inner provider has. The context is that of
     * the layer's own call on a name, or of an open file; flags and expected_size are ignored. ENOTSUP: the inner provider
     * cannot. The first hosts of version 1 lack these three: check ZVFS_HAS(inner, name_remove).  [any] */
    int32_t(ZVFS_CALL *name_stat)(const zvfs_host *host, zvfs_context *context, const zvfs_inner_request *request,
                                  zvfs_stat *out, zvfs_error *err);
    int32_t(ZVFS_CALL *name_list)(const zvfs_host *host, zvfs_context *context, const zvfs_inner_request *request,
                                  zvfs_entry_fn each, void *arg, zvfs_error *err);
    int32_t(ZVFS_CALL *name_remove)(const zvfs_host *host, zvfs_context *context, const zvfs_inner_request *request,
                                    zvfs_error *err);

    /* zvfs_poll's, of an inner file with POLL. An fd that `interest` lends may be lent on by the layer's own. Hosts without zvfs.poll/1
     * lack these four: check ZVFS_HAS(inner, try_finish).  [file] */
    int32_t(ZVFS_CALL *interest)(zvfs_context *context, zvfs_inner *inner, uint32_t wanted, zvfs_interest *out,
                                 zvfs_error *err);
    int64_t(ZVFS_CALL *try_read)(zvfs_context *context, zvfs_inner *inner, void *buf, uint64_t n, zvfs_error *err);
    int64_t(ZVFS_CALL *try_write)(zvfs_context *context, zvfs_inner *inner, const void *buf, uint64_t n, zvfs_error *err);
    int32_t(ZVFS_CALL *try_finish)(zvfs_context *context, zvfs_inner *inner, uint32_t how, zvfs_error *err);

    /* zvfs_names's, zvfs_folders's and zvfs_times's of a name, as the three of zvfs_namespace above. A layer over a tree passes them
     * all on: from its own zvfs.names/1 those that are not UTF-8, and from its own zvfs.folders/1 what `cp -r`, a mount and a guest's
     * tree make and remove. Of an inner provider without zvfs.names/1 names_list has the names of its name_list. Hosts without
     * zvfs.times/1 lack these five: check ZVFS_HAS(inner, set_modified).  [any] */
    int32_t(ZVFS_CALL *names_list)(const zvfs_host *host, zvfs_context *context, const zvfs_inner_request *request,
                                   zvfs_name_fn each, void *arg, zvfs_error *err);
    int32_t(ZVFS_CALL *folder_make)(const zvfs_host *host, zvfs_context *context, const zvfs_inner_request *request,
                                    zvfs_error *err);
    int32_t(ZVFS_CALL *folder_remove)(const zvfs_host *host, zvfs_context *context, const zvfs_inner_request *request,
                                      zvfs_error *err);
    int32_t(ZVFS_CALL *name_set_modified)(const zvfs_host *host, zvfs_context *context, const zvfs_inner_request *request,
                                          int64_t modified_ns, zvfs_error *err);

    /* zvfs_times's, of an inner file with TIMES. A layer that claims TIMES where its inner file does passes it on before it writes
     * there.  [file] */
    int32_t(ZVFS_CALL *set_modified)(zvfs_context *context, zvfs_inner *inner, int64_t modified_ns, zvfs_error *err);
} zvfs_host_open;

/* States what a call waits for. The host names it in the call's error when the wait is cancelled or times out, writes a line to
 * its log when the wait has lasted 5 s, and returns it to a program that asks.
 *
 *     const zvfs_host_waiting *says = host->extension(host, ZVFS_EXT_HOST_WAITING);       in start(); may be NULL
 *     if (says) says->waits_for(context, "a reader of netpipe `a`", NULL);                before it waits
 *     if (says) says->waits_for(context, "a reader of netpipe `a`", "connect 10.0.0.1:7: connection refused");
 *     if (says) says->waits_for(context, NULL, NULL);                                     it waits no longer
 */
#define ZVFS_EXT_HOST_WAITING "zvfs.host.waiting/1"

typedef struct zvfs_host_waiting {
    uint64_t struct_size;

    /* object: what is waited for, as a person would say it; NULL: the wait is over. Another object ends the previous wait; the
     * same object continues it. refusal: why the last attempt failed; NULL: no failure since the last call. One line each,
     * without secrets; cut after 500 characters. For waits that may be long, not for each read. Pass NULL before the call
     * returns, also when it fails: an error that the control caused still names the wait. What the thread of the call stated and did
     * not take back, the host forgets when the call returns. Does not block.  [any] */
    void(ZVFS_CALL *waits_for)(zvfs_context *context, const char *object, const char *refusal);
} zvfs_host_waiting;

/* ---- The entry --------------------------------------------------------------------------------------------------
 * The library's one exported symbol: returns the table, which lives as long as the library. Has no side effects, starts no
 * thread. NULL: the library refuses to be used here (the host reports it). The number is the ABI's major version: a library may
 * export several, and a host takes the newest that it knows.  [entry]
 */
ZVFS_EXPORT const zvfs_provider *ZVFS_CALL zvfs_provider_v1(void);

#ifdef __cplusplus
}
#endif

#endif
