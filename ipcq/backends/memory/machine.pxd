from libc.stdint cimport uint64_t

from .words cimport word_t

cpdef uint64_t highest_bit(uint64_t word) noexcept nogil
cpdef uint64_t lowest_bit(uint64_t word) noexcept nogil
cpdef int copy_bytes(
    unsigned char[::1] target, uint64_t at, const unsigned char[::1] source, uint64_t start, uint64_t length
) except -1 nogil
cpdef bytes bytes_at(const unsigned char[::1] source, uint64_t at, uint64_t length)
cpdef bint compare_and_swap(word_t[::1] w, uint64_t at, uint64_t seen, uint64_t value) except -1 nogil
cpdef int pause() except -1 nogil
cpdef int fence() except -1 nogil
cpdef int sleep_on(word_t[::1] w, uint64_t at, uint64_t seen, uint64_t microseconds) except -1
cpdef int wake_one(word_t[::1] w, uint64_t at) except -1 nogil
cpdef int wake_all(word_t[::1] w, uint64_t at) except -1 nogil
