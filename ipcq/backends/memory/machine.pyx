"""The compiled counterpart of machine.py: the same functions, from C."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t

from .words cimport word_t


cdef extern from "_atomic.h":
    uint64_t ipcq_highest_bit(uint64_t word) noexcept nogil
    uint64_t ipcq_lowest_bit(uint64_t word) noexcept nogil
    void ipcq_copy(unsigned char *to, const unsigned char *source, uint64_t length) noexcept nogil
    bint ipcq_swap(word_t *word, uint64_t seen, uint64_t value) noexcept nogil
    void ipcq_pause() noexcept nogil
    void ipcq_fence() noexcept nogil
    void ipcq_sleep(word_t *word, uint64_t seen, uint64_t microseconds) noexcept nogil
    void ipcq_wake(word_t *word, int most) noexcept nogil


cpdef uint64_t highest_bit(uint64_t word) noexcept nogil:
    return ipcq_highest_bit(word)


cpdef uint64_t lowest_bit(uint64_t word) noexcept nogil:
    return ipcq_lowest_bit(word)


cpdef int copy_bytes(
    unsigned char[::1] target, uint64_t at, const unsigned char[::1] source, uint64_t start, uint64_t length
) except -1 nogil:
    cdef uint64_t room = <uint64_t>target.shape[0]
    cdef uint64_t given = <uint64_t>source.shape[0]
    if at > room or length > room - at or start > given or length > given - start:
        with gil:
            raise IndexError("bytes that are not there")
    if length:
        ipcq_copy(&target[at], &source[start], length)
    return 0


cpdef bint compare_and_swap(word_t[::1] w, uint64_t at, uint64_t seen, uint64_t value) except -1 nogil:
    return ipcq_swap(&w[at], seen, value)


cpdef int pause() except -1 nogil:
    ipcq_pause()
    return 0


cpdef int fence() except -1 nogil:
    ipcq_fence()
    return 0


cpdef int sleep_on(word_t[::1] w, uint64_t at, uint64_t seen, uint64_t microseconds) except -1:
    cdef word_t *word = &w[at]
    with nogil:
        ipcq_sleep(word, seen, microseconds)
    return 0


cpdef int wake_one(word_t[::1] w, uint64_t at) except -1 nogil:
    ipcq_wake(&w[at], 1)
    return 0


cpdef int wake_all(word_t[::1] w, uint64_t at) except -1 nogil:
    ipcq_wake(&w[at], 0x7FFF_FFFF)
    return 0


cpdef bytes bytes_at(const unsigned char[::1] source, uint64_t at, uint64_t length):
    cdef uint64_t room = <uint64_t>source.shape[0]
    at = min(at, room)
    length = min(length, room - at)
    return PyBytes_FromStringAndSize(<const char *>&source[at], length) if length else b""
