/* The lock word between threads, for ThreadSanitizer, which does not see across processes: test_races.py.

   The steps are those of lockword.py and wordguard.py; what they are made of is _atomic.h itself. Built with
   IPCQ_ATOMIC_WORDS, as where stores may be reordered: a volatile word is no synchronisation to the sanitizer. */

#define _GNU_SOURCE
#include "_atomic.h"

#include <pthread.h>
#include <stdio.h>

enum { THREADS = 4, ROUNDS = 20000, SIZE = 100 };

#define AWAITED ((uint64_t)1 << 31)
#define OWNER (AWAITED - 1)
#define GENERATION ((uint64_t)1 << 32)

static ipcq_word word;
static uint64_t sections; /* plain memory, as payloads are */
static unsigned char payload[SIZE];
static int torn;

static int take(uint64_t me, uint64_t flag) {
    uint64_t seen = word;
    if (seen & OWNER) return 0;
    return ipcq_swap(&word, seen, ((seen & ~(GENERATION - 1)) + GENERATION) | flag | (seen & AWAITED) | me);
}

static uint64_t announce(void) {
    uint64_t seen = word;
    while (seen & OWNER && !(seen & AWAITED)) {
        if (ipcq_swap(&word, seen, seen | AWAITED)) return seen | AWAITED;
        seen = word;
    }
    return seen;
}

static void release(void) {
    uint64_t seen = word;
    while (!ipcq_swap(&word, seen, seen & ~(GENERATION - 1))) seen = word;
    if (seen & AWAITED) ipcq_wake(&word, 1);
}

static void *work(void *argument) {
    uint64_t me = (uint64_t)(uintptr_t)argument;
    unsigned char mine[SIZE];
    memset(mine, (int)me, SIZE);
    for (int round = 0; round < ROUNDS; round++) {
        for (uint64_t flag = 0; !take(me, flag); flag = AWAITED) {
            uint64_t seen = announce();
            if (seen & OWNER) ipcq_sleep(&word, seen, 20000);
        }
        torn |= payload[0] != payload[SIZE - 1];
        ipcq_copy(payload, mine, SIZE);
        sections++;
        release();
    }
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    for (uintptr_t n = 0; n < THREADS; n++) pthread_create(&threads[n], NULL, work, (void *)(n + 1));
    for (int n = 0; n < THREADS; n++) pthread_join(threads[n], NULL);
    printf("%d sections, %s\n", (int)sections, torn ? "torn" : "whole");
    return 0;
}
