from libc.stdint cimport uint64_t

cdef extern from "_atomic.h":
    # A word that other processes read, and that a kill may leave as it is at any store.
    ctypedef uint64_t word_t "ipcq_word"
