/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct exchange {
    pthread_mutex_t lock;
    pthread_cond_t moved; /* for the session's thread */
    int fd;               /* for the request's */
    unsigned holders;     /* the request, the channels, and the call that says the end */
    bool stopped, ended, output_closed, wants_input, input_ended, input_failed;
    size_t output_size, log_size, input_at, input_size;
    char output[EXCHANGE_ROOM], log[EXCHANGE_LOG_ROOM], input[EXCHANGE_ROOM];
};

struct exchange *exchange_make(void) {
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange) return NULL;
    exchange->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (exchange->fd < 0) {
        free(exchange);
        return NULL;
    }
    pthread_mutex_init(&exchange->lock, NULL);
    pthread_cond_init(&exchange->moved, NULL);
    exchange->holders = 1;
    return exchange;
}

/* Lets go of it, with the lock held. */
static void unlock_and_release(struct exchange *exchange) {
    bool last = --exchange->holders == 0;
    pthread_mutex_unlock(&exchange->lock);
    if (!last) return;
    pthread_cond_destroy(&exchange->moved);
    pthread_mutex_destroy(&exchange->lock);
    close(exchange->fd);
    free(exchange);
}

void exchange_release(struct exchange *exchange) {
    pthread_mutex_lock(&exchange->lock);
    unlock_and_release(exchange);
}

int exchange_fd(const struct exchange *exchange) { return exchange->fd; }

/* ---- The session's thread --------------------------------------------------------------------------------------- */

static int64_t ZVFS_CALL read_input(void *arg, void *buf, uint64_t n) {
    struct exchange *exchange = arg;
    int64_t result;
    pthread_mutex_lock(&exchange->lock);
    while (exchange->input_at == exchange->input_size && !exchange->input_ended && !exchange->stopped) {
        exchange->wants_input = true;
        eventfd_write(exchange->fd, 1);
        pthread_cond_wait(&exchange->moved, &exchange->lock);
    }
    if (exchange->stopped) {
        result = -ZVFS_ECANCELED;
    } else if (exchange->input_at < exchange->input_size) {
        size_t left = exchange->input_size - exchange->input_at;
        result = (int64_t)(left < n ? left : n);
        memcpy(buf, exchange->input + exchange->input_at, (size_t)result);
        exchange->input_at += (size_t)result;
    } else {
        result = exchange->input_failed ? -ZVFS_ECONNRESET : 0;
    }
    pthread_mutex_unlock(&exchange->lock);
    return result;
}

/* Waits until there is room for a byte at least. */
static int64_t put(struct exchange *exchange, char *to, size_t *size, size_t room, const void *buf, uint64_t n, const bool *closed) {
    int64_t result;
    pthread_mutex_lock(&exchange->lock);
    while (*size == room && !*closed && !exchange->stopped) pthread_cond_wait(&exchange->moved, &exchange->lock);
    if (exchange->stopped) {
        result = -ZVFS_ECANCELED;
    } else if (*closed) {
        result = -ZVFS_EPIPE;
    } else {
        result = (int64_t)(room - *size < n ? room - *size : n);
        memcpy(to + *size, buf, (size_t)result);
        *size += (size_t)result;
        eventfd_write(exchange->fd, 1);
    }
    pthread_mutex_unlock(&exchange->lock);
    return result;
}

static int64_t ZVFS_CALL write_output(void *arg, const void *buf, uint64_t n) {
    struct exchange *exchange = arg;
    return put(exchange, exchange->output, &exchange->output_size, sizeof exchange->output, buf, n, &exchange->output_closed);
}

static int64_t ZVFS_CALL write_log(void *arg, const void *buf, uint64_t n) {
    static const bool never = false;
    struct exchange *exchange = arg;
    return put(exchange, exchange->log, &exchange->log_size, sizeof exchange->log, buf, n, &never);
}

static void ZVFS_CALL close_channel(void *arg) { exchange_release(arg); }

/* ---- Any thread ------------------------------------------------------------------------------------------------- */

static void ZVFS_CALL stop(void *arg) {
    struct exchange *exchange = arg;
    pthread_mutex_lock(&exchange->lock);
    exchange->stopped = true;
    pthread_cond_broadcast(&exchange->moved);
    pthread_mutex_unlock(&exchange->lock);
}

static void ZVFS_CALL ended(void *arg) {
    struct exchange *exchange = arg;
    pthread_mutex_lock(&exchange->lock);
    exchange->ended = true;
    eventfd_write(exchange->fd, 1);
    unlock_and_release(exchange);
}

/* ---- The request's thread --------------------------------------------------------------------------------------- */

int32_t exchange_start(struct exchange *exchange, zvm_session *session, zvfs_error *err) {
    const zvm_channel form = {.struct_size = sizeof form, .arg = exchange, .close = close_channel, .stop = stop};
    zvm_channel channels[3] = {form, form, form};
    static const char *const aliases[3] = {"/dev/stdin", "/dev/stdout", "/dev/stderr"};
    int32_t code;
    channels[0].read = read_input;
    channels[1].write = write_output;
    channels[2].write = write_log;
    for (int i = 0; i < 3; i++) {
        exchange->holders++;
        if ((code = zvm_session_channel(session, aliases[i], &channels[i], err))) {
            exchange->holders--;
            return code;
        }
    }
    exchange->holders++;
    code = zvm_session_start(session, ended, exchange, err);
    if (code) exchange_release(exchange);
    return code;
}

struct turn exchange_take(struct exchange *exchange, char *buffer) {
    struct turn turn;
    eventfd_t count;
    pthread_mutex_lock(&exchange->lock);
    eventfd_read(exchange->fd, &count);
    turn.output = exchange->output_size;
    turn.log = exchange->log_size;
    turn.wants_input = exchange->wants_input;
    turn.has_ended = exchange->ended;
    memcpy(buffer, exchange->output, turn.output);
    memcpy(buffer + EXCHANGE_ROOM, exchange->log, turn.log);
    exchange->output_size = exchange->log_size = 0;
    if (turn.output || turn.log) pthread_cond_broadcast(&exchange->moved);
    pthread_mutex_unlock(&exchange->lock);
    return turn;
}

void exchange_give(struct exchange *exchange, const char *input, long size) {
    pthread_mutex_lock(&exchange->lock);
    if (size > 0) memcpy(exchange->input, input, (size_t)size);
    exchange->input_at = 0;
    exchange->input_size = size > 0 ? (size_t)size : 0;
    exchange->input_ended = size <= 0;
    exchange->input_failed = size < 0;
    exchange->wants_input = false;
    pthread_cond_broadcast(&exchange->moved);
    pthread_mutex_unlock(&exchange->lock);
}

void exchange_close_output(struct exchange *exchange) {
    pthread_mutex_lock(&exchange->lock);
    exchange->output_closed = true;
    exchange->output_size = 0;
    pthread_cond_broadcast(&exchange->moved);
    pthread_mutex_unlock(&exchange->lock);
}
