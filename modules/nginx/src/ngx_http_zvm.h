/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_zvm_module answers requests by WebAssembly programs, each in a sandbox of libzvm's: a session for each request, whose
 * standard input is the request's body and whose standard output is the answer, in CGI's form.
 *
 *     directives.c   what the configuration may say
 *     module.c       a location's settings, and what happens at a worker's start and end
 *     origin.c       which directive said what, and where it stands
 *     manifest.c     a location's directives as a manifest
 *     check.c        whether the workers can use what the configuration says
 *     guest.c        what a location's requests share in a worker: the program, and how many run and wait
 *     compile.c      programs, compiled beside the event loop
 *     request.c      a request from its body to its answer, on the event loop
 *     body.c         the request's body, on its way to the guest
 *     outcome.c      what the guest says and how it ends, for the log and for the answer
 *     environment.c  what the guest is told: CGI's variables
 *     answer.c       what the guest writes, on its way to the client
 *     header.c       the header lines at its head
 *     job.c          a request's session: all that its thread and the event loop share
 *     pipe.c         bytes on their way between the two
 *
 * Two threads meet in a job, nowhere else. The event loop never waits; the session's thread waits in the job's callbacks, which a
 * stopped session leaves at once. A request that is gone leaves its job behind, which ends by itself: nothing of nginx's waits for
 * it.
 */
#ifndef NGX_HTTP_ZVM_H
#define NGX_HTTP_ZVM_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>
#include <zvm_session.h>

typedef struct ngx_http_zvm_guest_s ngx_http_zvm_guest_t;
typedef struct ngx_http_zvm_job_s ngx_http_zvm_job_t;
typedef struct ngx_http_zvm_ctx_s ngx_http_zvm_ctx_t;
typedef struct ngx_http_zvm_loc_conf_s ngx_http_zvm_loc_conf_t;

extern ngx_module_t ngx_http_zvm_module;

/* pipe.c: a ring of bytes, which grows with what is in it. Whoever uses it holds the job's lock. */

typedef struct {
    u_char *start; /* NULL until the first byte */
    size_t room; /* bytes that it has now */
    size_t size; /* and may have */
    size_t used;
    size_t head; /* where the oldest byte lies */
    unsigned closed:1; /* nothing more comes */
} ngx_http_zvm_pipe_t;

/* Puts in as many bytes as there is room for. Returns the count, or NGX_ERROR: no memory. */
ssize_t ngx_http_zvm_pipe_put(ngx_http_zvm_pipe_t *pipe, const void *bytes, size_t n);
/* Takes out up to n bytes. Returns the count. */
size_t ngx_http_zvm_pipe_take(ngx_http_zvm_pipe_t *pipe, void *bytes, size_t n);
/* Empties it for another job's use, and keeps a little memory for that. */
void ngx_http_zvm_pipe_reset(ngx_http_zvm_pipe_t *pipe);
void ngx_http_zvm_pipe_free(ngx_http_zvm_pipe_t *pipe);

/* job.c */

struct ngx_http_zvm_job_s {
    pthread_mutex_t lock; /* of the next seven */
    pthread_cond_t changed;
    ngx_http_zvm_pipe_t body;
    ngx_http_zvm_pipe_t answer;
    ngx_http_zvm_pipe_t messages; /* the guest's standard error */
    unsigned stopped:1; /* no callback waits any more */
    unsigned hungry:1; /* the event loop waits for room in `body` */
    unsigned quiet:1; /* the event loop wants no news of a few bytes */

    ngx_http_zvm_job_t *next; /* in the list of those with news, under that list's lock, as the next two */
    unsigned listed:1;
    unsigned reported:1; /* the session has a report */
    ngx_atomic_t pending; /* callbacks to come: a `close` for each channel, and `ended`; 0 under that lock only */

    zvm_session *session; /* the event loop's, as the rest; NULL: freed, or the request's own */
    unsigned ended:1; /* `reported`, when the news came */
    unsigned over:1; /* nothing is pending: the session's thread knows the job no more */
    unsigned settled:1; /* and its place is another's */
    ngx_http_zvm_guest_t *guest;
    ngx_http_zvm_ctx_t *ctx; /* NULL: the request is gone */
};

