from .._capi cimport context_call, context_method1
from ..core.loop cimport LoopCore
from ..core.scheduler cimport Scheduler
from .operations cimport SocketLoop
from .transport cimport FileTransport, Receiver

cdef class PipeTransport(FileTransport):
    cdef int _kind
    cdef dict __dict__

cdef class ReadPipeTransport(PipeTransport):
    cdef bint _always_ready
    cdef receive_eof(self)

cdef class WritePipeTransport(PipeTransport):
    cdef object _buffer
    cdef int _written_in_vain
    cdef bint reader_has_gone(self) except -1
