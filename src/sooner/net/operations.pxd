from .._capi cimport Block, block_clear, recv_bytes, recycle_future, send_bytes
from ..core.driver cimport Driver, EdgeTriggered
from ..core.future cimport FINISHED, PENDING, Future, leave_value, new_future, thrown
from ..core.handle cimport Handle
from ..core.loop cimport LoopCore
from ..core.scheduler cimport WAITING, Scheduler

cdef enum:
    OVER = 0
    NEW = 1
    BEGUN = 2

cdef enum:
    DONE = 0
    BLOCKED = 1
    BUSY = 2

cdef class Queue(EdgeTriggered):
    cdef Driver _driver
    cdef object _sock
    cdef Future _first
    cdef list _others
    cdef int _fd, _idle
    cdef bint _writes, _keeps, _drained, _tcp
    cdef call_first(self)
    cdef join(self, Future future)
    cdef replace_first(self, Future future, Future successor)
    cdef leave(self, Future future)
    cdef admit(self, sock)
    cdef bint knows(self, sock) except -1
    cdef watch(self, sock, loop)
    cdef unwatch(self)
    cdef bint dismiss(self, Exception exc) except -1

cdef class SocketLoop(LoopCore):
    cdef list _read_queues, _write_queues
    cdef Block _received, _received_much, _copied
    cdef Queue queue(self, int fd, bint writes)
    cdef Queue new_queue(self, int fd, bint writes)
    cdef take_file(self, int fd)

cdef class SocketOperation:
    cdef SocketLoop _loop
    cdef object _sock, _value
    cdef Queue _queue
    cdef Future _future
    cdef signed char _status, _writes
    cdef begin(self, SocketLoop loop, sock, bint writes)
    cdef int attempt(self, int fd, Queue queue) except -1
    cdef object start(self)
    cdef Future wait(self, Queue queue, int fd)
    cdef stand_by(self, Queue queue)
    cdef object go_on(self)
    cdef finish(self)
    cdef str method(self)

cdef class Receive(SocketOperation):
    cdef object _size
    cdef void *_attributes
    cdef int attempt(self, int fd, Queue queue) except -1
    cdef str method(self)

cdef class SendAll(SocketOperation):
    cdef object _data
    cdef Py_ssize_t _sent
    cdef int send_part(self) except -1
    cdef int attempt(self, int fd, Queue queue) except -1
    cdef str method(self)

cdef class SocketCall(SocketOperation):
    cdef str _method
    cdef tuple _arguments
    cdef int attempt(self, int fd, Queue queue) except -1
    cdef str method(self)

cdef class Accept(SocketOperation):
    cdef int attempt(self, int fd, Queue queue) except -1
    cdef str method(self)

cdef class Connect(SocketOperation):
    cdef object _address
    cdef bint _asked
    cdef int look(self, int fd) except -1
    cdef int attempt(self, int fd, Queue queue) except -1
    cdef str method(self)

cdef class Writable(SocketOperation):
    cdef bint _waited
    cdef int attempt(self, int fd, Queue queue) except -1
    cdef str method(self)

cdef int file_descriptor(sock) except? -1
cdef bint is_plain_tcp(sock) except -1
cdef SocketCall socket_call(SocketLoop loop, sock, bint writes, str method, tuple arguments)
