cimport cython
from libc.stdint cimport uint64_t

from .constants cimport *
from .core cimport Core
from .lockword cimport LockWord
from .machine cimport bytes_at, fence, wake_all
from .sections cimport Sections
from .slots cimport generation
from .words cimport word_t

ctypedef const unsigned char byte_t


@cython.final
cdef class Exchange:
    cdef readonly Sections own
    cdef readonly object general  # whose methods are called by `run`
    cdef readonly Core core
    cdef readonly uint64_t[::1] own_out
    cdef readonly uint64_t[::1] own_stage
    cdef readonly uint64_t[::1] general_out
    cdef readonly uint64_t[::1] general_stage
    cdef readonly object run
    cdef readonly object turn
    cdef readonly object lock
    cdef readonly object unlink
    cdef readonly LockWord word
    cdef readonly uint64_t tries

    cpdef close(self)
    @cython.locals(word=LockWord, me=uint64_t)
    cdef uint64_t _enter(self) except? 0xFFFF_FFFF_FFFF_FFFF
    @cython.locals(word=LockWord)
    cdef int _leave(self, uint64_t me) except -1
    @cython.locals(out=uint64_t[::1], count=uint64_t, n=uint64_t)
    cdef int _follow(self) except -1

    @cython.locals(count=Py_ssize_t, done=uint64_t, code=uint64_t, me=uint64_t, view=byte_t[::1])
    cpdef tuple push(self, list tasks, uint64_t index, uint64_t now)
    @cython.locals(at=uint64_t, offset=uint64_t, length=uint64_t, n=Py_ssize_t, task=tuple, words=tuple)
    cdef int _stage(self, uint64_t[::1] stage, list tasks) except -1

    @cython.locals(count=uint64_t, me=uint64_t, places=list, room=Py_ssize_t)
    cpdef tuple take(self, uint64_t index, uint64_t gen, uint64_t most, uint64_t running, uint64_t now)
    @cython.locals(w=word_t[::1], n=uint64_t, slot=uint64_t)
    cdef int _read_places(self, uint64_t[::1] out, list places, uint64_t count) except -1
    @cython.locals(w=word_t[::1], m=uint64_t, word=uint64_t, parts=uint64_t, desc=uint64_t, same=bint)
    cpdef tuple read(self, uint64_t slot, uint64_t gen, uint64_t epoch)
    @cython.locals(room=Py_ssize_t, at=Py_ssize_t)
    cpdef list read_many(self, list places, uint64_t count)
    @cython.locals(kind=uint64_t)
    cdef object _payload(self, uint64_t desc, uint64_t inline, uint64_t most)

    @cython.locals(slot=uint64_t, gen=uint64_t, epoch=uint64_t, code=uint64_t, me=uint64_t)
    cpdef object tell(self, object place, uint64_t index, uint64_t progress)

    @cython.locals(slot=uint64_t, gen=uint64_t, epoch=uint64_t, slot2=uint64_t, gen2=uint64_t, epoch2=uint64_t, length=uint64_t, code=uint64_t, me=uint64_t, view=byte_t[::1])
    cpdef tuple finish(self, object place, uint64_t index, uint64_t kind, object data, object following, uint64_t now)
    @cython.locals(count=Py_ssize_t, codes=list, me=uint64_t, done=bint, view=byte_t[::1])
    cpdef list finish_many(self, list places, uint64_t index, uint64_t kind, list data, uint64_t now)
    @cython.locals(at=uint64_t, offset=uint64_t, length=uint64_t, n=Py_ssize_t, place=object)
    cdef int _stage_ends(self, uint64_t[::1] stage, list places, list data) except -1
    @cython.locals(n=Py_ssize_t)
    cdef int _read_codes(self, uint64_t[::1] out, uint64_t start, list codes) except -1

    @cython.locals(count=uint64_t, me=uint64_t, places=list, room=Py_ssize_t)
    cpdef tuple inbox(self, uint64_t index, uint64_t most)
    @cython.locals(n=uint64_t)
    cdef int _read_found(self, uint64_t[::1] out, list places, uint64_t count) except -1
    @cython.locals(w=word_t[::1], m=uint64_t, desc=uint64_t)
    cpdef tuple look(self, uint64_t slot, uint64_t word)
    @cython.locals(count=Py_ssize_t, codes=list, me=uint64_t, done=bint)
    cpdef list settle(self, list found, list asked)
    @cython.locals(at=uint64_t, n=Py_ssize_t, each=tuple)
    cdef int _stage_found(self, uint64_t[::1] stage, list found, list asked) except -1
