/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

/* Under the lock. */
static struct call *first, **last = &first;
static unsigned waiting, idle;
static bool stopping;

/* Set before there are threads. */
static pthread_t *threads;
static unsigned thread_count, queue_limit;
static int niceness;

/* This thread alone, on Linux; the sessions' own threads inherit it. Debian's unit of systemd kills a server that does this. */
static int be_nicer(int by) { return setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), getpriority(PRIO_PROCESS, 0) + by); }

bool pool_may_be_nice(void) {
    int status = -1; /* also where somebody else waits for children */
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_DUMPABLE, 0); /* its end needs no core */
        _exit(be_nicer(1) == 0 ? 0 : 1);
    }
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    return child > 0 && status == 0;
}

void pool_set_niceness(int by) { niceness = by; }

void pool_be_nice(void) {
    if (niceness) be_nicer(niceness);
}

static void *work(void *unused) {
    (void)unused;
    pool_be_nice();
    pthread_mutex_lock(&lock);
    for (;;) {
        struct call *call;
        idle++;
        while (!first && !stopping) pthread_cond_wait(&changed, &lock);
        idle--;
        if (!first) break;
        call = first;
        first = call->next_waiting;
        if (!first) last = &first;
        waiting--;
        pthread_mutex_unlock(&lock);
        call_run(call);
        pthread_mutex_lock(&lock);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* Redis's thread takes the process's signals. Those that a guest's faults raise are the engine's, on the thread where they occur. */
static void block_signals(sigset_t *before) {
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
    sigset_t all;
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_BLOCK, &all, before);
}

int pool_start(unsigned count, unsigned queue) {
    sigset_t before;
    int failed = 0;
    stopping = false;
    queue_limit = queue;
    thread_count = 0;
    threads = calloc(count, sizeof *threads);
    if (!threads) return ENOMEM;
    block_signals(&before);
    while (thread_count < count && !failed) {
        failed = pthread_create(&threads[thread_count], NULL, work, NULL);
        if (!failed) thread_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) pool_stop();
    return failed;
}

bool pool_is_full(void) {
    bool full;
    pthread_mutex_lock(&lock);
    full = waiting >= queue_limit + idle;
    pthread_mutex_unlock(&lock);
    return full;
}

void pool_add(struct call *call) {
    call->next_waiting = NULL;
    pthread_mutex_lock(&lock);
    *last = call;
    last = &call->next_waiting;
    waiting++;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

unsigned pool_waiting(void) {
    unsigned count;
    pthread_mutex_lock(&lock);
    count = waiting;
    pthread_mutex_unlock(&lock);
    return count;
}

void pool_stop(void) {
    pthread_mutex_lock(&lock);
    stopping = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    for (unsigned i = 0; i < thread_count; i++) pthread_join(threads[i], NULL);
    free(threads);
    threads = NULL;
    thread_count = 0;
}
