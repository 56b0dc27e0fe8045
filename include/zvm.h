/* SPDX-License-Identifier: Apache-2.0
 *
 * zvm.h: named pipes between processes and machines, in four functions: the whole interface between ZeroVM and its network, as
 * it was once proposed; and two more for a program that outlives what goes wrong. Link with libzvfs. zvfs.h is the interface for everything else, and needs no part of this one.
 *
 *     cc -o node node.c $(pkg-config --cflags --libs zvfs)
 *
 * A netpipe behaves like a named pipe (FIFO):
 *
 *     - a write blocks until there is a reader, and further while that takes nothing
 *     - a read blocks until a writer has written something
 *     - when the pipe is empty and the last writer has closed, reads return 0
 *     - a write to a pipe whose reader has closed fails with EPIPE
 *
 * and is not one in four ways: a writer that dies is not an end but ECONNRESET for the reader; no signal is raised, SIGPIPE
 * never; a signal handler does not interrupt a call; and no process forked off can use its parent's pipes (EPERM), while it
 * can open its own.
 *
 * Which pipes there may be is the operator's business, not the program's: the file that the environment's ZVFS_CONFIG names
 * (not in a set-uid program), else /etc/zvfs/zvfs.toml, says which providers load, the broker's address and the secret. Without
 * one, the providers that were installed or built with this library load.
 *
 * Threads: all functions may be called on any thread. Calls on one pipe take turns.
 *
 * Waits: by default a call waits for as long as it takes: netpipe_set_timeout() bounds that. A program that goes on after it has failed
 * calls netpipe_abort() rather than netpipe_close() on what it was writing: a close says that all of it is there.
 *
 * Ends: call exit() or return from main(), and whatever was closed before is delivered first, for up to 5 s. _exit() and
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

/* Opens a pipe. The descriptor holds what is needed to find the other end, and the direction; what it looks like is the
 * provider's to say. Its scheme names the provider; one without a scheme that is known here is a netpipe:
 *
 *     "127.0.0.1:2:w"              write, through the broker at 127.0.0.1 (port 9713), to the pipe named 2
 *     "2:r"                        read pipe 2, through the broker that the operator configured
 *     "tcp://10.0.0.7:5000?mode=w" no broker: the reader listens at this address
 *
 * Returns at once: neither end waits for the other here. NULL: failed; errno is EINVAL for what is no descriptor, EACCES for
 * what the operator does not allow, EPROTONOSUPPORT for a provider that is not installed, or the provider's. */
extern netpipe_t *netpipe_open(const char *descriptor);

/* Closes a pipe and frees it. A writer's data ends here: the reader gets all of it, then 0; what it has not yet taken is
 * delivered in the background, and this does not wait for it. A reader's writer gets EPIPE. A call of another thread that
 * waits on the pipe ends with EBADF; if it was a write, the pipe breaks instead of ending. Returns 0, or -1: EBADF for what is
 * not an open pipe, or what kept the end from being told. The pipe is closed either way. */
extern int netpipe_close(netpipe_t *pipe);

/* Reads up to count bytes. Waits for the first one. Returns how many came, 0 at the end, and again at each further call, or -1:
 * EBADF (not a pipe that is open for reading), ECONNRESET (the writer died), EINVAL (a negative count), EFAULT (no buffer). */
extern int64_t netpipe_read(netpipe_t *pipe, void *buf, int32_t count);

/* Writes count bytes, all of them unless it fails in between: then it returns how many went. Returns -1: EPIPE (the reader
 * closed), ECONNRESET (it died), EBADF (not a pipe that is open for writing), EINVAL (a negative count), EFAULT (no
 * buffer). */
extern int64_t netpipe_write(netpipe_t *pipe, void *buf, int32_t count);

/* Breaks a pipe and frees it, where what was written is worthless, or the rest of it will not come: the reader gets ECONNRESET and
 * never an end, a reader's writer EPIPE. Does not wait for the other end. A call of another thread that waits on the pipe ends with
 * EBADF. Returns 0, or -1: EBADF for what is not an open pipe. */
extern int netpipe_abort(netpipe_t *pipe);

/* Sets how long each later call on the pipe may wait, in milliseconds, 1 at least; 0, as at first: for as long as it takes. A read
 * that waited so long returns -1, ETIMEDOUT, and so does a write of which nothing went; else that returns how much went. Nothing is
 * lost by it, and the call may be made again. zvfs_netpipe_error() says what it waited for: whom, since when, and what came of the
 * last attempt to reach them. Returns 0, or -1: EBADF (not an open pipe), EINVAL (a negative time). */
extern int netpipe_set_timeout(netpipe_t *pipe, int64_t milliseconds);

#ifdef __cplusplus
}
#endif

#endif
