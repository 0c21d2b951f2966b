from .._capi cimport context_call, copy_context
from ..core.loop cimport LoopCore
from ..core.scheduler cimport Runnable, Scheduler
from .adoption cimport adopt_stream
from .stream cimport StreamTransport, accept_transport

cdef class Listener(Runnable):
    cdef object _loop, _sock, _protocol_factory, _connect, _server, _context, _retry
    cdef Py_ssize_t _backlog
    cdef bint _accepts
    cdef bint accept_connection(self, int fd) except -1
    cdef bint accept_socket(self) except -1
    cdef report(self, BaseException exc)
    cdef refuse(self, OSError exc)
