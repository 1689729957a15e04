cimport cython
from libc.stdint cimport uint64_t

from .constants cimport *
from .chains cimport Chains
from .machine cimport highest_bit
from .words cimport word_t


@cython.final
cdef class Ready:
    cdef readonly word_t[::1] w
    cdef readonly uint64_t meta_at
    cdef readonly Chains chains

    cdef uint64_t _level(self, uint64_t slot) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(level=uint64_t)
    cpdef int append(self, uint64_t slot) except -1 nogil
    @cython.locals(level=uint64_t, head=uint64_t)
    cpdef int put_back(self, uint64_t slot) except -1 nogil
    @cython.locals(w=word_t[::1], first=uint64_t, last=uint64_t)
    cdef bint _is_late(self, uint64_t head, uint64_t slot) except -1 nogil
    @cython.locals(levels=uint64_t)
    cpdef uint64_t first(self) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(level=uint64_t)
    cpdef int remove(self, uint64_t slot) except -1 nogil
    @cython.locals(level=uint64_t)
    cpdef int sort(self) except -1 nogil
