/* SPDX-License-Identifier: Apache-2.0
 * What a machine allows a pipe through shared memory: a ring and futex(2) between two threads, without frames, checks, cancels, deadlines
 * or a second thing to wait for. netpipe.rs builds it, and measures it against a FIFO beside a netpipe.
 *
 *     ring flow BLOCK TOTAL     TOTAL bytes in writes of BLOCK, one way
 *     ring trips COUNT          64 bytes there on one ring, and back on another
 *
 * Prints what that took, in nanoseconds. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { RING = 256 << 10, READ = 256 << 10, TRIP = 64 };

/* The side of one end: how many bytes it has written or taken, and whether it sleeps until the other's count is another one. */
struct end {
    _Alignas(64) _Atomic uint32_t count;
    _Alignas(64) _Atomic uint32_t sleeps;
};

struct ring {
    struct end writer, reader;
    _Alignas(64) char bytes[RING];
};

static struct ring *rings;
static size_t total;
static long trips;

static void wait_for(_Atomic uint32_t *word, uint32_t known)
{
    syscall(SYS_futex, word, FUTEX_WAIT, known, NULL, NULL, 0);
}

static void wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Says so, looks once more, and sleeps. */
static void sleep_until_changed(struct end *own, struct end *other, uint32_t known)
{
    atomic_store(&own->sleeps, 1);
    if (atomic_load(&other->count) == known)
        wait_for(&other->count, known);
    atomic_store(&own->sleeps, 0);
}

static void put(struct ring *ring, const char *bytes, uint32_t size)
{
    while (size > 0) {
        uint32_t written = atomic_load(&ring->writer.count), taken = atomic_load(&ring->reader.count);
        uint32_t room = RING - (written - taken), at = written % RING, part = size < room ? size : room;

        if (room == 0) {
            sleep_until_changed(&ring->writer, &ring->reader, taken);
            continue;
        }
        if (part > RING - at)
            part = RING - at;
        memcpy(ring->bytes + at, bytes, part);
        bytes += part;
        size -= part;
        atomic_store(&ring->writer.count, written + part);
        if (atomic_load(&ring->reader.sleeps))
            wake(&ring->writer.count);
    }
}

static uint32_t take(struct ring *ring, char *bytes, uint32_t size)
{
    for (;;) {
        uint32_t taken = atomic_load(&ring->reader.count), written = atomic_load(&ring->writer.count);
        uint32_t there = written - taken, at = taken % RING, part = size < there ? size : there;

        if (there == 0) {
            sleep_until_changed(&ring->reader, &ring->writer, written);
            continue;
        }
        if (part > RING - at)
            part = RING - at;
        memcpy(bytes, ring->bytes + at, part);
        atomic_store(&ring->reader.count, taken + part);
        /* A writer is worth waking for half the ring. */
        if (atomic_load(&ring->writer.sleeps) && there - part <= RING / 2)
            wake(&ring->reader.count);
        return part;
    }
}

static void take_all(struct ring *ring, char *bytes, uint32_t size)
{
    for (uint32_t done = 0; done < size;)
        done += take(ring, bytes + done, size - done);
}

static void *drain(void *buffer)
{
    for (size_t done = 0; done < total;)
        done += take(&rings[0], buffer, READ);
    return NULL;
}

static void *echo(void *buffer)
{
    for (long i = 0; i < trips; i++) {
        take_all(&rings[0], buffer, TRIP);
        put(&rings[1], buffer, TRIP);
    }
    return NULL;
}

static uint64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

int main(int argc, char **argv)
{
    int flows = argc == 4 && strcmp(argv[1], "flow") == 0;
    uint32_t block = flows ? (uint32_t)strtoul(argv[2], NULL, 10) : TRIP;
    char *bytes, *theirs;
    pthread_t other;
    uint64_t start;

    if (flows)
        total = strtoull(argv[3], NULL, 10) / block * block;
    else if (argc == 3 && strcmp(argv[1], "trips") == 0)
        trips = strtol(argv[2], NULL, 10);
    else
        return 2;
    rings = mmap(NULL, 2 * sizeof *rings, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    bytes = malloc(block);
    theirs = malloc(READ);
    if (rings == MAP_FAILED || bytes == NULL || theirs == NULL)
        return 1;
    memset(bytes, 7, block);
    start = now();
    if (pthread_create(&other, NULL, flows ? drain : echo, theirs) != 0)
        return 1;
    for (size_t done = 0; done < total; done += block)
        put(&rings[0], bytes, block);
    for (long i = 0; i < trips; i++) {
        put(&rings[0], bytes, TRIP);
        take_all(&rings[1], bytes, TRIP);
    }
    if (pthread_join(other, NULL) != 0)
        return 1;
    printf("%llu\n", (unsigned long long)(now() - start));
    return 0;
}
