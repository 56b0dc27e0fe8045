/* SPDX-License-Identifier: Apache-2.0 */
#include "ngx_http_zvm.h"
#include <sys/eventfd.h>

/* What may be on its way in each direction. The guest's writes wait when it is full. */
#define NGX_HTTP_ZVM_BODY      (64 * 1024)
#define NGX_HTTP_ZVM_ANSWER    (128 * 1024)
#define NGX_HTTP_ZVM_MESSAGES  (8 * 1024)
/* How many jobs that are over are kept for the next ones, with their locks and a little of their memory. */
#define NGX_HTTP_ZVM_SPARE     64


static void ngx_http_zvm_jobs_wake(ngx_event_t *ev);
static void ngx_http_zvm_jobs_start(ngx_event_t *ev);
static ngx_http_zvm_job_t *ngx_http_zvm_job_take(ngx_http_request_t *r);
static void ngx_http_zvm_job_destroy(ngx_http_zvm_job_t *job);
static void ngx_http_zvm_job_notify(ngx_http_zvm_job_t *job);
static void ngx_http_zvm_job_settle(ngx_http_zvm_job_t *job, ngx_uint_t reported);

static int64_t ZVFS_CALL ngx_http_zvm_job_read(void *arg, void *buf, uint64_t n);
static int64_t ZVFS_CALL ngx_http_zvm_job_write(void *arg, const void *buf, uint64_t n);
static int64_t ZVFS_CALL ngx_http_zvm_job_message(void *arg, const void *buf, uint64_t n);
static void ZVFS_CALL ngx_http_zvm_job_stopped(void *arg);
static void ZVFS_CALL ngx_http_zvm_job_closed(void *arg);
static void ZVFS_CALL ngx_http_zvm_job_ended(void *arg);


/* The jobs with news, first come first served, and what wakes the event loop for them. */
static struct {
    pthread_mutex_t       lock;
    ngx_http_zvm_job_t   *first;
    ngx_http_zvm_job_t  **last;
    unsigned              leaving:1; /* the worker: nobody is woken any more */
    int                   fd;
    ngx_connection_t     *connection;
} news = { .lock = PTHREAD_MUTEX_INITIALIZER, .last = &news.first };

/* The event loop's alone, by their `next`. */
static struct {
    ngx_http_zvm_job_t  *first;
    ngx_uint_t           n;
} spare;

/* The same: those that are to start once the event loop has looked at all events that came together. Their threads wake up once for all of
 * them, and not once for each, which costs as much as a small session. */
static struct {
    ngx_http_zvm_job_t   *first;
    ngx_http_zvm_job_t  **last;
    ngx_event_t           event;
} starting = { .last = &starting.first };


ngx_int_t
ngx_http_zvm_jobs_init(ngx_cycle_t *cycle)
{
    ngx_connection_t  *c;

    news.fd = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);
    if (news.fd == -1) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno, "zvm: eventfd() failed");
        return NGX_ERROR;
    }

    c = ngx_get_connection(news.fd, cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = c;
    c->read->handler = ngx_http_zvm_jobs_wake;
    c->read->log = cycle->log;
    c->write->log = cycle->log;
    news.connection = c;

    starting.event.handler = ngx_http_zvm_jobs_start;
    starting.event.log = cycle->log;

    return ngx_add_event(c->read, NGX_READ_EVENT, NGX_CLEAR_EVENT);
}


/* Sessions may still run, and end later: the list stays, and the descriptor too, for the little that is left of the process, since its
 * number must not become another's while a thread is about to write to it. */
void
ngx_http_zvm_jobs_exit(void)
{
    ngx_http_zvm_job_t  *job;

    while (spare.first != NULL) {
        job = spare.first;
        spare.first = job->next;
        ngx_http_zvm_job_destroy(job);
    }

    /* Whatever ends later is not kept. */
    spare.n = NGX_HTTP_ZVM_SPARE;

    pthread_mutex_lock(&news.lock);
    news.leaving = 1;
    pthread_mutex_unlock(&news.lock);

    if (news.connection != NULL) {
        ngx_free_connection(news.connection);
        news.connection->fd = (ngx_socket_t) -1;
        news.connection = NULL;
    }
}


static void
ngx_http_zvm_jobs_wake(ngx_event_t *ev)
{
    uint64_t             count;
    ngx_connection_t    *c;
    ngx_http_zvm_job_t  *job, *batch;

    c = ev->data;

    /* Nonblocking; how often it was written does not matter. */
    if (read(c->fd, &count, sizeof(count)) == -1 && ngx_errno != NGX_EAGAIN) {
        ngx_log_error(NGX_LOG_ALERT, ev->log, ngx_errno, "zvm: read() of an eventfd failed");
    }

    /* What comes meanwhile has its turn after the other events: a guest that writes all the time must not keep the loop. */
    pthread_mutex_lock(&news.lock);
    batch = news.first;
    news.first = NULL;
    news.last = &news.first;
    pthread_mutex_unlock(&news.lock);

    while (batch != NULL) {
        pthread_mutex_lock(&news.lock);
        job = batch;
        batch = job->next;
        job->listed = 0;
        job->ended = job->reported;
        job->over = (job->pending == 0);
        pthread_mutex_unlock(&news.lock);

        ngx_http_zvm_news(job);
    }

    ngx_http_zvm_compiled(ev->log);
}


