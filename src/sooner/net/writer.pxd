from .._capi cimport recycle_future
from .stream_operation cimport NEW, StreamOperation
from .stream cimport StreamTransport

cdef class Drain(StreamOperation):
    cdef object _writer, _protocol
    cdef void *_attributes
    cdef bint is_ready(self, transport) except -1

cdef Drain new_drain(writer, protocol)
