cimport cython
from libc.stdint cimport uint64_t

from .constants cimport *
from .words cimport word_t


@cython.final
cdef class Index:
    cdef readonly word_t[::1] w
    cdef readonly uint64_t meta_at
    cdef readonly uint64_t buckets_at
    cdef readonly uint64_t buckets
    cdef readonly uint64_t capacity

    cdef uint64_t _bucket(self, uint64_t hi, uint64_t lo) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], at=uint64_t, steps=uint64_t, m=uint64_t)
    cpdef uint64_t find(self, uint64_t hi, uint64_t lo) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], m=uint64_t, bucket=uint64_t)
    cpdef int add(self, uint64_t slot) except -1 nogil
    @cython.locals(w=word_t[::1], m=uint64_t, link=uint64_t, steps=uint64_t)
    cpdef int remove(self, uint64_t slot) except -1 nogil
