cimport cython
from libc.stdint cimport uint64_t

from .constants cimport *
from .core cimport Core
from .slots cimport file_length, finished, generation, owner
from .words cimport word_t


@cython.final
cdef class Rebuild:
    cdef readonly Core core
    cdef readonly word_t[::1] w

    @cython.locals(w=word_t[::1], corrupt=uint64_t, highest=uint64_t, slot=uint64_t, m=uint64_t)
    cpdef uint64_t rebuild(self, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1])
    cdef int _clamp(self) except -1 nogil
    cdef int _limit(self, uint64_t at, uint64_t most) except -1 nogil
    cdef int _restart(self, uint64_t at) except -1 nogil
    cdef int _clear(self) except -1 nogil
    @cython.locals(w=word_t[::1], index=uint64_t, row=uint64_t)
    cdef int _clear_rows(self) except -1 nogil
    @cython.locals(at=uint64_t)
    cdef int _zero(self, uint64_t start, uint64_t end) except -1 nogil
    @cython.locals(w=word_t[::1], corrupt=uint64_t, slot=uint64_t)
    cdef uint64_t _find_fresh(self) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(status=uint64_t)
    cdef bint _mend(self, uint64_t slot, uint64_t m) except -1 nogil
    @cython.locals(word=uint64_t, status=uint64_t, flags=uint64_t)
    cdef bint _is_state(self, uint64_t slot) except -1 nogil
    @cython.locals(w=word_t[::1], at=uint64_t, word=uint64_t, status=uint64_t, kept=uint64_t)
    cdef int _free_of_nobody(self, uint64_t slot, uint64_t m) except -1 nogil
    @cython.locals(word=uint64_t, status=uint64_t, limits=uint64_t, most=uint64_t, attempts=uint64_t)
    cdef bint _is_in_budget(self, uint64_t slot, uint64_t m) except -1 nogil
    @cython.locals(w=word_t[::1], payload=uint64_t, length=uint64_t)
    cdef bint _is_sound(self, uint64_t m, uint64_t status) except -1 nogil
    @cython.locals(kind=uint64_t)
    cdef bint _fits(self, uint64_t desc, uint64_t inline) except -1 nogil
    @cython.locals(w=word_t[::1], payload=uint64_t, result=uint64_t)
    cdef bint _claim(self, uint64_t m, uint64_t status) except -1 nogil
    @cython.locals(w=word_t[::1], at=uint64_t)
    cdef int _quarantine(self, uint64_t slot, uint64_t m, uint64_t now) except -1 nogil
    @cython.locals(w=word_t[::1], word=uint64_t)
    cdef uint64_t _after(self, uint64_t slot, uint64_t m) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], word=uint64_t, status=uint64_t)
    cdef int _file(self, uint64_t slot, uint64_t m) except -1 nogil
    @cython.locals(w=word_t[::1], payload=uint64_t, result=uint64_t)
    cdef int _account(self, uint64_t m) except -1 nogil
    @cython.locals(w=word_t[::1], pusher=uint64_t, row=uint64_t)
    cdef int _charge_pusher(self, uint64_t slot, uint64_t word) except -1 nogil
    @cython.locals(index=uint64_t, row=uint64_t)
    cdef int _put_in_order(self) except -1 nogil
    @cython.locals(index=uint64_t)
    cdef int _wake_everybody(self) except -1 nogil
