from .._capi cimport EpollEvents, epoll_change, epoll_wait_for, event_fd, event_mask, event_read, event_write, ring_push
from ..core.driver cimport Descriptor, Driver, EdgeTriggered
from ..core.scheduler cimport Runnable, Scheduler

cdef enum:
    EPOLLIN = 1
    EPOLLPRI = 2
    EPOLLOUT = 4
    EPOLLRDHUP = 0x2000
    EPOLLET = -0x80000000
    EPOLL_CTL_ADD = 1
    EPOLL_CTL_DEL = 2
    EPOLL_CTL_MOD = 3

cdef class Watch:
    cdef Runnable _reader, _writer
    cdef int events(self)
    cdef Runnable exchange(self, Runnable runnable, bint writes)

cdef class EpollDriver(Driver):
    cdef EpollEvents _events
    cdef object _epoll
    cdef int _epoll_fd, _event_fd
    cdef Descriptor _event
    cdef list _watches
    cdef Watch watch(self, int fd)
    cdef Runnable exchange(self, int fd, Runnable runnable, bint writes)
    cdef update(self, int fd, Watch watch, int before)
