cimport cython
from libc.stdint cimport uint64_t

from .constants cimport *
from .accept cimport Accept
from .core cimport Core
from .finish cimport Finish
from .slots cimport finished, generation
from .words cimport word_t


@cython.final
cdef class Amend:
    cdef readonly Core core
    cdef readonly word_t[::1] w
    cdef readonly uint64_t[::1] out
    cdef readonly uint64_t[::1] stage
    cdef readonly Accept accept
    cdef readonly Finish ending

    @cython.locals(place=uint64_t)
    cpdef uint64_t look(self, uint64_t hi, uint64_t lo) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(code=uint64_t, word=uint64_t)
    cpdef uint64_t cancel(self, uint64_t slot, uint64_t seen, uint64_t epoch, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(code=uint64_t, kept=uint64_t)
    cpdef uint64_t resume(self, uint64_t slot, uint64_t seen, uint64_t epoch, uint64_t run_at, bint reset, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(kept=uint64_t)
    cpdef uint64_t postpone(self, uint64_t slot, uint64_t gen, uint64_t epoch, uint64_t index, uint64_t run_at, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(most=uint64_t)
    cdef uint64_t _deaths_left(self, uint64_t word) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(code=uint64_t)
    cpdef uint64_t check(self, uint64_t slot, uint64_t seen, uint64_t epoch) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], payload=uint64_t, version=uint64_t)
    cpdef uint64_t next_version(self, uint64_t slot) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(code=uint64_t)
    cpdef uint64_t update(self, uint64_t slot, uint64_t seen, uint64_t epoch, const unsigned char[::1] data, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], stage=uint64_t[::1], length=uint64_t, desc=uint64_t)
    cdef uint64_t _draft(self, const unsigned char[::1] data, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], stage=uint64_t[::1], at=uint64_t, desc=uint64_t)
    cdef uint64_t _draft_written(self) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(status=uint64_t, limits=uint64_t, kept=uint64_t, most=uint64_t, deaths=uint64_t, owed=bint)
    cdef uint64_t _updated(self, uint64_t word) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    cdef bint _is_being_stored(self, uint64_t desc) except -1 nogil
    @cython.locals(w=word_t[::1], m=uint64_t, before=uint64_t, stays=bint)
    cdef int _change(self, uint64_t slot, uint64_t word, uint64_t now) except -1 nogil
    @cython.locals(word=uint64_t, m=uint64_t, status=uint64_t)
    cdef uint64_t _look_again(self, uint64_t slot, uint64_t seen, uint64_t epoch) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(level=uint64_t)
    cdef bint _stays(self, uint64_t slot, uint64_t m, uint64_t word) except -1 nogil
    cdef int _put_in(self, uint64_t slot, uint64_t before, uint64_t word) except -1 nogil
    @cython.locals(status=uint64_t)
    cdef int _take_out(self, uint64_t slot, uint64_t word) except -1 nogil
