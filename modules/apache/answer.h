/* SPDX-License-Identifier: Apache-2.0
 * A guest's output as an answer: header lines as CGI has them, an empty line, and the body. */
#ifndef ZVM_ANSWER_H
#define ZVM_ANSWER_H

#include <httpd.h>
#include <stdbool.h>

/* The most that the header lines may have together. */
enum { ANSWER_HEAD_MAX = 64 << 10 };

struct answer {
    request_rec *r;
    char *head; /* what came of it */
    apr_size_t head_size, head_at;
    bool has_head;      /* it is complete, and in r->headers_out */
    bool is_redirect;   /* to another URL: the body is dropped */
    bool is_unflushed;
    int status;         /* an HTTP status once the guest's output is wrong, else 0 */
};

void answer_begin(struct answer *answer, request_rec *r);

/* Takes the next bytes. False: nothing more is of use; either the client is gone, or answer->status says why. */
bool answer_write(struct answer *answer, const char *bytes, apr_size_t size);

/* Sends what filters may hold back. */
void answer_flush(struct answer *answer);

/* Ends it, and returns what a handler returns; or sets `next` to another URL of this server: see answer_follow. */
int answer_end(struct answer *answer, const char **next);

/* Has another URL of this server answer in the request's place, without its body, and returns what a handler returns. Calls that URL's
 * handler, which may be this module's again: the session that named it has ended and left its place. Apache bounds how often
 * (LimitInternalRecursion). */
int answer_follow(request_rec *r, const char *next);

/* Ends it after a failure: the status, if nothing was sent yet; else the connection breaks, so that what was sent does not pass for
 * whole. Returns what a handler returns. */
int answer_break(struct answer *answer, int status);

#endif
