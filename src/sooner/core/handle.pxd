from .._capi cimport context_call, copy_context, failed_context, recycle, reusable, snapshot_context, timers_died
from .scheduler cimport CLOSED, WAITING, Runnable, Scheduler

cdef enum:
    SPARE_HANDLES = 16384

cdef class Handle(Runnable):
    cdef readonly object _loop, _callback
    cdef object _context
    cdef tuple _arguments
    cdef readonly bint _cancelled
    cdef signed char _shared, _in_heap  # of one byte: a timer is small
    cdef str _description
    cdef public object _source_traceback
    cdef object __weakref__
    cdef object own_context(self)
    cdef adopt_context(self)
    cdef forget(self)
    cdef str describe(self)

cdef class ThreadSafeHandle(Handle):
    cdef object _lock

cdef class TimerHandle(Handle):
    cdef readonly double _when

cdef Handle new_handle(Scheduler scheduler, callback, tuple args, context)
cdef fill_handle(Handle handle, loop, callback, tuple args, context)
cdef str describe_callback(Handle handle)
cdef failure_context(Handle handle, BaseException exc)