/* Under the list's lock. Returns whether the event loop is to be woken. */
static ngx_uint_t
ngx_http_zvm_job_list(ngx_http_zvm_job_t *job)
{
    ngx_uint_t  first;

    if (job->listed || news.leaving) {
        return 0;
    }

    first = (news.first == NULL);

    job->listed = 1;
    job->next = NULL;
    *news.last = job;
    news.last = &job->next;

    return first;
}


/* Without the lock, which the event loop wants next. */
void
ngx_http_zvm_wake(void)
{
    uint64_t  one = 1;

    /* It fails only if it is readable anyway. */
    if (write(news.fd, &one, sizeof(one)) == -1) { /* void */ }
}


static void
ngx_http_zvm_job_notify(ngx_http_zvm_job_t *job)
{
    ngx_uint_t  first;

    pthread_mutex_lock(&news.lock);
    first = ngx_http_zvm_job_list(job);
    pthread_mutex_unlock(&news.lock);

    if (first) {
        ngx_http_zvm_wake();
    }
}


/* One callback less to come. After the last one the event loop may free the job at any time. Those before change nothing that the
 * loop looks at, and need no lock. */
static void
ngx_http_zvm_job_settle(ngx_http_zvm_job_t *job, ngx_uint_t reported)
{
    ngx_uint_t         first;
    ngx_atomic_uint_t  n;

    while (!reported && (n = job->pending) > 1) {
        if (ngx_atomic_cmp_set(&job->pending, n, n - 1)) {
            return;
        }
    }

    pthread_mutex_lock(&news.lock);

    if (reported) {
        job->reported = 1;
    }

    n = ngx_atomic_fetch_add(&job->pending, -1);

    first = (reported || (job->reported && n == 1)) && ngx_http_zvm_job_list(job);

    pthread_mutex_unlock(&news.lock);

    if (first) {
        ngx_http_zvm_wake();
    }
}


/* A job that is nobody's, with its locks and pipes. */
static ngx_http_zvm_job_t *
ngx_http_zvm_job_take(ngx_http_request_t *r)
{
    ngx_http_zvm_job_t  *job;

    job = spare.first;

    if (job != NULL) {
        spare.first = job->next;
        spare.n--;
        return job;
    }

    job = calloc(1, sizeof(ngx_http_zvm_job_t));
    if (job == NULL) {
        ngx_http_zvm_log(NGX_LOG_ERR, r, "no memory for a session");
        return NULL;
    }

    pthread_mutex_init(&job->lock, NULL);
    pthread_cond_init(&job->changed, NULL);
    job->body.size = NGX_HTTP_ZVM_BODY;
    job->answer.size = NGX_HTTP_ZVM_ANSWER;
    job->messages.size = NGX_HTTP_ZVM_MESSAGES;

    return job;
}


ngx_http_zvm_job_t *
ngx_http_zvm_job_create(ngx_http_zvm_guest_t *guest, ngx_http_request_t *r)
{
    ngx_uint_t           i;
    zvfs_error           error;
    ngx_http_zvm_job_t  *job;

    struct {
        const char   *alias;
        zvm_channel   channel;
    } channels[] = {
        { "/dev/stdin", { .read = ngx_http_zvm_job_read } },
        { "/dev/stdout", { .write = ngx_http_zvm_job_write } },
        { "/dev/stderr", { .write = ngx_http_zvm_job_message } },
    };

    if (guest->template == NULL) {
        ngx_http_zvm_log(NGX_LOG_ERR, r, "this worker cannot run \"%V\": %V", &guest->name, &guest->fault);
        return NULL;
    }

    job = ngx_http_zvm_job_take(r);
    if (job == NULL) {
        return NULL;
    }

    job->quiet = 1;
    job->guest = guest;

    if (zvm_template_session(guest->template, &job->session, &error) != 0) {
        goto failed;
    }

    for (i = 0; i < sizeof(channels) / sizeof(channels[0]); i++) {
        channels[i].channel.struct_size = sizeof(zvm_channel);
        channels[i].channel.arg = job;
        channels[i].channel.stop = ngx_http_zvm_job_stopped;
        channels[i].channel.close = ngx_http_zvm_job_closed;

        if (zvm_session_channel(job->session, channels[i].alias, &channels[i].channel, &error) != 0) {
            goto failed;
        }

        job->pending++;
    }

    return job;

failed:

    ngx_http_zvm_log(NGX_LOG_ERR, r, "make a session of \"%V\": %s", &guest->name, error.message);
    ngx_http_zvm_job_free(job);
    return NULL;
}


void
ngx_http_zvm_job_start(ngx_http_zvm_job_t *job)
{
    job->next = NULL;
    *starting.last = job;
    starting.last = &job->next;

    if (!starting.event.posted) {
        ngx_post_event(&starting.event, &ngx_posted_events);
    }
}


