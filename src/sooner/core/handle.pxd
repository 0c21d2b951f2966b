from .._capi cimport context_call, recycle, reusable, snapshot_context
from .scheduler cimport CLOSED, WAITING, Runnable, Scheduler

cdef class Handle(Runnable):
    cdef object _loop, _callback, _context
    cdef tuple _args
    cdef bint _cancelled, _shared
    cdef Handle _next
    cdef public object _source_traceback
    cdef object __weakref__
    cdef object own_context(self)

cdef class TimerHandle(Handle):
    cdef double _when
    cdef long long _sequence
    cdef Py_ssize_t _index
    cdef object _timers

cdef Handle new_handle(Scheduler scheduler, callback, tuple args, context)
cdef fill_handle(Handle handle, loop, callback, tuple args, context)
cdef failure_context(Handle handle, BaseException exc)
