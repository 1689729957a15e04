cimport cython
from libc.stdint cimport int64_t, uint64_t

from .constants cimport *
from .arena cimport Arena, order_of
from .bits cimport add_to_set, pop_from_set
from .chains cimport Chains
from .delay cimport Delay
from .draft cimport Draft
from .index cimport Index
from .machine cimport copy_bytes, fence
from .measure cimport Measure
from .ready cimport Ready
from .slots cimport Slots, file_epoch, file_length, finished, generation
from .words cimport word_t


@cython.final
cdef class Core:
    cdef readonly word_t[::1] w
    cdef readonly unsigned char[::1] b
    cdef readonly unsigned char[::1] a
    cdef readonly uint64_t[::1] out
    cdef readonly uint64_t[::1] stage
    cdef readonly uint64_t capacity
    cdef readonly uint64_t participants
    cdef readonly uint64_t state_at
    cdef readonly uint64_t meta_at
    cdef readonly uint64_t buckets_at
    cdef readonly uint64_t buckets
    cdef readonly Slots slots
    cdef readonly Draft draft
    cdef readonly Measure measure
    cdef readonly Chains chains
    cdef readonly Ready ready
    cdef readonly Delay delay
    cdef readonly Index index
    cdef readonly Arena arena

    cpdef uint64_t row(self, uint64_t index) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(word=uint64_t, index=uint64_t, row=uint64_t)
    cpdef uint64_t submitter(self, uint64_t slot) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1], lease=uint64_t)
    cpdef bint holds(self, uint64_t slot, uint64_t gen, uint64_t epoch, uint64_t index, uint64_t status) except -1 nogil
    @cython.locals(word=uint64_t, status=uint64_t)
    cpdef bint is_ready(self, uint64_t slot) except -1 nogil
    cpdef int own(self, uint64_t slot, uint64_t index) except -1 nogil
    @cython.locals(index=uint64_t)
    cpdef int disown(self, uint64_t slot) except -1 nogil
    cpdef int close(self) except -1 nogil
    cpdef int clear_out(self) except -1 nogil
    @cython.locals(w=word_t[::1], out=uint64_t[::1], row=uint64_t, count=uint64_t)
    cpdef int wake(self, uint64_t index) except -1 nogil
    @cython.locals(index=int64_t)
    cpdef uint64_t wake_one(self, uint64_t members) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    cpdef int wake_all(self, uint64_t members) except -1 nogil
    cpdef uint64_t wait_in(self, uint64_t members, uint64_t index) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(out=uint64_t[::1], count=uint64_t, at=uint64_t)
    cdef int _list_unlink(self, uint64_t slot, uint64_t epoch) except -1 nogil
    @cython.locals(w=word_t[::1], at=uint64_t, desc=uint64_t, kind=uint64_t)
    cpdef int drop_payload(self, uint64_t slot) except -1 nogil
    @cython.locals(w=word_t[::1], m=uint64_t, desc=uint64_t, kind=uint64_t)
    cpdef int drop_result(self, uint64_t slot) except -1 nogil
    @cython.locals(order=uint64_t, block=uint64_t)
    cpdef uint64_t area(self, uint64_t length) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(length=uint64_t, at=uint64_t)
    cpdef int copy_in(self, uint64_t desc, const unsigned char[::1] data, uint64_t start, uint64_t inline_at) except -1 nogil
    @cython.locals(w=word_t[::1], pusher=uint64_t, row=uint64_t)
    cpdef int file_finished(self, uint64_t slot) except -1 nogil
    @cython.locals(word=uint64_t, pusher=uint64_t)
    cpdef uint64_t list_of(self, uint64_t slot) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    cpdef bint is_charged(self, uint64_t slot) except -1 nogil
    @cython.locals(pusher=uint64_t, row=uint64_t)
    cpdef int forget_pusher(self, uint64_t slot, uint64_t done) except -1 nogil
    @cython.locals(pusher=uint64_t, row=uint64_t)
    cpdef int charge_pusher(self, uint64_t slot) except -1 nogil
    @cython.locals(first=uint64_t, slot=uint64_t, word=uint64_t)
    cpdef uint64_t give_way(self) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    @cython.locals(w=word_t[::1])
    cpdef int remove_finished(self, uint64_t slot) except -1 nogil
    @cython.locals(word=uint64_t)
    cpdef int free(self, uint64_t slot) except -1 nogil
    cpdef uint64_t used_slots(self) except? 0xFFFF_FFFF_FFFF_FFFF nogil
    cpdef int hand_on(self) except -1 nogil
