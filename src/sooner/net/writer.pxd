from .._capi cimport recycle_future
from .operation cimport NEW, Operation
from .stream cimport StreamTransport

cdef class Drain(Operation):
    cdef object _writer, _protocol
    cdef void *_attributes
    cdef bint is_ready(self, transport) except -1

cdef Drain new_drain(writer, protocol)
