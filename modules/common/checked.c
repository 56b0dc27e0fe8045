/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pipe2, initgroups */
#endif
#include "checked.h"
#include "compiler.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* More than zvm_session_check takes for one place. */
enum { WAIT_SECONDS = 70 };

/* It goes through a pipe in one piece. */
_Static_assert(sizeof(struct checked_fault) <= PIPE_BUF, "a fault has to fit into a pipe");

unsigned long checked_line(const char **message) {
    static const char word[] = "MANIFEST ";
    unsigned long line;
    char *end;
    if (strncmp(*message, word, sizeof word - 1) != 0) return 0;
    line = strtoul(*message + sizeof word - 1, &end, 10);
    if (strncmp(end, ": ", 2) != 0) return 0;
    *message = end + 2;
    return line;
}

/* ---- The process ------------------------------------------------------------------------------------------------ */

/* What of a host's options is at fault when it cannot be made. */
static enum checked_part part_of_host(const zvm_host_options *options) {
    zvm_host_options one = {.struct_size = sizeof one, .configuration = options->configuration};
    zvm_host *host;
    if (zvm_host_new(&one, &host, NULL)) return CHECKED_CONFIGURATION;
    zvm_host_free(host);
    return CHECKED_CACHE;
}

/* What a check's failure is about, in a message without a line of the manifest. */
static enum checked_part part_of(zvm_host *host, int32_t code) {
    return code == -ZVFS_EIO && compiler_check(host, NULL) ? CHECKED_WORKER : CHECKED_PROGRAM;
}

/* The library says which folders it has searched, and cannot know who would name them. */
static void say_who_configures(const struct checked_place *place, zvfs_error *err) {
    size_t size = strlen(err->message);
    if (place->host.configuration || err->code != ZVFS_EPROTONOSUPPORT) return;
    snprintf(err->message + size, sizeof err->message - size, "; no operator's file is named here: set %s", place->configured_by);
}

static enum checked_part check_place(const struct checked_place *place, unsigned long *line, zvfs_error *err) {
    zvm_session_options options = {.struct_size = sizeof options};
    const char *message = err->message;
    zvm_session *session;
    enum checked_part part = CHECKED_NOTHING;
    int32_t code;
    if (zvm_host_new(&place->host, &options.host, err)) return part_of_host(&place->host);
    if (!place->manifest) {
        if (compiler_check(options.host, err)) part = CHECKED_WORKER;
    } else if (zvm_session_new(place->manifest, place->manifest_size, &options, &session, err)) {
        part = CHECKED_MANIFEST;
    } else {
        code = place->program ? zvm_session_program(session, place->program, place->program_size, err) : 0;
        if (!code) code = compiler_supply(session, err);
        if (!code) code = zvm_session_check(session, err);
        if (code) {
            part = checked_line(&message) ? CHECKED_MANIFEST : part_of(options.host, code);
            say_who_configures(place, err);
        }
        zvm_session_free(session);
    }
    zvm_host_free(options.host);
    if (part == CHECKED_MANIFEST) {
        message = err->message;
        *line = checked_line(&message);
        memmove(err->message, message, strlen(message) + 1);
    }
    return part;
}

/* Nothing of the server's is called any more: neither its signal handlers nor what it does at an exit. */
static void take_rights(const struct checked_user *user) {
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        if (number != SIGPIPE) signal(number, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (user->name && (initgroups(user->name, user->gid) || setgid(user->gid) || setuid(user->uid))) _exit(1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

_Noreturn static void check_in_child(int out, const struct checked_place *places, size_t count, const struct checked_user *user) {
    struct checked_fault fault = {.part = CHECKED_NOTHING};
    take_rights(user);
    for (size_t i = 0; i < count && fault.part == CHECKED_NOTHING; i++) {
        zvfs_error err = {.struct_size = sizeof err};
        fault.place = i;
        fault.part = check_place(&places[i], &fault.line, &err);
        snprintf(fault.text, sizeof fault.text, "%s", err.message);
    }
    if (write(out, &fault, sizeof fault) != (ssize_t)sizeof fault) _exit(1);
    _exit(0);
}

/* ---- The server ------------------------------------------------------------------------------------------------- */

static struct checked_fault not_done(const char *doing, int error) {
    struct checked_fault fault = {.part = CHECKED_ITSELF};
    snprintf(fault.text, sizeof fault.text, "%s%s%s", doing, error ? ": " : "", error ? strerror(error) : "");
    return fault;
}

/* Waits until there is something to read. False: not in time. */
static bool waits(int in, size_t count) {
    struct pollfd fd = {.fd = in, .events = POLLIN};
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (time_t end = now.tv_sec + (time_t)(WAIT_SECONDS * (count ? count : 1)); now.tv_sec < end; clock_gettime(CLOCK_MONOTONIC, &now))
        if (poll(&fd, 1, 1000) > 0) return true;
    return false;
}

struct checked_fault check_places(const struct checked_place *places, size_t count, const struct checked_user *user) {
    struct checked_fault fault;
    int ends[2];
    ssize_t got = -1;
    pid_t child;
    if (pipe2(ends, O_CLOEXEC)) return not_done("make a pipe", errno);
    child = fork();
    if (child == 0) check_in_child(ends[1], places, count, user);
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        return not_done("start a process", errno);
    }
    if (waits(ends[0], count)) got = read(ends[0], &fault, sizeof fault);
    close(ends[0]);
    kill(child, SIGKILL); /* it has said what it had to say, or never will */
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
    if (got == (ssize_t)sizeof fault) return fault;
    return not_done(got < 0 ? "the process that checks has not answered" : "the process that checks has ended without an answer", 0);
}
