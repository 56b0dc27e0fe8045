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

/* One of the pool's, and how it is woken. */
struct worker {
    pthread_t thread;
    pthread_cond_t woken;
    struct worker *next_asleep;
    bool asleep;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* Under the lock. The thread that fell asleep last is woken first: what it works with is in a core's caches still. A condition variable of
 * all would wake the one that has slept longest, and the calls of one client after the other would go round all threads. */
static struct call *first, **last = &first;
static struct worker *asleep;
static unsigned waiting, idle;
static bool stopping;

/* Set before there are threads. */
static struct worker *workers;
static unsigned worker_count, queue_limit;
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

/* Under the lock, which it lets go of meanwhile. */
static void wait_for_a_call(struct worker *self) {
    self->next_asleep = asleep;
    self->asleep = true;
    asleep = self;
    while (self->asleep) pthread_cond_wait(&self->woken, &lock);
}

/* Under the lock. */
static void wake_one(void) {
    struct worker *woken = asleep;
    if (!woken) return;
    asleep = woken->next_asleep;
    woken->asleep = false;
    pthread_cond_signal(&woken->woken);
}

static void *work(void *arg) {
    struct worker *self = arg;
    pool_be_nice();
    pthread_mutex_lock(&lock);
    for (;;) {
        struct call *call;
        idle++;
        while (!first && !stopping) wait_for_a_call(self);
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
    worker_count = 0;
    workers = calloc(count, sizeof *workers);
    if (!workers) return ENOMEM;
    block_signals(&before);
    while (worker_count < count && !failed) {
        struct worker *worker = &workers[worker_count];
        pthread_cond_init(&worker->woken, NULL);
        failed = pthread_create(&worker->thread, NULL, work, worker);
        if (failed)
            pthread_cond_destroy(&worker->woken);
        else
            worker_count++;
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
    wake_one();
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
    while (asleep) wake_one();
    pthread_mutex_unlock(&lock);
    for (unsigned i = 0; i < worker_count; i++) {
        pthread_join(workers[i].thread, NULL);
        pthread_cond_destroy(&workers[i].woken);
    }
    free(workers);
    workers = NULL;
    worker_count = 0;
}
