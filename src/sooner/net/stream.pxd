from .._capi cimport (
    Endpoints,
    accept_stream,
    context_call,
    context_method1,
    context_value1,
    copy_bytes,
    copy_methods,
    own_address,
    peer_address,
    recv_block,
    recv_into,
    recycle_future,
    send_bytes,
    send_vector,
)
from ..core.loop cimport LoopCore
from ..core.scheduler cimport FORKED, Scheduler
from .operations cimport SocketLoop
from .transport cimport FileTransport, Receiver, Transport

cdef class StreamTransport(FileTransport):
    cdef Endpoints _ends
    cdef object _empty_waiter
    cdef list _chunks
    cdef Py_ssize_t _sent
    cdef readonly bint _eof
    cdef bint _by_methods
    cdef read_into_buffer(self)
    cdef read_end(self)
    cdef name_socket(self, sock)
    cdef begin(self, loop, protocol, server, context)
    cdef attach(self, server)
    cdef name_ends(self)
    cdef write_other(self, data)
    cdef send_view(self, view)
    cdef check_writable(self, str method)
    cdef append(self, bytes data)
    cdef send_chunks(self)
    cdef bint drop_sent(self, Py_ssize_t sent) except -1
    cdef shut_down(self)

cdef StreamTransport accept_transport(sock, int fd)
