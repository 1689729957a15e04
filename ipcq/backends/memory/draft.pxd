cimport cython
from libc.stdint cimport uint64_t

from .constants cimport *
from .slots cimport Slots, generation
from .words cimport word_t


@cython.final
cdef class Draft:
    cdef readonly word_t[::1] w
    cdef readonly Slots slots
    cdef readonly uint64_t state_at
    cdef readonly uint64_t meta_at

    @cython.locals(w=word_t[::1], m=uint64_t, n=uint64_t)
    cpdef int begin(self, uint64_t slot) except -1 nogil
    cpdef int commit(self, uint64_t slot, uint64_t word) except -1 nogil
    @cython.locals(w=word_t[::1], m=uint64_t, n=uint64_t)
    cpdef int adopt(self, uint64_t slot) except -1 nogil
    @cython.locals(w=word_t[::1])
    cdef int _age(self, uint64_t slot, uint64_t m) except -1 nogil
    @cython.locals(w=word_t[::1], place=uint64_t, at=uint64_t, word=uint64_t)
    cpdef int finish(self) except -1 nogil
