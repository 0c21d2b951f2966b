from .._capi cimport context_call, context_method1, copy_methods, recycle_future
from ..core.loop cimport LoopCore
from ..core.scheduler cimport WAITING, Scheduler
from .transport cimport Receiver, Transport

cdef enum:
    UNWRAPPED = 0
    DO_HANDSHAKE = 1
    WRAPPED = 2
    FLUSHING = 3
    SHUTDOWN = 4

cdef enum:
    NEW = 0
    MADE = 1
    ENDED = 2
    LOST = 3

cdef class TLSTransport

cdef class TLSProtocol(Receiver):
    cdef readonly object _loop, _transport, _sslcontext, _sslobj, _incoming, _outgoing
    cdef readonly TLSTransport _app_transport
    cdef object _feed, _drain, _read, _write, _pending
    cdef object _waiter, _timer, _handshake_timeout, _shutdown_timeout
    cdef str _server_hostname
    cdef double _began
    cdef Py_ssize_t _read_high, _read_low
    cdef readonly int _state
    cdef int _app_state
    cdef bint _server_side, _blocked, _stalled, _ended, _gone
    cdef object __weakref__
    cdef receive(self, bytes data)
    cdef flush(self)
    cdef advance(self)
    cdef shake_hands(self)
    cdef fail_handshake(self, BaseException exc)
    cdef start_shutdown(self)
    cdef start_shutdown_timer(self)
    cdef finish_writing(self)
    cdef shut_down(self)
    cdef tell_end(self)
    cdef abort(self, BaseException exc)
    cdef fail(self, BaseException exc, str message)
    cdef stop_timer(self)
    cdef wake_waiter(self, BaseException exc)
    cdef read_records(self, Py_ssize_t size)
    cdef bint read_for_protocol(self, TLSTransport app, Py_ssize_t size) except -1
    cdef bint read_for_receiver(self, TLSTransport app, Py_ssize_t size) except -1
    cdef bint read_into_buffers(self, TLSTransport app) except -1
    cdef bint goes_on(self, TLSTransport app, bint as_receiver) except -1
    cdef bint has_more(self, bint record_read) except -1
    cdef discard_records(self)
    cdef control_reading(self)
    cdef encrypt(self)
    cdef send_records(self)
    cdef hand_down(self)

cdef class TLSTransport(Transport):
    cdef readonly TLSProtocol _ssl_protocol
    cdef list _backlog
    cdef BaseException _error
    cdef Py_ssize_t _written, _filled
    cdef int _conn_lost
    cdef bint _paused, _calling, _resuming, _losing
    cdef bint is_open(self) except -1
    cdef flush(self)
    cdef begin(self, loop, protocol, TLSProtocol tls, context)
    cdef call(self, str name, argument)
    cdef enter(self, method)
    cdef schedule_reading(self)
    cdef next_record(self)
    cdef drop_written(self, Py_ssize_t count)
    cdef forget_writes(self)
    cdef lose(self, BaseException exc)
    cdef release(self)

cdef positive(str name, seconds, default)
cdef complete_limits(high, low, Py_ssize_t default)
cdef default_context(bint server_side, server_hostname)
cdef close_now(transport, BaseException exc)