/* Makes the worker's list of jobs with news, and calls ngx_http_zvm_news for each. */
ngx_int_t ngx_http_zvm_jobs_init(ngx_cycle_t *cycle);
void ngx_http_zvm_jobs_exit(void);

/* Makes a job and its session, with its three standard channels. NULL: failed, and logged. */
ngx_http_zvm_job_t *ngx_http_zvm_job_create(ngx_http_zvm_guest_t *guest, ngx_http_request_t *r);
/* Has it start, before the event loop waits again; else calls ngx_http_zvm_unstarted. */
void ngx_http_zvm_job_start(ngx_http_zvm_job_t *job);
/* Stops a session whose answer nobody wants. */
void ngx_http_zvm_job_stop(ngx_http_zvm_job_t *job);
/* Frees a job that is over, or never started. */
void ngx_http_zvm_job_free(ngx_http_zvm_job_t *job);
/* From another thread: has the event loop look for what has news. */
void ngx_http_zvm_wake(void);

/* guest.c */

struct ngx_http_zvm_guest_s {
    ngx_str_t name; /* its path, for messages */
    ngx_http_zvm_loc_conf_t *conf;
    ngx_array_t lines; /* of ngx_http_zvm_line_t: those of the manifest that directives are */
    ngx_str_t manifest;
    ngx_str_t program; /* its bytes; none: the manifest names it */
    zvm_host_options host_options;
    ngx_str_t fault; /* why this worker cannot run it; as the rest, a worker's */
    zvm_host *host;
    zvm_template *template; /* NULL: `fault` says why */
    ngx_http_zvm_guest_t *next; /* among those that are compiled: compile.c's, as the next two */
    zvfs_error unprepared; /* what became of it */
    unsigned compiling:1;
    unsigned ready:1; /* sessions need not wait for a compiler */
    ngx_uint_t sessions; /* how many may run at once in a worker */
    ngx_uint_t queue; /* how many may wait */
    ngx_uint_t running;
    ngx_uint_t waiting;
    ngx_queue_t requests; /* that wait, by their ctx->link */
};

/* What fails here is answered by 500, and nothing else of the worker's. */
void ngx_http_zvm_guests_init(ngx_cycle_t *cycle, ngx_array_t *guests);
void ngx_http_zvm_guests_exit(ngx_array_t *guests);
/* Called for a job with news: frees what is over, lets the next request run, and tells the job's own. */
void ngx_http_zvm_news(ngx_http_zvm_job_t *job);
/* Called for a job whose session could not be started. 503: those that were left behind have all places. */
void ngx_http_zvm_unstarted(ngx_http_zvm_job_t *job, ngx_int_t status, const char *why);
/* Whether a session may begin. */
ngx_uint_t ngx_http_zvm_guest_is_free(ngx_http_zvm_guest_t *guest);
/* Lets those that wait begin, as many as may. */
void ngx_http_zvm_guest_next(ngx_http_zvm_guest_t *guest);
/* Ends those that wait: they can never begin. */
void ngx_http_zvm_guest_refuse(ngx_http_zvm_guest_t *guest, const char *why);

/* compile.c */

/* Has a guest's program compiled, unless that is on its way. Its requests wait meanwhile, and those of others do not. One that fails is
 * tried again for the next request. */
void ngx_http_zvm_compile(ngx_http_zvm_guest_t *guest, ngx_log_t *log);
/* Called on the event loop when it was woken. */
void ngx_http_zvm_compiled(ngx_log_t *log);
/* Called when no template is left: ends the threads. */
void ngx_http_zvm_compilers_exit(void);

/* directives.c */

extern ngx_command_t ngx_http_zvm_commands[];

/* module.c */

typedef struct {
    ngx_array_t guests; /* of ngx_http_zvm_guest_t * */
    ngx_uint_t request_id; /* the index of nginx's variable */
} ngx_http_zvm_main_conf_t;

typedef struct ngx_http_zvm_param_s ngx_http_zvm_param_t;

struct ngx_http_zvm_param_s {
    ngx_str_t name;
    ngx_http_complex_value_t value;
    ngx_http_zvm_param_t *instead; /* of this name too, for requests where this one is empty */
    unsigned instead_of_other:1; /* it is another's `instead` */
};

