from .._capi cimport RETURNED, YIELDED, coro_send, coro_throw, sent_status
from ..core.future cimport PENDING, Future, leave_value, thrown

cdef enum:
    OVER = 0
    NEW = 1
    WAITING = 2
    DELEGATED = 3

cdef class StreamOperation:
    cdef signed char _state
    cdef object _awaited, _value
    cdef object __weakref__
    cdef begin(self)
    cdef resume(self)
    cdef interrupt(self, BaseException exc)
    cdef stop_waiting(self)
    cdef str name(self)
    cdef finish(self, value)
    cdef wait_for(self, Future future)
    cdef delegate(self, coro)
    cdef step(self)
    cdef step_coroutine(self, BaseException exc)
    cdef end_unseen(self)
