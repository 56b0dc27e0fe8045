/* SPDX-License-Identifier: Apache-2.0
 * What a command costs before it has done anything: mapped, linked and paged in as `zvfs` is for a run whose program is cached, and
   nothing else. For the rows of a start in docs/performance.md.

       cc -O2 -pie -o start benches/limits/start.c -pthread -Wl,--no-as-needed -lm -lgcc_s -Wl,-z,now,-z,relro,-z,pack-relative-relocs
       start           mapped, and relocated by the dynamic linker
       start touch     and the code and the heap that a run reaches
       start threads   and its threads too, each of which is started and waited for

   The numbers are the command's: `readelf -lr`, and page faults by address (`perf record -e page-faults -c 1 -d`). */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Places of the code, each of which is paged in with its 64 KiB; pages of the heap. */
enum { CODE = 18 << 20, REACHED = 94, HEAP = 50 << 12, THREADS = 4 };

/* Addresses in constant data, 16 bytes each: 81 pages that the dynamic linker writes. */
extern const volatile long table[];
extern const volatile char code[];
__asm__(".section .data.rel.ro, \"aw\"\n.balign 4096\ntable: .rept 20700\n.quad table, 1\n.endr\n"
        ".text\n.balign 4096\ncode: .skip 18 << 20, 0x90\n");

static void *work(void *unused)
{
    volatile char *memory = malloc(100);
    memory[0] = 1;
    free((void *)memory);
    return unused;
}

int main(int count, char **words)
{
    if (count < 2)
        return table[1] != 1;
    for (int place = 0; place < REACHED; place++)
        if (code[(long)place * (CODE / REACHED)] == 0)
            return 1;
    memset(malloc(HEAP), 1, HEAP);
    if (strcmp(words[1], "threads") == 0)
        for (int number = 0; number < THREADS; number++) {
            pthread_t thread;
            if (pthread_create(&thread, NULL, work, NULL) || pthread_join(thread, NULL))
                return 1;
        }
    return 0;
}
