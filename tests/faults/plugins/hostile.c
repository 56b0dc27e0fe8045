/* SPDX-License-Identifier: Apache-2.0
 * `hostile:<call>/<deed>`: does the deed in that call, and keeps the rules in the others. ARGUMENT is the path or port that a deed needs.
 * With AT_LOAD, AT_START or AT_STOP the deed of that name is done there. With SUMMARY it has so many bytes of summary. */
#include "zvfs_provider.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef ARGUMENT
#define ARGUMENT ""
#endif

struct zvfs_file {
    char what[64];
};

static char the_instance;
static const zvfs_host_waiting *says;
static zvfs_context *last_opened;

/* Opens a file and returns how that went. */
static int opened(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0) return -errno;
    close(fd);
    return 0;
}

static int connected(void) {
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(ARGUMENT)) };
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) < 0 ? -errno : 0;
    if (fd >= 0) close(fd);
    return result;
}

/* Takes memory until there is none, and gives it back. */
static int greedy(void) {
    size_t piece = 1 << 20;
    void **last = NULL, **next;
    while ((next = malloc(piece))) {
        memset(next, 1, piece);
        *next = last;
        last = next;
    }
    while (last) {
        next = *last;
        free(last);
        last = next;
    }
    return -ENOMEM;
}

static int leaking(void) {
    while (open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0) { }
    return -errno;
}

/* Forks for ever, where it can. */
static int forking(void) {
    while (fork() >= 0) { }
    return -errno;
}

/* Says on every socket what is no message, with more descriptors than any may have. */
static int lying(void) {
    char packet[64];
    memset(packet, 0xff, sizeof packet);
    union { char bytes[CMSG_SPACE(8 * sizeof(int))]; struct cmsghdr aligned; } beside = { .bytes = { 0 } };
    struct iovec text = { packet, sizeof packet };
    struct msghdr message = { .msg_iov = &text, .msg_iovlen = 1, .msg_control = &beside, .msg_controllen = sizeof beside };
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(8 * sizeof(int));
    memset(CMSG_DATA(rights), 0, 8 * sizeof(int));
    for (int fd = 3; fd < 256; fd++) sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return 0;
}

/* Says so much on every socket that nobody can read all of it. */
static int flooding(void) {
    for (int again = 0; again < 100000; again++)
        for (int fd = 3; fd < 16; fd++) send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    return 0;
}

/* Says on the control socket, 3, what is a message of the protocol's. */
static void say(const char *message, size_t length) {
    while (send(3, message, length, MSG_NOSIGNAL) < 0 && errno == EINTR) { }
}

/* Asks for connection after connection, as any thread of a provider's may, and then writes a line of its log. */
static int needy(void) {
    for (int again = 0; again < 20000; again++) say("\3", 1);
    say("\2\24\5asked", 8);
    return 0;
}

/* Says in the middle of its life what is said before anything is loaded, and waits for what becomes of it. */
static int beginning_again(const char *message, size_t length) {
    say(message, length);
    for (;;) pause();
}

/* Says what it waits for, again and again, and with a pause if it is to be slow. */
static int chattering(int slow) {
    for (;;) {
        says->waits_for(last_opened, "nothing", NULL);
        if (slow) usleep(20000);
    }
}

/* Changes the flags of standard output, which are not its own. */
static int unblocking(void) {
    return fcntl(STDOUT_FILENO, F_SETFL, O_APPEND | O_NONBLOCK) < 0 ? -errno : 0;
}

/* Ends the connections, which calls go through, and lives on: 3 to 5 are the control socket, the supervisor's and a pidfd. */
static int hanging_up(void) {
    for (int fd = 6; fd < 256; fd++) shutdown(fd, SHUT_RDWR);
    return 0;
}

static int closing(void) {
    for (int fd = 3; fd < 256; fd++) close(fd);
    return 0;
}

static int did(const char *deed) {
    if (strcmp(deed, "abort") == 0) abort();
    if (strcmp(deed, "crash") == 0) *(volatile int *)8 = 1;
    if (strcmp(deed, "exit") == 0) exit(3);
    if (strcmp(deed, "leave") == 0) _exit(4);
    if (strcmp(deed, "loop") == 0) for (volatile int again = 1; again; ) { }
    if (strcmp(deed, "memory") == 0) return greedy();
    if (strcmp(deed, "leak") == 0) return leaking();
    if (strcmp(deed, "fork") == 0) return forking();
    if (strcmp(deed, "lie") == 0) return lying();
    if (strcmp(deed, "flood") == 0) return flooding();
    if (strcmp(deed, "need") == 0) return needy();
    if (strcmp(deed, "hello") == 0) return beginning_again("\0\1", 2);
    if (strcmp(deed, "no-walls") == 0) return beginning_again("\1\32\0\10trust me", 12);
    if (strcmp(deed, "chatter") == 0) return chattering(0);
    if (strcmp(deed, "murmur") == 0) return chattering(1);
    if (strcmp(deed, "unblock") == 0) return unblocking();
    if (strcmp(deed, "hang-up") == 0) return hanging_up();
    if (strcmp(deed, "close") == 0) return closing();
    if (strcmp(deed, "connect") == 0) return connected();
    if (strcmp(deed, "spy") == 0) return opened(ARGUMENT, O_RDONLY);
    if (strcmp(deed, "write") == 0) return opened(ARGUMENT, O_WRONLY | O_CREAT | O_TRUNC);
    return 0;
}

/* Whether the deed is of this call, and then how it went. */
static int in(const char *what, const char *call, zvfs_error *err) {
    size_t length = strlen(call);
    if (strncmp(what, call, length) != 0 || what[length] != '/') return 0;
    int result = did(what + length + 1);
    return result < 0 && err ? zvfs_fail(err, -result, strerror(-result)) : result;
}

