from .handle cimport TimerHandle

cdef class Timers:
    cdef list _heap
    cdef long long _sequence
    cdef add(self, TimerHandle timer)
    cpdef discard(self, TimerHandle timer)
    cdef TimerHandle first(self)
    cdef Py_ssize_t count(self)
    cdef remove(self, Py_ssize_t index)
    cdef lift(self, TimerHandle timer, Py_ssize_t index)
    cdef sink(self, TimerHandle timer, Py_ssize_t index)

cdef bint earlier(TimerHandle a, TimerHandle b)
