/* SPDX-License-Identifier: Apache-2.0
 *
 * zvm.h: named pipes between processes and machines, in four functions: the interface between ZeroVM and its network, as it was
 * once proposed. Two more functions are for programs that go on after an error. Link with libzvfs. zvfs.h is the interface for
 * everything else, and is independent of this one.
 *
 *     cc -o node node.c $(pkg-config --cflags --libs zvfs)
 *
 * A netpipe behaves like a named pipe (FIFO):
 *
 *     - a write blocks until there is a reader, and while the reader takes nothing
 *     - a read blocks until a writer has written something
 *     - when the pipe is empty and the last writer has closed, reads return 0
 *     - a write to a pipe whose reader has closed fails with EPIPE
 *
 * It differs from a FIFO in four ways: a writer that dies is not an end but ECONNRESET for the reader; no signal is raised, not
 * even SIGPIPE; a signal handler does not interrupt a call; and a forked process cannot use its parent's pipes (EPERM), but can
 * open its own.
 *
 * The operator decides which pipes are allowed, not the program: the file that the environment's ZVFS_CONFIG names (not in a
 * set-uid program), else /etc/zvfs/zvfs.toml, says which providers load, the broker's address and the secret. Without a file, the
 * providers that were installed or built with this library load.
 *
 * Threads: all functions may be called on any thread. Calls on one pipe take turns.
 *
 * Waits: by default a call waits for as long as it takes; netpipe_set_timeout() bounds that. A program that goes on after it has
 * failed calls netpipe_abort() rather than netpipe_close() on what it was writing: a close says that the data is complete.
 *
 * Ends: on exit() or a return from main(), whatever was closed before is delivered first, for up to 5 s. _exit() and
 * signals that kill do not wait for that. Pipes that are still open then break.
 *
 * errno says why a call failed; zvfs_netpipe_error() of zvfs.h has the text.
 */
#ifndef ZVM_H
#define ZVM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct netpipe_t;
typedef struct netpipe_t netpipe_t;

/* Opens a pipe. The descriptor says how to find the other end, and the direction; the provider defines its form. Its scheme names
 * the provider; a descriptor without a known scheme is a netpipe:
 *
 *     "127.0.0.1:2:w"              write, through the broker at 127.0.0.1 (port 9713), to the pipe named 2
 *     "2:r"                        read pipe 2, through the broker that the operator configured
 *     "tcp://10.0.0.7:5000?mode=w" no broker: the reader listens at this address
 *
 * Returns at once: neither end waits for the other here. NULL: failed; errno is EINVAL (not a descriptor), EACCES (the operator
 * does not allow it), EPROTONOSUPPORT (the provider is not installed), or the provider's own. */
extern netpipe_t *netpipe_open(const char *descriptor);

/* Closes a pipe and frees it. A writer's data ends here: the reader gets all of it, then 0. Data that the reader has not yet taken
 * is delivered in the background, without waiting. The writer of a closed reader gets EPIPE. A call of another thread that waits
 * on the pipe ends with EBADF; if it was a write, the pipe breaks instead of ending. Returns 0, or -1: EBADF (not an open pipe),
 * or why the end could not be sent. The pipe is closed either way. */
extern int netpipe_close(netpipe_t *pipe);

/* Reads up to count bytes. Waits for the first one. Returns the count, 0 at the end and again at each further call, or -1:
 * EBADF (not a pipe that is open for reading), ECONNRESET (the writer died), EINVAL (a negative count), EFAULT (no buffer). */
extern int64_t netpipe_read(netpipe_t *pipe, void *buf, int32_t count);

/* Writes count bytes. Returns the count, which is smaller only if an error came in between. Returns -1: EPIPE (the reader
 * closed), ECONNRESET (it died), EBADF (not a pipe that is open for writing), EINVAL (a negative count), EFAULT (no
 * buffer). */
extern int64_t netpipe_write(netpipe_t *pipe, void *buf, int32_t count);

/* Breaks a pipe and frees it, when what was written is incomplete or wrong: the reader gets ECONNRESET and never an end. The writer of
 * an aborted reader gets EPIPE. Does not wait for the other end. A call of another thread that waits on the pipe ends with EBADF.
 * Returns 0, or -1: EBADF (not an open pipe). */
extern int netpipe_abort(netpipe_t *pipe);

/* Sets how long each later call on the pipe may wait, in milliseconds, at least 1; 0, the default: for as long as it takes. A read
 * that times out returns -1, ETIMEDOUT, and so does a write that wrote nothing; a write that wrote something returns how much.
 * Nothing is lost, and the call may be repeated. zvfs_netpipe_error() says what it waited for: whom, since when, and how the last
 * attempt to reach them failed. Returns 0, or -1: EBADF (not an open pipe), EINVAL (a negative time). */
extern int netpipe_set_timeout(netpipe_t *pipe, int64_t milliseconds);

#ifdef __cplusplus
}
#endif

#endif