#ifdef AT_LOAD
__attribute__((constructor)) static void construct(void) { did(AT_LOAD); }
#endif
#ifdef SUMMARY
static char summary_[SUMMARY];
__attribute__((constructor)) static void say_much(void) { memset(summary_, 's', sizeof summary_ - 1); }
#else
#define summary_ NULL
#endif

static int32_t ZVFS_CALL start(const zvfs_host *host, const zvfs_value *const *settings, zvfs_instance **out,
                               zvfs_error *err) {
    (void)settings, (void)err;
    says = host->extension(host, ZVFS_EXT_HOST_WAITING);
    *out = (zvfs_instance *)&the_instance;
#ifdef AT_START
    did(AT_START);
#endif
    return 0;
}
#ifdef AT_STOP
static void ZVFS_CALL stop_(zvfs_instance *instance) {
    (void)instance;
    did(AT_STOP);
}
#else
#define stop_ NULL
#endif
static int32_t ZVFS_CALL open_(zvfs_instance *instance, const zvfs_open_request *request, zvfs_file **out,
                               zvfs_error *err) {
    (void)instance;
    last_opened = request->context;
    int result = in(request->rest, "open", err);
    if (result < 0) return result;
    zvfs_file *file = calloc(1, sizeof *file);
    if (!file) return zvfs_fail(err, ZVFS_ENOMEM, "out of memory");
    strncpy(file->what, request->rest, sizeof file->what - 1);
    *out = file;
    return 0;
}
static void ZVFS_CALL close_(zvfs_file *file) {
    in(file->what, "close", NULL);
    free(file);
}
static int64_t ZVFS_CALL read_(zvfs_file *file, void *buf, uint64_t n, zvfs_error *err) {
    int result = in(file->what, "read", err);
    if (result < 0) return result;
    memset(buf, 'r', n);
    return (int64_t)n;
}
static int64_t ZVFS_CALL write_(zvfs_file *file, const void *buf, uint64_t n, zvfs_error *err) {
    (void)buf;
    int result = in(file->what, "write", err);
    return result < 0 ? result : (int64_t)n;
}
static int64_t ZVFS_CALL seek(zvfs_file *file, int64_t offset, uint32_t whence, zvfs_error *err) {
    (void)whence;
    int result = in(file->what, "seek", err);
    return result < 0 ? result : offset;
}
static int64_t ZVFS_CALL tell(zvfs_file *file, zvfs_error *err) { return in(file->what, "tell", err); }
static int32_t ZVFS_CALL truncate_(zvfs_file *file, uint64_t size, zvfs_error *err) {
    (void)size;
    return in(file->what, "truncate", err);
}
static int32_t ZVFS_CALL flush(zvfs_file *file, uint32_t level, zvfs_error *err) {
    (void)level;
    return in(file->what, "flush", err);
}
static int32_t ZVFS_CALL finish(zvfs_file *file, uint32_t how, zvfs_error *err) {
    return how == ZVFS_FINISH_COMMIT ? in(file->what, "commit", err) : 0;
}
static uint64_t ZVFS_CALL capabilities(zvfs_file *file) {
    (void)file;
    return ZVFS_CAP_READABLE | ZVFS_CAP_WRITABLE | ZVFS_CAP_SEEKABLE | ZVFS_CAP_TRUNCATABLE | ZVFS_CAP_STAT;
}
static int32_t ZVFS_CALL stat_(zvfs_file *file, zvfs_stat *out, zvfs_error *err) {
    (void)out;
    return in(file->what, "stat", err);
}
static const zvfs_stat_extension stat_extension = { sizeof stat_extension, stat_ };

static int32_t ZVFS_CALL name_stat(zvfs_instance *instance, const zvfs_open_request *request, zvfs_stat *out,
                                   zvfs_error *err) {
    (void)instance, (void)out;
    return in(request->rest, "name-stat", err);
}
static int32_t ZVFS_CALL list(zvfs_instance *instance, const zvfs_open_request *request, zvfs_entry_fn each, void *arg,
                              zvfs_error *err) {
    zvfs_entry entry = { sizeof entry, "first", NULL };
    (void)instance;
    each(arg, &entry);
    return in(request->rest, "list", err);
}
static int32_t ZVFS_CALL remove_(zvfs_instance *instance, const zvfs_open_request *request, zvfs_error *err) {
    (void)instance;
    return in(request->rest, "remove", err);
}
static const zvfs_namespace namespace_ = { sizeof namespace_, name_stat, list, remove_ };

static const void *ZVFS_CALL extension(const char *id) {
    if (strcmp(id, ZVFS_EXT_STAT) == 0) return &stat_extension;
    return strcmp(id, ZVFS_EXT_NAMESPACE) == 0 ? &namespace_ : NULL;
}
static const char *const schemes[] = { NAME, NULL };
static const zvfs_provider provider = { .struct_size = sizeof provider, .name = NAME, .summary = summary_, .schemes = schemes,
    .supported_flags = ZVFS_OPEN_READ | ZVFS_OPEN_WRITE, .threads = ZVFS_THREADS_PER_FILE, .start = start, .stop = stop_, .open = open_,
    .finish = finish, .close = close_, .read = read_, .write = write_, .seek = seek, .tell = tell, .truncate = truncate_,
    .flush = flush, .capabilities = capabilities, .extension = extension };
ZVFS_EXPORT const zvfs_provider *ZVFS_CALL zvfs_provider_v1(void) { return &provider; }