struct ngx_http_zvm_loc_conf_s {
    ngx_http_zvm_loc_conf_t *outer; /* what values are inherited from */
    ngx_array_t *origins; /* of ngx_http_zvm_origin_t: what this block says itself */
    ngx_str_t program;
    ngx_str_t manifest;
    ngx_str_t args;
    ngx_array_t *channels; /* of ngx_http_zvm_channel_t */
    size_t memory;
    time_t timeout;
    ngx_int_t fuel;
    ngx_str_t configuration;
    ngx_str_t compiler;
    ngx_str_t cache_folder;
    ngx_str_t cache_key;
    ngx_uint_t sessions;
    ngx_uint_t queue;
    ngx_msec_t queue_timeout;
    ngx_bufs_t buffers;
    ngx_array_t *params; /* of ngx_http_zvm_param_t, as configured */
    ngx_array_t *variables; /* the same, after those that every guest gets */
    ngx_http_zvm_guest_t *guest; /* NULL: no guest answers here */
};

/* origin.c */

typedef struct {
    ngx_str_t directive;
    ngx_str_t file;
    ngx_uint_t line;
} ngx_http_zvm_origin_t;

/* A directive that is a line of a manifest. */
typedef struct {
    ngx_uint_t number;
    ngx_http_zvm_origin_t *origin;
} ngx_http_zvm_line_t;

typedef struct {
    ngx_str_t text;
    ngx_http_zvm_origin_t *origin;
} ngx_http_zvm_channel_t;

/* Remembers where the directive stands that is being read. NULL: no memory. */
ngx_http_zvm_origin_t *ngx_http_zvm_record(ngx_conf_t *cf, ngx_http_zvm_loc_conf_t *conf);
/* Finds the directive whose value holds here, the nearest one. NULL: its default does. */
ngx_http_zvm_origin_t *ngx_http_zvm_origin(ngx_http_zvm_loc_conf_t *conf, const char *directive);
/* Logs what is wrong with a guest, with the place of the directive. */
void ngx_http_zvm_wrong(ngx_conf_t *cf, ngx_http_zvm_guest_t *guest, const char *directive, const char *text);
/* The same for a line of its manifest; 0: for none that is known. */
void ngx_http_zvm_wrong_line(ngx_conf_t *cf, ngx_http_zvm_guest_t *guest, ngx_uint_t number, const char *text);

/* manifest.c: makes the text of a guest's manifest. What is wrong is logged. */
ngx_int_t ngx_http_zvm_manifest(ngx_conf_t *cf, ngx_http_zvm_guest_t *guest);
/* A whole file, which a guest's directive names. */
ngx_int_t ngx_http_zvm_read_file(ngx_conf_t *cf, ngx_http_zvm_guest_t *guest, const char *directive, ngx_str_t *path, ngx_str_t *bytes);

/* check.c: run when the configuration has been read, by the master and by `nginx -t`. */
ngx_int_t ngx_http_zvm_check_manifest(ngx_conf_t *cf, ngx_http_zvm_guest_t *guest);
ngx_int_t ngx_http_zvm_check_guests(ngx_conf_t *cf);

/* environment.c */

/* Puts together the variables that every guest gets, and those of the configuration, which win. */
ngx_int_t ngx_http_zvm_variables(ngx_conf_t *cf, ngx_http_zvm_loc_conf_t *conf);
/* Returns NGX_OK or the status of the answer. */
ngx_int_t ngx_http_zvm_environment(ngx_http_request_t *r, ngx_http_zvm_loc_conf_t *conf, zvm_session *session);

/* request_id.c */

/* Returns NGX_ERROR if there is no memory for it. */
ngx_int_t ngx_http_zvm_request_id_index(ngx_conf_t *cf);
/* Gives nginx's variable $request_id, which has this index, its value, unless it has one. */
void ngx_http_zvm_request_id(ngx_http_request_t *r, ngx_uint_t index);

/* log.c */

/* Says something of a request in the error log: `zvm: ..., id: "..."`, so that it is found by the id that the access log has. A text that is
 * too long for a line is cut, its id is not. */
void ngx_http_zvm_log(ngx_uint_t level, ngx_http_request_t *r, const char *fmt, ...);

/* header.c */

/* Parses what is in `b`, as often as more is there. NGX_OK: the header is complete, `b` is at the body. NGX_AGAIN: it is not.
 * NGX_ERROR: it is none, which is logged. NGX_HTTP_INTERNAL_SERVER_ERROR: no memory. */
