cimport cython
from libc.stdint cimport uint64_t

from .constants cimport *
from .machine cimport highest_bit, lowest_bit
from .words cimport word_t

cpdef uint64_t order_of(uint64_t length) except? 0xFFFF_FFFF_FFFF_FFFF nogil


@cython.final
cdef class Arena:
    cdef readonly word_t[::1] w
    cdef readonly uint64_t map_at
    cdef readonly uint64_t blocks

    @cython.locals(w=word_t[::1], found=uint64_t, block=uint64_t)
    cpdef uint64_t take(self, uint64_t order) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], buddy=uint64_t, word=uint64_t)
    cpdef int give(self, uint64_t block, uint64_t order) except -1 nogil
    @cython.locals(start=uint64_t)
    cpdef int extend(self, uint64_t blocks) except -1 nogil
    @cython.locals(w=word_t[::1], order=uint64_t, at=uint64_t)
    cpdef int reset(self) except -1 nogil
    @cython.locals(w=word_t[::1], size=uint64_t, at=uint64_t)
    cpdef bint claim(self, uint64_t block, uint64_t order) except -1 nogil
    @cython.locals(at=uint64_t)
    cpdef int disclaim(self, uint64_t block, uint64_t order) except -1 nogil
    @cython.locals(w=word_t[::1], end=uint64_t, start=uint64_t, at=uint64_t, word=uint64_t, inner=uint64_t)
    cpdef int settle(self) except -1 nogil
    @cython.locals(size=uint64_t)
    cdef bint _is_area(self, uint64_t block, uint64_t order) except -1 nogil
    @cython.locals(order=uint64_t)
    cdef int _link_run(self, uint64_t start, uint64_t end) except -1 nogil
    @cython.locals(w=word_t[::1], head=uint64_t)
    cdef int _link(self, uint64_t block, uint64_t order) except -1 nogil
    @cython.locals(w=word_t[::1], word=uint64_t, following=uint64_t, previous=uint64_t, at=uint64_t)
    cdef int _unlink(self, uint64_t block, uint64_t order) except -1 nogil
