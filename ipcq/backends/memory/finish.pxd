cimport cython
from libc.stdint cimport uint64_t

from .constants cimport *
from .bits cimport add_to_set, discard_from_set
from .core cimport Core
from .words cimport word_t


@cython.final
cdef class Finish:
    cdef readonly Core core
    cdef readonly word_t[::1] w
    cdef readonly uint64_t[::1] out
    cdef readonly uint64_t result_blob_bytes

    @cython.locals(w=word_t[::1], code=uint64_t)
    cpdef uint64_t reserve_result(self, uint64_t slot, uint64_t gen, uint64_t epoch, uint64_t index, uint64_t length, bint blob) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], desc=uint64_t)
    cdef uint64_t _reserve_result(self, uint64_t m, uint64_t length, bint blob) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(code=uint64_t)
    cpdef uint64_t end(self, uint64_t slot, uint64_t gen, uint64_t epoch, uint64_t index, uint64_t status, uint64_t kind, const unsigned char[::1] data, uint64_t length, uint64_t run_at, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(stage=uint64_t[::1], n=uint64_t, at=uint64_t, slot=uint64_t, code=uint64_t)
    cpdef int end_many(self, uint64_t count, uint64_t index, uint64_t kind, const unsigned char[::1] data, uint64_t now) except -1 nogil
    @cython.locals(w=word_t[::1], m=uint64_t, word=uint64_t, attempts=uint64_t, kept=uint64_t)
    cdef uint64_t _end(self, uint64_t slot, uint64_t status, uint64_t kind, const unsigned char[::1] data, uint64_t start, uint64_t length, uint64_t run_at, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], delayed=uint64_t, seq=uint64_t)
    cdef int _owe(self, uint64_t slot, uint64_t m, uint64_t kept, uint64_t run_at, uint64_t now) except -1 nogil
    @cython.locals(w=word_t[::1], m=uint64_t, seq=uint64_t)
    cpdef int finish(self, uint64_t slot, uint64_t word, uint64_t now) except -1 nogil
    cpdef uint64_t wait_for_room(self, uint64_t index) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    cpdef int found_room(self, uint64_t index) except -1 nogil
