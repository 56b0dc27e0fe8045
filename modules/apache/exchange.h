/* SPDX-License-Identifier: Apache-2.0
 * Between the request's thread, which alone may use what is Apache's, and its session's thread. What the guest writes waits here until the
 * request's thread has sent it, and what the guest wants to read is asked for here. Bounded both ways: a slow client stops its guest. */
#ifndef ZVM_EXCHANGE_H
#define ZVM_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zvm_session.h>

enum { EXCHANGE_ROOM = 64 << 10, EXCHANGE_LOG_ROOM = 4 << 10 };

struct exchange;

/* What the request's thread is to do next. */
struct turn {
    size_t output;  /* bytes of the answer, in the buffer */
    size_t log;     /* bytes of standard error, in the buffer behind EXCHANGE_ROOM */
    bool wants_input;
    bool has_ended; /* there is a report, and nothing more comes */
};

/* Returns NULL without memory or descriptors. The request's thread holds it until exchange_release. */
struct exchange *exchange_make(void);
void exchange_release(struct exchange *exchange);

/* Supplies the standard channels and starts the session. Returns 0 or a negative code, and then the session is not running. */
int32_t exchange_start(struct exchange *exchange, zvm_session *session, zvfs_error *err);

/* Takes what is there; `buffer` has EXCHANGE_ROOM + EXCHANGE_LOG_ROOM bytes. Does not wait. */
struct turn exchange_take(struct exchange *exchange, char *buffer);

/* Gives input that was wanted; 0 bytes: its end; negative: it failed. */
void exchange_give(struct exchange *exchange, const char *input, long size);

/* Says that nobody reads the answer any more: the guest's next write is EPIPE. */
void exchange_close_output(struct exchange *exchange);

/* Readable when exchange_take may have something. */
int exchange_fd(const struct exchange *exchange);

#endif
