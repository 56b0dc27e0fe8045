/* SPDX-License-Identifier: Apache-2.0
 * A line that is long but not narrow, between two network namespaces: each packet arrives a fixed time after it was sent. It does what
 * netem does where the kernel has none. netpipe.rs builds it; it needs root.
 *
 *     line MILLISECONDS
 *
 * Prints where the namespaces are, /proc/PID/fd/N twice, one of which has 10.77.0.1 and the other 10.77.0.2, and stays until its input
 * ends. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* A packet, and how many are on the way at most: 300 MB. More are lost, as on any line. */
enum { PACKET = 9000, PACKETS = 32 << 10 };

struct packet {
    uint64_t due;
    ssize_t size;
    char bytes[PACKET];
};

/* One way. */
struct way {
    int from, to;
    struct packet *packets;
    size_t first, count;
    pthread_mutex_t lock;
    pthread_cond_t more;
};

static uint64_t delay;

static uint64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void *take(void *argument)
{
    struct way *way = argument;
    char lost[PACKET];

    for (;;) {
        struct packet *packet;
        size_t count;

        pthread_mutex_lock(&way->lock);
        count = way->count;
        packet = &way->packets[(way->first + count) % PACKETS];
        pthread_mutex_unlock(&way->lock);
        if (count == PACKETS) {
            if (read(way->from, lost, sizeof lost) < 0)
                return NULL;
            continue;
        }
        packet->size = read(way->from, packet->bytes, sizeof packet->bytes);
        if (packet->size < 0)
            return NULL;
        packet->due = now() + delay;
        pthread_mutex_lock(&way->lock);
        way->count++;
        pthread_cond_signal(&way->more);
        pthread_mutex_unlock(&way->lock);
    }
}

static void *give(void *argument)
{
    struct way *way = argument;

    for (;;) {
        struct packet *packet;
        struct timespec due;

        pthread_mutex_lock(&way->lock);
        while (way->count == 0)
            pthread_cond_wait(&way->more, &way->lock);
        packet = &way->packets[way->first];
        pthread_mutex_unlock(&way->lock);
        due.tv_sec = (time_t)(packet->due / 1000000000);
        due.tv_nsec = (long)(packet->due % 1000000000);
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
        /* What the other side's queue does not take is lost. */
        if (write(way->to, packet->bytes, (size_t)packet->size) < 0) {
        }
        pthread_mutex_lock(&way->lock);
        way->first = (way->first + 1) % PACKETS;
        way->count--;
        pthread_mutex_unlock(&way->lock);
    }
    return NULL;
}

/* Moves this process into a new namespace, and gives the end of the line in it. */
static int end(int number, int *name_space)
{
    struct ifreq device = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    char command[200];
    int tun;

    if (unshare(CLONE_NEWNET) != 0 || (tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC)) < 0)
        return -1;
    strcpy(device.ifr_name, "line");
    if (ioctl(tun, TUNSETIFF, &device) != 0)
        return -1;
    snprintf(command, sizeof command,
             "ip link set lo up && ip address add 10.77.0.%d/30 dev line && ip link set line mtu %d txqueuelen 10000 up", number, PACKET);
    *name_space = open("/proc/self/ns/net", O_RDONLY);
    return *name_space < 0 || system(command) != 0 ? -1 : tun;
}

static int start(struct way *way, int from, int to)
{
    pthread_t taking, giving;

    *way = (struct way){from, to, calloc(PACKETS, sizeof *way->packets), 0, 0, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER};
    return way->packets == NULL || pthread_create(&taking, NULL, take, way) != 0 || pthread_create(&giving, NULL, give, way) != 0;
}

int main(int argc, char **argv)
{
    static struct way there, back;
    int left, right, name_spaces[2];

    if (argc != 2)
        return 2;
    delay = strtoull(argv[1], NULL, 10) * 1000000;
    left = end(1, &name_spaces[0]);
    right = left < 0 ? -1 : end(2, &name_spaces[1]);
    if (right < 0) {
        perror("line");
        return 1;
    }
    if (start(&there, left, right) != 0 || start(&back, right, left) != 0)
        return 1;
    printf("/proc/%d/fd/%d /proc/%d/fd/%d\n", getpid(), name_spaces[0], getpid(), name_spaces[1]);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}
