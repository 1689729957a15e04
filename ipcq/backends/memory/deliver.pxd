cimport cython
from libc.stdint cimport uint64_t

from .constants cimport *
from .bits cimport discard_from_set
from .core cimport Core
from .words cimport word_t


@cython.final
cdef class Deliver:
    cdef readonly Core core
    cdef readonly word_t[::1] w
    cdef readonly uint64_t[::1] out

    @cython.locals(count=uint64_t)
    cpdef uint64_t take(self, uint64_t index, uint64_t most, uint64_t running, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], out=uint64_t[::1], count=uint64_t, delayed=uint64_t, first=uint64_t)
    cdef uint64_t _take(self, uint64_t index, uint64_t most, uint64_t running, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], left=uint64_t, first=uint64_t, slot=uint64_t, m=uint64_t, seq=uint64_t)
    cdef int _promote(self, uint64_t now) except -1 nogil
    @cython.locals(w=word_t[::1], m=uint64_t, word=uint64_t, kept=uint64_t)
    cdef int _hand_out(self, uint64_t slot, uint64_t index, uint64_t status, uint64_t now) except -1 nogil
    cpdef uint64_t start(self, uint64_t slot, uint64_t gen, uint64_t epoch, uint64_t index, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], word=uint64_t)
    cpdef uint64_t begin(self, uint64_t slot, uint64_t gen, uint64_t epoch, uint64_t index, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    cdef int _begin(self, uint64_t m, uint64_t now) except -1 nogil
    @cython.locals(w=word_t[::1])
    cpdef uint64_t tell(self, uint64_t slot, uint64_t gen, uint64_t epoch, uint64_t index, uint64_t progress) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    cpdef uint64_t give_back(self, uint64_t slot, uint64_t gen, uint64_t epoch, uint64_t index) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(word=uint64_t, kept=uint64_t)
    cpdef int requeue(self, uint64_t slot, uint64_t deaths) except -1 nogil
    @cython.locals(count=uint64_t)
    cpdef uint64_t unhoard(self, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], count=uint64_t, index=uint64_t, at=uint64_t, steps=uint64_t, slot=uint64_t, m=uint64_t)
    cdef uint64_t _unhoard(self, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
