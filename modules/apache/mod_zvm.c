/* SPDX-License-Identifier: Apache-2.0
 * The module: a request is answered by a guest of its own. README.md says how to use it.
 *
 *     mod_zvm.c   here: the handler, and what a child process has
 *     settings.c  the directives
 *     checks.c    whether the child processes can use what they say
 *     site.c      a manifest: its template, and how many sessions of it there are
 *     exchange.c  between the request's thread and the session's
 *     answer.c    from the guest's output to an answer
 *     log.c       from the guest's standard error to the error log
 */
#include "answer.h"
#include "checks.h"
#include "exchange.h"
#include "log.h"
#include "settings.h"
#include <ap_mpm.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <errno.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <httpd.h>
#include <mpm_common.h>
#include <poll.h>
#include <string.h>
#include <util_script.h>

APLOG_USE_MODULE(zvm);

/* Of a child process; the parent has none and runs nothing. */
static zvm_host *host;
static const char *no_host; /* why there is none */

/* A request with its session. */
struct work {
    request_rec *r;
    zvm_session *session;
    struct exchange *exchange;
    struct answer answer;
    struct log log;
    bool is_lost;   /* nobody wants the answer any more: the client is gone, or the guest's output is wrong */
    bool has_body;
    char buffer[EXCHANGE_ROOM + EXCHANGE_LOG_ROOM];
};

static int add_variable(void *session, const char *name, const char *value) {
    if (*name && !strchr(name, '=')) zvm_session_environment(session, name, value, NULL);
    return 1;
}

/* Nobody wants the answer any more. */
static void lose(struct work *work) {
    if (work->is_lost) return;
    work->is_lost = true;
    exchange_close_output(work->exchange);
    zvm_session_cancel(work->session, NULL);
}

/* What tells that the client's connection has ended. */
static struct pollfd end_of_client(conn_rec *connection) {
    apr_socket_t *socket = ap_get_conn_socket(connection->master ? connection->master : connection);
    struct pollfd end = {.fd = -1, .events = POLLRDHUP};
    apr_os_sock_t client;
    if (socket && apr_os_sock_get(&client, socket) == APR_SUCCESS) end.fd = client;
    return end;
}

static bool is_gone(void *connection) {
    struct pollfd end = end_of_client(connection);
    return poll(&end, 1, 0) > 0 || ((conn_rec *)connection)->aborted;
}

/* Waits until the guest has something, or the client is gone. */
static void wait_for_either(struct work *work) {
    conn_rec *connection = work->r->connection;
    struct pollfd fds[2] = {{.fd = exchange_fd(work->exchange), .events = POLLIN}, end_of_client(connection)};
    /* A guest that is told to end needs no second telling. An HTTP/2 client takes a request back without closing its connection: that
     * is looked for every second. */
    if (work->is_lost) fds[1].fd = -1;
    answer_flush(&work->answer);
    if (poll(fds, 2, connection->master && !work->is_lost ? 1000 : -1) < 0 && errno != EINTR) lose(work);
    if (fds[1].revents || connection->aborted) lose(work);
}

/* Moves bytes both ways until the session is over. */
static void exchange_all(struct work *work) {
    for (;;) {
        struct turn turn = exchange_take(work->exchange, work->buffer);
        log_write(&work->log, work->r, work->buffer + EXCHANGE_ROOM, turn.log);
        if (turn.output && !work->is_lost && !answer_write(&work->answer, work->buffer, turn.output)) lose(work);
        if (turn.output || turn.log) continue;
        if (turn.has_ended) break;
        if (turn.wants_input) {
            answer_flush(&work->answer);
            exchange_give(work->exchange, work->buffer,
                          work->has_body && !work->is_lost ? ap_get_client_block(work->r, work->buffer, EXCHANGE_ROOM) : 0);
        } else {
            wait_for_either(work);
        }
    }
    log_end(&work->log, work->r);
}

/* What became of it. */
static int judge(struct work *work, const char **next) {
    int64_t guest_code = zvm_session_guest_code(work->session);
    if (work->answer.status) return work->answer.status;
    if (work->is_lost) {
        /* A client that only ended its own side would take an answer without a body for a success. */
        work->r->connection->aborted = 1;
        return OK;
    }
    if (zvm_session_exit_code(work->session) != 0) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, work->r, "zvm: %s", zvm_session_state(work->session));
        return answer_break(&work->answer, HTTP_INTERNAL_SERVER_ERROR);
    }
    if (guest_code > 0) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, work->r, "zvm: the guest exited with %" APR_INT64_T_FMT, (apr_int64_t)guest_code);
        return answer_break(&work->answer, HTTP_INTERNAL_SERVER_ERROR);
    }
    return answer_end(&work->answer, next);
}

/* So many run already that this one cannot. */
static int refuse(request_rec *r) {
    apr_table_setn(r->err_headers_out, "Retry-After", "1");
    return HTTP_SERVICE_UNAVAILABLE;
}

