from .scheduler cimport Runnable, Scheduler

cdef class Driver:
    cpdef wait(self, Scheduler scheduler, double timeout)
    cpdef wake(self)
    cpdef close(self)
