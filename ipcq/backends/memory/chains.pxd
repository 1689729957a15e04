cimport cython
from libc.stdint cimport uint64_t

from .constants cimport *
from .words cimport word_t


@cython.final
cdef class Chains:
    cdef readonly word_t[::1] w
    cdef readonly uint64_t meta_at
    cdef readonly uint64_t capacity

    @cython.locals(w=word_t[::1], m=uint64_t, tail=uint64_t)
    cpdef int append(self, uint64_t head, uint64_t slot) except -1 nogil
    @cython.locals(w=word_t[::1], m=uint64_t, following=uint64_t, previous=uint64_t)
    cpdef int remove(self, uint64_t head, uint64_t slot) except -1 nogil
    @cython.locals(w=word_t[::1], mine=uint64_t, after=uint64_t, steps=uint64_t, m=uint64_t, a=uint64_t, before=uint64_t)
    cpdef int insert(self, uint64_t head, uint64_t slot, uint64_t key) except -1 nogil
    @cython.locals(w=word_t[::1], mine=uint64_t, before=uint64_t, steps=uint64_t, m=uint64_t, following=uint64_t)
    cpdef int insert_last(self, uint64_t head, uint64_t slot, uint64_t key) except -1 nogil
    cpdef int sort(self, uint64_t head, uint64_t key) except -1 nogil
    @cython.locals(w=word_t[::1], runs=uint64_t, rest=uint64_t, last=uint64_t, a=uint64_t, b=uint64_t, taken=uint64_t)
    cdef uint64_t _merge_runs(self, uint64_t head, uint64_t key) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], last=uint64_t, value=uint64_t, m=uint64_t, following=uint64_t, next_value=uint64_t)
    cdef uint64_t _cut_run(self, uint64_t first, uint64_t key) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], previous=uint64_t, at=uint64_t, m=uint64_t)
    cdef int _relink(self, uint64_t head) except -1 nogil
