cimport cython
from libc.stdint cimport uint64_t

from .constants cimport *
from .core cimport Core
from .slots cimport finished
from .words cimport word_t


@cython.final
cdef class Collect:
    cdef readonly Core core
    cdef readonly word_t[::1] w
    cdef readonly uint64_t[::1] out
    cdef readonly uint64_t result_ttl

    @cython.locals(place=uint64_t)
    cpdef uint64_t find(self, uint64_t hi, uint64_t lo) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(stage=uint64_t[::1], out=uint64_t[::1], n=uint64_t, place=uint64_t)
    cpdef int find_many(self, uint64_t count) except -1 nogil
    @cython.locals(w=word_t[::1], out=uint64_t[::1], at=uint64_t, count=uint64_t)
    cpdef uint64_t inbox(self, uint64_t index, uint64_t most) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    cpdef int watch(self, uint64_t index) except -1 nogil
    @cython.locals(w=word_t[::1], stage=uint64_t[::1], out=uint64_t[::1], n=uint64_t, slot=uint64_t, found=uint64_t, word=uint64_t)
    cpdef int settle(self, uint64_t count) except -1 nogil
    cdef int _mark_fetched(self, uint64_t slot, uint64_t word) except -1 nogil
    @cython.locals(w=word_t[::1], seq=uint64_t)
    cdef int _move(self, uint64_t slot, uint64_t word, uint64_t target) except -1 nogil
    @cython.locals(w=word_t[::1], end=uint64_t, removed=uint64_t, slot=uint64_t, word=uint64_t, status=uint64_t)
    cpdef uint64_t vacuum(self, uint64_t start, uint64_t before, bint done, bint killed) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(pusher=uint64_t)
    cdef int _remove(self, uint64_t slot, uint64_t word) except -1 nogil
    @cython.locals(w=word_t[::1], removed=uint64_t, index=uint64_t)
    cpdef uint64_t expire(self, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], removed=uint64_t, slot=uint64_t)
    cdef uint64_t _expire_list(self, uint64_t head, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], row=uint64_t, unfinished=uint64_t, places_full=uint64_t, mine=uint64_t)
    cpdef bint waits_for_itself(self, uint64_t index) except -1 nogil
