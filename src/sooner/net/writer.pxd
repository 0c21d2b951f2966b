from .._capi cimport recycle_future
from .stream_operation cimport NEW, StreamOperation
from .reader cimport ReceivedBytes
from .transport cimport Transport

cdef class Drain(StreamOperation):
    cdef object _writer, _protocol
    cdef ReceivedBytes _received
    cdef void *_attributes
    cdef bint need_not_wait(self) except -1

cdef Drain new_drain(writer, protocol, ReceivedBytes received)
