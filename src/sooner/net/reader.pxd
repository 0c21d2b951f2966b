from .._capi cimport find_bytes, recycle_future
from ..core.future cimport PENDING, Future, new_future
from ..core.scheduler cimport Scheduler
from .stream_operation cimport NEW, StreamOperation
from .transport cimport Receiver

cdef enum:
    READ = 0
    EXACTLY = 1
    UNTIL = 2
    LINE = 3
    NEXT_LINE = 4

cdef class ReceivedBytes(Receiver):
    cdef object _reader, _loop, _transport, _waiter, _exception, _limit, _stream
    cdef bytes _chunk
    cdef list _later
    cdef bytearray _array
    cdef Py_ssize_t _most, _offset, _size
    cdef bint _eof, _paused
    cdef take_over(self, reader)
    cdef set_limit(self, limit)
    cdef add(self, bytes data)
    cdef keep(self, bytes data)
    cdef limit(self)
    cdef wake(self)
    cdef pause(self)
    cdef Py_ssize_t size(self) except -1
    cdef bytes take(self, Py_ssize_t count)
    cdef next_chunk(self)
    cdef bytes take_several(self, Py_ssize_t count)
    cdef bytes take_from_array(self, Py_ssize_t count)
    cdef bytearray to_array(self)
    cdef Py_ssize_t find(self, bytes separator, Py_ssize_t start) except -2
    cdef resume_transport(self)
    cdef Future new_waiter(self, str name)

cdef class Read(StreamOperation):
    cdef int _kind
    cdef object _reader, _argument
    cdef ReceivedBytes _received
    cdef bytes _separator
    cdef Py_ssize_t _count, _searched
    cdef void *_attributes
    cdef coroutine(self)
    cdef read(self)
    cdef read_exactly(self)
    cdef read_until(self)
    cdef end_incomplete(self, bytes partial)
    cdef overrun(self, exc)
    cdef wait(self)

cdef Read new_read(reader, int kind, argument)
