cimport cython
from libc.stdint cimport uint64_t

from .constants cimport *
from .accept cimport Accept
from .collect cimport Collect
from .core cimport Core
from .deliver cimport Deliver
from .finish cimport Finish
from .words cimport word_t


@cython.final
cdef class Sections:
    cdef readonly Core core
    cdef readonly Accept accept
    cdef readonly Deliver deliver
    cdef readonly Finish finish
    cdef readonly Collect collect

    @cython.locals(w=word_t[::1], row=uint64_t)
    cpdef uint64_t take(self, uint64_t index, uint64_t gen, uint64_t most, uint64_t running, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(code=uint64_t)
    cpdef uint64_t end_and_begin(self, uint64_t index, uint64_t slot, uint64_t gen, uint64_t epoch, uint64_t kind, const unsigned char[::1] data, uint64_t length, uint64_t next_slot, uint64_t next_gen, uint64_t next_epoch, uint64_t now) except? 0xFFFF_FFFF_FFFF_FFFF nogil
