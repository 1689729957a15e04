cimport cython
from libc.stdint cimport uint64_t

from .constants cimport *
from .words cimport word_t


@cython.final
cdef class Delay:
    cdef readonly word_t[::1] w
    cdef readonly uint64_t capacity
    cdef readonly uint64_t meta_at
    cdef readonly uint64_t heap_at

    cpdef uint64_t first(self) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(size=uint64_t)
    cpdef int add(self, uint64_t slot) except -1 nogil
    @cython.locals(w=word_t[::1], at=uint64_t, size=uint64_t, moved=uint64_t)
    cpdef int remove(self, uint64_t slot) except -1 nogil
    @cython.locals(w=word_t[::1], x=uint64_t, y=uint64_t)
    cdef bint _before(self, uint64_t a, uint64_t b) except -1 nogil
    cdef int _place(self, uint64_t at, uint64_t slot) except -1 nogil
    @cython.locals(parent=uint64_t, above=uint64_t)
    cdef int _rise(self, uint64_t at, uint64_t slot) except -1 nogil
    @cython.locals(w=word_t[::1], size=uint64_t, child=uint64_t, least=uint64_t, other=uint64_t, candidate=uint64_t)
    cdef int _sink(self, uint64_t at, uint64_t slot) except -1 nogil
