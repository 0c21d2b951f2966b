from .._capi cimport context_call, copy_context
from ..core.loop cimport LoopCore
from ..core.scheduler cimport Runnable, Scheduler

cdef class Listener(Runnable):
    cdef object _loop, _sock, _serve, _context, _retry
    cdef Py_ssize_t _backlog
    cdef refuse(self, OSError exc)
