/* What Python has no words for: shared words, compare-and-swap, sleeping on a word. */

#ifndef IPCQ_ATOMIC_H
#define IPCQ_ATOMIC_H

#include <stdint.h>
#include <string.h>
#include <time.h>

#if UINTPTR_MAX < UINT64_MAX
#error "words of 64 bits are loaded and stored in one go; here they are not"
#endif

/* Each load and each store happens once and in the order of the source, as it does uncompiled: a kill
   between two of them then leaves what the design counts on. x86 keeps stores in order by itself; elsewhere
   every access is atomic and ordered, for those who look without the lock. */
#if defined(__x86_64__) && !defined(IPCQ_ATOMIC_WORDS)
typedef volatile uint64_t ipcq_word;
#else
typedef _Atomic uint64_t ipcq_word;
#endif

static inline uint64_t ipcq_highest_bit(uint64_t word) { return 63 - (uint64_t)__builtin_clzll(word); }
static inline uint64_t ipcq_lowest_bit(uint64_t word) { return (uint64_t)__builtin_ctzll(word); }

/* A copy begins after the store that gave its place away, and is complete before the one that makes it count.
   The compiler may move it over volatile words, so both are said to it. */
static inline void ipcq_copy(unsigned char *to, const unsigned char *from, uint64_t length) {
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __asm__ volatile("" ::: "memory");
    memcpy(to, from, length);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __asm__ volatile("" ::: "memory");
}

/* Every store before it is seen by others before any load after it. */
static inline void ipcq_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

static inline int ipcq_swap(ipcq_word *word, uint64_t seen, uint64_t value) {
    return __atomic_compare_exchange_n((uint64_t *)word, &seen, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static inline void ipcq_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#if defined(__linux__)
#include <sys/syscall.h>
#endif

#if defined(SYS_futex)
#include <linux/futex.h>
#include <unistd.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define IPCQ_LOW_HALF(word) ((uint32_t *)(word))
#else
#define IPCQ_LOW_HALF(word) ((uint32_t *)(word) + 1)
#endif

/* Until woken, interrupted, the time is over, or at once when the word is another already. */
static inline void ipcq_sleep(ipcq_word *word, uint64_t seen, uint64_t microseconds) {
    struct timespec limit = {(time_t)(microseconds / 1000000), (long)(microseconds % 1000000) * 1000};
    syscall(SYS_futex, IPCQ_LOW_HALF(word), FUTEX_WAIT, (uint32_t)seen, &limit, (void *)0, 0);
}

static inline void ipcq_wake(ipcq_word *word, int most) {
    syscall(SYS_futex, IPCQ_LOW_HALF(word), FUTEX_WAKE, most, (void *)0, (void *)0, 0);
}
#else
/* No futex: look again every 200 microseconds. */
static inline void ipcq_sleep(ipcq_word *word, uint64_t seen, uint64_t microseconds) {
    struct timespec pause = {0, 200000};
    for (uint64_t slept = 0; slept < microseconds; slept += 200) {
        if ((uint32_t)*word != (uint32_t)seen) return;
        nanosleep(&pause, (struct timespec *)0);
    }
}

static inline void ipcq_wake(ipcq_word *word, int most) { (void)word; (void)most; }
#endif

#endif
