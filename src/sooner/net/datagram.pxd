from .._capi cimport (
    context_method1,
    context_method2,
    copy_methods,
    datagram_sender,
    recv_datagram,
    recycle_future,
    send_datagram,
)
from ..core.loop cimport LoopCore
from .transport cimport FileTransport, Transport

cdef class DatagramTransport(FileTransport):
    cdef object _address, _datagrams
    cdef int _family
    cdef bint _ip, _connected
    cdef name_socket(self, sock)
    cdef tuple receive(self)
    cdef report(self, BaseException exc, str method)
    cdef bint send_now(self, data, addr) except -1
    cdef forget_first(self)
    cdef send_outbox(self)
