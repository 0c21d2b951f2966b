from .._capi cimport context_call, context_method1, copy_context
from ..core.loop cimport LoopCore
from ..core.scheduler cimport WAITING, Outbox, Runnable, Scheduler
from .operations cimport SocketLoop

cdef class Receiver:
    cdef receive(self, bytes data)
    cdef receive_first(self, bytes data, Scheduler scheduler)
    cdef flush(self)

cdef class Transport(Outbox):
    cdef readonly object _loop, _protocol, _context
    cdef object _receiver
    cdef readonly dict _extra
    cdef Py_ssize_t _size, _high, _low
    cdef readonly bint _closing, _protocol_paused
    cdef bint _buffered
    cdef signed char _alive
    cdef void *_attributes
    cdef object __weakref__
    cdef bint is_open(self) except -1
    cdef flush(self)
    cdef set_up(self, loop, protocol, dict extra, context)
    cdef maybe_pause_protocol(self)
    cdef maybe_resume_protocol(self)
    cdef call_flow_control(self, str name)
    cdef tell(self, BaseException exc, str message)

cdef class WriteReady(Runnable):
    cdef FileTransport _transport

cdef class FileTransport(Transport):
    cdef object _file
    cdef BaseException _error
    cdef readonly int _sock_fd
    cdef readonly int _conn_lost
    cdef readonly bint _paused
    cdef object _server, _waiter, _writer
    cdef bint _made, _reading
    cdef open(self, file, waiter)
    cdef enlist(self)
    cdef make_connection(self)
    cdef read_ready(self)
    cdef start_reading(self)
    cdef stop_reading(self)
    cdef start_writing(self)
    cdef stop_writing(self)
    cdef fail(self, BaseException exc, str message)
    cdef force_close(self, BaseException exc)
    cdef forget_writes(self)
    cdef lose(self, BaseException exc)
    cdef lose_connection(self)
    cdef close_file(self)
    cdef release(self)
    cdef leave_server(self)
    cdef check_bytes(self, data)
    cdef write_in_vain(self)
