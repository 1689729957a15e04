cimport cython
from libc.stdint cimport uint64_t

from .constants cimport *
from .bits cimport discard_from_set
from .core cimport Core
from .deliver cimport Deliver
from .finish cimport Finish
from .slots cimport file_epoch, generation, owner
from .words cimport word_t


@cython.final
cdef class Recover:
    cdef readonly Core core
    cdef readonly word_t[::1] w
    cdef readonly uint64_t[::1] out
    cdef readonly Deliver deliver
    cdef readonly Finish ending

    @cython.locals(w=word_t[::1], row=uint64_t)
    cpdef int enter(self, uint64_t index) except -1 nogil
    @cython.locals(w=word_t[::1], row=uint64_t, count=uint64_t, slot=uint64_t)
    cpdef uint64_t reclaim(self, uint64_t index, bint died, uint64_t exit_word, uint64_t rss, uint64_t oom, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], word=uint64_t, status=uint64_t, deaths=uint64_t, m=uint64_t, attempts=uint64_t, kept=uint64_t)
    cdef bint _return(self, uint64_t slot, uint64_t row, bint died, uint64_t exit_word, uint64_t rss, uint64_t oom, uint64_t now) except -1 nogil
    @cython.locals(w=word_t[::1], at=uint64_t, n=uint64_t)
    cdef int _bury(self, uint64_t slot, uint64_t m, uint64_t row, uint64_t exit_word, uint64_t rss, uint64_t oom) except -1 nogil
    @cython.locals(w=word_t[::1], steps=uint64_t, slot=uint64_t)
    cdef int _bequeath_inbox(self, uint64_t row) except -1 nogil
    @cython.locals(w=word_t[::1], word=uint64_t, m=uint64_t)
    cpdef bint is_live_blob(self, uint64_t slot, uint64_t gen, uint64_t epoch) except -1 nogil
