cimport cython
from libc.stdint cimport int64_t, uint64_t

from .constants cimport *
from .machine cimport lowest_bit
from .words cimport word_t

@cython.locals(part=uint64_t)
cpdef int add_to_set(word_t[::1] w, uint64_t at, uint64_t member) except -1 nogil

@cython.locals(part=uint64_t, rest=uint64_t, bit=uint64_t)
cpdef int discard_from_set(word_t[::1] w, uint64_t at, uint64_t member) except -1 nogil

cpdef uint64_t in_set(word_t[::1] w, uint64_t at, uint64_t member) except? 0xFFFF_FFFF_FFFF_FFFF nogil

@cython.locals(part=uint64_t, member=uint64_t)
cpdef int64_t pop_from_set(word_t[::1] w, uint64_t at) except? -2 nogil

