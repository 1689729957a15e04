cimport cython
from libc.stdint cimport uint64_t

from .constants cimport *
from .machine cimport highest_bit
from .words cimport word_t

@cython.locals(high=uint64_t)
cpdef uint64_t bucket_of(uint64_t duration) except? 0xFFFF_FFFF_FFFF_FFFF nogil


@cython.final
cdef class Measure:
    cdef readonly word_t[::1] w

    @cython.locals(w=word_t[::1], started=uint64_t, duration=uint64_t, waited=uint64_t)
    cpdef int ran(self, uint64_t m, bint done, uint64_t now) except -1 nogil
    @cython.locals(w=word_t[::1], day=uint64_t, minute=uint64_t, at=uint64_t)
    cpdef int finished(self, uint64_t status, uint64_t now) except -1 nogil
    cdef uint64_t _since(self, uint64_t start, uint64_t end) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    cdef int _tally(self, uint64_t at) except -1 nogil