/* Runs a session. Its channels lead to the request's thread, which waits here. `next`: as answer_end sets it. */
static int run(request_rec *r, struct site *site, const char **next) {
    struct work *work = apr_pcalloc(r->pool, sizeof *work);
    zvfs_error err = {.struct_size = sizeof err};
    int32_t code;
    int status = HTTP_INTERNAL_SERVER_ERROR;
    work->r = r;
    work->has_body = ap_should_client_block(r);
    work->exchange = exchange_make();
    answer_begin(&work->answer, r);
    if (!work->exchange) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, APR_FROM_OS_ERROR(errno), r, "zvm: make a session's buffers");
        return status;
    }
    if (site_session(site, host, &work->session, &err)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "zvm: %s: %s", site->file, err.message);
        exchange_release(work->exchange);
        return status;
    }
    apr_table_do(add_variable, work->session, r->subprocess_env, NULL);
    if ((code = exchange_start(work->exchange, work->session, &err))) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "zvm: %s: %s", site->file, err.message);
        if (code == -ZVFS_EMFILE) status = refuse(r);
    } else {
        exchange_all(work);
        apr_table_set(r->notes, "zvm-report", zvm_session_report(work->session, ZVM_REPORT_LINE));
        status = judge(work, next);
    }
    zvm_session_free(work->session);
    exchange_release(work->exchange);
    return status;
}

/* Gives a request the variables of a CGI program. */
static void describe(request_rec *r) {
    const char *set = apr_table_get(r->subprocess_env, "LD_LIBRARY_PATH"); /* by the configuration */
    ap_add_common_vars(r);
    ap_add_cgi_vars(r);
    /* The guest gets the body without it. */
    apr_table_unset(r->subprocess_env, "HTTP_TRANSFER_ENCODING");
    /* Apache passes its own, by which a CGI program finds libraries, and a guest finds none. */
    apr_table_unset(r->subprocess_env, "LD_LIBRARY_PATH");
    if (set) apr_table_setn(r->subprocess_env, "LD_LIBRARY_PATH", set);
}

static int handle(request_rec *r) {
    const struct place_settings *settings;
    const char *next = NULL;
    int status, sessions, queue;
    if (!r->handler || strcmp(r->handler, "zvm-handler") != 0) return DECLINED;
    settings = ap_get_module_config(r->per_dir_config, &zvm_module);
    if (no_host) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "zvm: this process can run no guest: %s", no_host);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (!settings->site) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "zvm: no ZvmManifest applies to %s", r->uri);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    sessions = place_sessions(settings);
    queue = place_queue(settings);
    if ((status = ap_setup_client_block(r, REQUEST_CHUNKED_DECHUNK)) != OK) return status;
    if (!site_enter(settings->site, sessions, queue, r->server->timeout, is_gone, r->connection)) {
        if (is_gone(r->connection)) {
            r->connection->aborted = 1;
            return OK;
        }
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "zvm: %d sessions run and %d requests wait: refused", sessions, queue);
        return refuse(r);
    }
    describe(r);
    status = run(r, settings->site, &next);
    site_leave(settings->site);
    return next ? answer_follow(r, next) : status;
}

/* At the child's end, when no request is left: providers deliver what was ended. */
static apr_status_t free_host(void *unused) {
    (void)unused;
    zvm_host_free(host);
    return APR_SUCCESS;
}

/* Requests that wait for a compiler would keep a child from its end for as long as that takes. One that ends gracefully answers them. */
static void stop_child(apr_pool_t *pool, int is_graceful) {
    (void)pool;
    if (is_graceful) return;
    for (const struct named_site *named = server_settings.sites; named; named = named->next) site_stop(named->site);
}

/* How many requests a child may answer at a time: each has a thread, of the server's or, over HTTP/2, of that module's, which has half as
 * many again unless it is told otherwise. */
static uint64_t jobs(void) {
    enum { MOST = 4096 }; /* libzvm's limit */
    int threads = 0;
    if (ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) != APR_SUCCESS || threads < 1) threads = 1;
    return threads < MOST / 2 ? 2 * (uint64_t)threads : MOST;
}

/* Where a child has no room for it, memory is not kept for the next session: slower, and nothing else. */
static int32_t make_host(zvm_host_options *options, server_rec *server, zvfs_error *err) {
    int32_t code = zvm_host_new(options, &host, err);
    if (code != -ZVFS_ENOMEM) return code;
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, server, "zvm: %s: each session maps its own", err->message);
    options->flags = 0;
    return zvm_host_new(options, &host, err);
}

static void start_child(apr_pool_t *pool, server_rec *server) {
    zvm_host_options options = settings_host();
    zvfs_error err = {.struct_size = sizeof err};
    options.jobs = jobs();
    options.flags = ZVM_HOST_POOLED;
    if (make_host(&options, server, &err)) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, server, "zvm: %s: no guest can run", err.message);
        no_host = apr_pstrdup(pool, err.message);
    } else {
        apr_pool_cleanup_register(pool, NULL, free_host, apr_pool_cleanup_null);
    }
}

/* The configuration is read again: what it does not name is not set. */
static int forget_settings(apr_pool_t *configuration, apr_pool_t *log, apr_pool_t *temporary) {
    (void)configuration, (void)log, (void)temporary;
    memset(&server_settings, 0, sizeof server_settings);
    return OK;
}

static void register_hooks(apr_pool_t *pool) {
    (void)pool;
    ap_hook_pre_config(forget_settings, NULL, NULL, APR_HOOK_MIDDLE);
    /* When the MPM has looked at its own numbers. */
    ap_hook_check_config(checks_run, NULL, NULL, APR_HOOK_LAST);
    ap_hook_child_init(start_child, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_stopping(stop_child, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(handle, NULL, NULL, APR_HOOK_MIDDLE);
}

__attribute__((visibility("default"))) module AP_MODULE_DECLARE_DATA zvm_module = {
    STANDARD20_MODULE_STUFF, place_settings_make, place_settings_merge, NULL, NULL, zvm_directives, register_hooks, 0};