static void
ngx_http_zvm_jobs_start(ngx_event_t *ev)
{
    int32_t              code;
    zvfs_error           error;
    ngx_http_zvm_job_t  *job;

    while (starting.first != NULL) {
        job = starting.first;
        starting.first = job->next;

        if (starting.first == NULL) {
            starting.last = &starting.first;
        }

        job->pending++;

        code = zvm_session_start(job->session, ngx_http_zvm_job_ended, job, &error);
        if (code == 0) {
            continue;
        }

        job->pending--;
        ngx_http_zvm_unstarted(job, code == -ZVFS_EMFILE ? NGX_HTTP_SERVICE_UNAVAILABLE : NGX_HTTP_INTERNAL_SERVER_ERROR, error.message);
    }
}


void
ngx_http_zvm_job_stop(ngx_http_zvm_job_t *job)
{
    ngx_http_zvm_job_stopped(job);
    (void) zvm_session_cancel(job->session, NULL);
}


void
ngx_http_zvm_job_free(ngx_http_zvm_job_t *job)
{
    /* Closes the channels of a session that never started. */
    zvm_session_free(job->session);

    if (spare.n == NGX_HTTP_ZVM_SPARE) {
        ngx_http_zvm_job_destroy(job);
        return;
    }

    ngx_http_zvm_pipe_reset(&job->body);
    ngx_http_zvm_pipe_reset(&job->answer);
    ngx_http_zvm_pipe_reset(&job->messages);

    job->stopped = 0;
    job->hungry = 0;
    job->listed = 0;
    job->reported = 0;
    job->pending = 0;
    job->session = NULL;
    job->ended = 0;
    job->over = 0;
    job->settled = 0;
    job->guest = NULL;
    job->ctx = NULL;

    job->next = spare.first;
    spare.first = job;
    spare.n++;
}


static void
ngx_http_zvm_job_destroy(ngx_http_zvm_job_t *job)
{
    ngx_http_zvm_pipe_free(&job->body);
    ngx_http_zvm_pipe_free(&job->answer);
    ngx_http_zvm_pipe_free(&job->messages);
    pthread_cond_destroy(&job->changed);
    pthread_mutex_destroy(&job->lock);
    free(job);
}


/* The callbacks: on the session's thread, but `stopped`. */

static int64_t ZVFS_CALL
ngx_http_zvm_job_read(void *arg, void *buf, uint64_t n)
{
    int64_t              count;
    ngx_uint_t           room;
    ngx_http_zvm_job_t  *job = arg;

    pthread_mutex_lock(&job->lock);

    while (job->body.used == 0 && !job->body.closed && !job->stopped) {
        pthread_cond_wait(&job->changed, &job->lock);
    }

    count = job->stopped ? -ZVFS_ECANCELED
                         : (int64_t) ngx_http_zvm_pipe_take(&job->body, buf, (size_t) n);

    room = job->hungry && job->body.used <= job->body.size / 2;
    if (room) {
        job->hungry = 0;
    }

    pthread_mutex_unlock(&job->lock);

    if (room) {
        ngx_http_zvm_job_notify(job);
    }

    return count;
}


static int64_t
ngx_http_zvm_job_put(ngx_http_zvm_job_t *job, ngx_http_zvm_pipe_t *pipe, const void *buf, uint64_t n)
{
    ssize_t     count;
    ngx_uint_t  news;

    pthread_mutex_lock(&job->lock);

    while (pipe->used == pipe->size && !job->stopped) {
        pthread_cond_wait(&job->changed, &job->lock);
    }

    count = job->stopped ? -ZVFS_ECANCELED : ngx_http_zvm_pipe_put(pipe, buf, (size_t) n);
    news = !job->quiet || pipe->used > pipe->size / 2;

    pthread_mutex_unlock(&job->lock);

    if (count == NGX_ERROR) {
        return -ZVFS_ENOMEM;
    }

    if (news) {
        ngx_http_zvm_job_notify(job);
    }

    return count;
}


static int64_t ZVFS_CALL
ngx_http_zvm_job_write(void *arg, const void *buf, uint64_t n)
{
    ngx_http_zvm_job_t  *job = arg;

    return ngx_http_zvm_job_put(job, &job->answer, buf, n);
}


static int64_t ZVFS_CALL
ngx_http_zvm_job_message(void *arg, const void *buf, uint64_t n)
{
    ngx_http_zvm_job_t  *job = arg;

    return ngx_http_zvm_job_put(job, &job->messages, buf, n);
}


static void ZVFS_CALL
ngx_http_zvm_job_stopped(void *arg)
{
    ngx_http_zvm_job_t  *job = arg;

    pthread_mutex_lock(&job->lock);
    job->stopped = 1;
    pthread_cond_broadcast(&job->changed);
    pthread_mutex_unlock(&job->lock);
}


static void ZVFS_CALL
ngx_http_zvm_job_closed(void *arg)
{
    ngx_http_zvm_job_settle(arg, 0);
}


static void ZVFS_CALL
ngx_http_zvm_job_ended(void *arg)
{
    ngx_http_zvm_job_settle(arg, 1);
}
