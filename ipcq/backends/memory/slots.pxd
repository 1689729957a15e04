cimport cython
from libc.stdint cimport uint64_t

from .constants cimport *
from .words cimport word_t

cpdef uint64_t generation(uint64_t word) except? 0xFFFF_FFFF_FFFF_FFFF nogil

cpdef uint64_t owner(uint64_t word) except? 0xFFFF_FFFF_FFFF_FFFF nogil

cpdef uint64_t file_length(uint64_t desc) except? 0xFFFF_FFFF_FFFF_FFFF nogil

@cython.locals(version=uint64_t)
cpdef uint64_t file_epoch(uint64_t desc) except? 0xFFFF_FFFF_FFFF_FFFF nogil

@cython.locals(status=uint64_t)
cpdef bint finished(uint64_t word) except -1 nogil


@cython.final
cdef class Slots:
    cdef readonly word_t[::1] w
    cdef readonly uint64_t state_at
    cdef readonly uint64_t meta_at

    @cython.locals(w=word_t[::1], at=uint64_t, old=uint64_t, count=uint64_t)
    cpdef int commit(self, uint64_t slot, uint64_t word) except -1 nogil
    @cython.locals(w=word_t[::1], head=uint64_t, fresh=uint64_t)
    cpdef uint64_t reserve(self) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    cpdef int release(self, uint64_t slot) except -1 nogil
    @cython.locals(w=word_t[::1])
    cpdef int link_free(self, uint64_t slot) except -1 nogil
    @cython.locals(at=uint64_t)
    cpdef int set_flag(self, uint64_t slot, uint64_t flag) except -1 nogil
    cpdef uint64_t is_fetched(self, uint64_t slot) except? 0xFFFF_FFFF_FFFF_FFFF nogil
