cimport cython
from libc.stdint cimport int64_t, uint64_t

from .constants cimport *
from .core cimport Core
from .slots cimport generation, owner
from .words cimport word_t


@cython.final
cdef class Accept:
    cdef readonly Core core
    cdef readonly word_t[::1] w
    cdef readonly uint64_t[::1] stage
    cdef readonly uint64_t[::1] out
    cdef readonly uint64_t payload_blocks
    cdef readonly uint64_t payload_blob_bytes

    @cython.locals(w=word_t[::1], done=uint64_t, code=uint64_t)
    cpdef uint64_t push(self, const unsigned char[::1] data, uint64_t count, uint64_t index, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(stage=uint64_t[::1], length=uint64_t, desc=uint64_t, place=int64_t, slot=uint64_t, m=uint64_t)
    cdef uint64_t _push_one(self, const unsigned char[::1] data, uint64_t s, uint64_t index, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], blocks=uint64_t, committed=uint64_t, most=uint64_t, desc=uint64_t, size=uint64_t)
    cpdef uint64_t payload_area(self, uint64_t length) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    cdef int _return_area(self, uint64_t desc) except -1 nogil
    @cython.locals(w=word_t[::1], place=int64_t)
    cdef int64_t _place(self) except? -99 nogil
    @cython.locals(w=word_t[::1], stage=uint64_t[::1])
    cdef int _describe(self, uint64_t m, uint64_t s, uint64_t index, uint64_t now, uint64_t desc) except -1 nogil
    @cython.locals(w=word_t[::1], word=uint64_t, gen=uint64_t, seq=uint64_t, delayed=uint64_t)
    cdef int _publish(self, uint64_t slot, uint64_t m, uint64_t status, uint64_t index, uint64_t now) except -1 nogil
    cdef int _wake_workers(self, uint64_t tasks) except -1 nogil
    @cython.locals(w=word_t[::1], stage=uint64_t[::1], code=uint64_t)
    cpdef uint64_t reserve(self, bint blob, uint64_t index, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], stage=uint64_t[::1], place=int64_t, slot=uint64_t, gen=uint64_t, desc=uint64_t)
    cdef uint64_t _reserve(self, bint blob, uint64_t index, uint64_t now, uint64_t length) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], m=uint64_t)
    cpdef uint64_t publish(self, uint64_t slot, uint64_t gen, uint64_t index, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    cpdef uint64_t abandon(self, uint64_t slot, uint64_t gen, uint64_t index) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(word=uint64_t)
    cpdef bint is_writing(self, uint64_t slot, uint64_t gen, uint64_t index) except -1 nogil
    @cython.locals(removed=uint64_t)
    cpdef uint64_t make_room(self, uint64_t most) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    cpdef uint64_t wait_for_space(self, uint64_t index) except? 0xFFFF_FFFF_FFFF_FFFF nogil