ngx_int_t ngx_http_zvm_parse_header(ngx_http_request_t *r, ngx_buf_t *b);

/* answer.c */

/* Sends what there is, as far as the client takes it. NGX_AGAIN: there is more to come; else what to finalize the request with. */
ngx_int_t ngx_http_zvm_answer(ngx_http_zvm_ctx_t *ctx);

/* request.c */

struct ngx_http_zvm_ctx_s {
    ngx_http_request_t *request;
    ngx_http_zvm_loc_conf_t *conf;
    ngx_http_zvm_job_t *job; /* NULL: the request waits for its turn, or is answered */
    ngx_queue_t link; /* among those that wait */
    ngx_event_t timer; /* of the wait, then of `due`; then it keeps the worker from leaving */
    ngx_chain_t *body; /* what came and is not yet in the job's pipe */
    ngx_chain_t *header; /* the head of the answer, until it is sent */
    ngx_chain_t *free, *busy; /* buffers of the answer */
    ngx_int_t buffers; /* how many there are */
    off_t left; /* bytes that the answer may still have; -1: any number */
    ngx_uint_t said; /* what the header lines say once: of header_field.h, HEADER_... */
    zvm_session *session; /* that has ended: its report stays for the log */
    ngx_str_t state; /* of that report, once it is asked for or failed; or why there is none */
    unsigned waiting:1;
    unsigned body_closed:1;
    unsigned failed:1;
    unsigned due:1; /* what there is of the answer goes out now */
    unsigned sent:1; /* the header */
    unsigned cut:1; /* the guest wrote more than it had said */
};

ngx_int_t ngx_http_zvm_handler(ngx_http_request_t *r);
/* More of the body may have come. */
void ngx_http_zvm_read_event(ngx_http_request_t *r);
/* Finalizes a request whose session cannot begin. */
void ngx_http_zvm_refuse(ngx_http_zvm_ctx_t *ctx, ngx_int_t status, const char *why);
/* The request's turn has come, or its job has news. Either may finalize it. */
void ngx_http_zvm_start(ngx_http_zvm_ctx_t *ctx);
void ngx_http_zvm_advance(ngx_http_zvm_ctx_t *ctx);

/* body.c */

/* A body that is complete is others' too: they get to see their own buffers untouched. A subrequest has none. */
ngx_int_t ngx_http_zvm_body(ngx_http_zvm_ctx_t *ctx);
/* Passes on what came of the body, as far as there is room, and reads on when all of it is gone: so a client sends no faster than
 * the guest reads. Returns NGX_OK, or what to finalize the request with. */
ngx_int_t ngx_http_zvm_feed(ngx_http_zvm_ctx_t *ctx);
/* To be called before the header is sent. A connection on which there is more of the body than was read by then is not kept: nginx takes
 * what is left, and closes it; without this it would tell the client the opposite. */
void ngx_http_zvm_body_left(ngx_http_request_t *r);

/* outcome.c */

/* Makes a request's context, of its own, so that the variables find it though the request went on to an error page. NULL: no memory. */
ngx_http_zvm_ctx_t *ngx_http_zvm_make_context(ngx_http_request_t *r);
/* Logs what the guest wrote to its standard error, line by line, with the request's id. */
void ngx_http_zvm_messages(ngx_http_zvm_ctx_t *ctx);
/* Writes a guest's bytes for a quotation in the log: what is not printable, would end it, or could pass for such a number, is a number.
 * `to` has room for four times as many. Returns its end. */
u_char *ngx_http_zvm_printable(u_char *to, const u_char *bytes, size_t n);
/* The session's report is there. */
void ngx_http_zvm_outcome(ngx_http_zvm_ctx_t *ctx);
/* Whether its session is known to have ended, or could not begin. */
ngx_uint_t ngx_http_zvm_has_outcome(ngx_http_zvm_ctx_t *ctx);
/* What to finalize a request with whose session failed. An answer that has begun is broken off: it must not look complete. */
ngx_int_t ngx_http_zvm_failure(ngx_http_zvm_ctx_t *ctx);
/* $zvm_state, $zvm_fuel and $zvm_report. */
ngx_int_t ngx_http_zvm_add_variables(ngx_conf_t *cf);

#endif
