cimport cython
from libc.stdint cimport uint64_t

from .constants cimport *
from .machine cimport compare_and_swap, pause, sleep_on, wake_one
from .words cimport word_t


@cython.final
cdef class LockWord:
    cdef readonly word_t[::1] w

    cpdef uint64_t look(self) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    cpdef uint64_t owner(self) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(seen=uint64_t)
    cpdef int take(self, uint64_t me, uint64_t flag) except -1 nogil
    cpdef int enter(self, uint64_t me, uint64_t tries) except -1 nogil
    @cython.locals(generation=uint64_t)
    cpdef int swap(self, uint64_t seen, uint64_t me, uint64_t flag) except -1 nogil
    @cython.locals(_=uint64_t)
    cpdef int spin(self, uint64_t me, uint64_t tries) except -1 nogil
    @cython.locals(seen=uint64_t)
    cpdef uint64_t announce(self) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    cpdef int sleep(self, uint64_t seen, uint64_t microseconds) except -1
    @cython.locals(seen=uint64_t)
    cpdef int release(self, uint64_t me) except -1 nogil
