from .scheduler cimport Runnable, Scheduler

cdef class EdgeTriggered(Runnable):
    cdef bint _special

cdef class Descriptor:
    cdef readonly int fd

cdef class Driver:
    cpdef wait(self, Scheduler scheduler, double timeout)
    cpdef wake(self)
    cpdef close(self)
    cpdef bint watches(self, int fd, Runnable runnable, bint writes) except -1
