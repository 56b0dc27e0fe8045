/* SPDX-License-Identifier: Apache-2.0
 * The threads that run sessions, and the queue before them. */
#ifndef ZVM_POOL_H
#define ZVM_POOL_H

#include "call.h"
#include <stdbool.h>

/* Starts the threads. Returns 0 or an errno number. */
int pool_start(unsigned threads, unsigned queue);

/* Says how much nicer than the server its threads are, and whatever else of the module's computes. */
void pool_set_niceness(int by);

/* Makes the calling thread, and those that it starts, so much nicer. */
void pool_be_nice(void);

/* Whether the system lets a process of this server be nicer than it is: under a filter of system calls that may end it, which a process
 * made for that finds out. */
bool pool_may_be_nice(void);

/* Whether another call would be one too many. */
bool pool_is_full(void);

/* Takes over a call, which no full pool is given. On Redis's thread only. */
void pool_add(struct call *call);

/* Calls that wait. */
unsigned pool_waiting(void);

/* Ends the threads once no call is left. */
void pool_stop(void);

#endif
