from .._capi cimport (
    context_call1,
    failed_context,
    forget_stop_iteration,
    recycle_future,
    ring_push_front,
    set_stop_iteration,
    snapshot_context,
)
from .handle cimport Handle, fill_handle, new_handle
from .scheduler cimport Runnable, Scheduler

cdef enum:
    PENDING = 0
    CANCELLED = 1
    FINISHED = 2

cdef enum:
    UNRETRIEVED = 1
    UNFINISHED = 2

cdef class Future(Runnable):
    cdef readonly object _loop
    cdef object _value, _error, _traceback
    cdef object _first, _first_context
    cdef list _others
    cdef public object _source_traceback
    cdef signed char _status, _last_words, _native, _blocking, _shared  # of one byte: a future is small
    cdef void *_attributes
    cdef object __weakref__
    cdef bind(self, loop)
    cdef check_initialized(self)
    cdef check_pending(self)
    cdef object failure(self)
    cdef fail(self, BaseException exc)
    cdef bint request_cancel(self, msg) except -1
    cdef report_unretrieved(self)
    cdef finish(self, int status)
    cdef finish_now(self, Scheduler scheduler)
    cdef bint claim(self) except -1
    cdef finish_pending(self)
    cdef schedule_callbacks(self)
    cdef run_callbacks(self, Scheduler scheduler)
    cdef run_entry(self, Scheduler scheduler, entry)
    cdef report(self, Scheduler scheduler, BaseException exc, callback, context, bint shared)
    cdef add_callback(self, callback, context)
    cdef bint add_waiter(self, Runnable task) except -1
    cdef list entries(self)
    cdef set_entries(self, list entries)
    cdef entry_call(self, entry)

cdef class FutureIterator:
    cdef Future _future
    cdef bint _asked

cdef bint is_among(entry, list entries) except -1
cdef Future new_future(Scheduler scheduler)
cdef BaseException thrown(kind, value, traceback)
cdef leave_value(value)
cdef forget_value()
