"""Operations on sockets: what sock_recv(), sock_sendall() and their like return, and how these wait.

An operation is an awaitable that also passes as a coroutine. It makes its system call when it is first awaited. If that
does all there is to do the await ends at once: there was no future, no coroutine, no turn of the loop. Otherwise the
operation waits its turn: it yields a future that is done when the socket may be ready, and when it is resumed it makes
the call again. So a cancelled operation has either made no call since it was told that it may, or has returned what
that gave: no byte is lost.

Who waits for a socket stands in its `Queue`, one for reading and one for writing, in the order of their calls: so two
that wait for the same socket get what comes one after the other, and what two send is not mixed.

A queue is watched by the driver, and stays so when nobody waits in it any more, as most often somebody will again soon.
This is what has to be minded:

- The driver must push a queue only when something changes (`EdgeTriggered`): of a socket that is closed, but of which
  another process has a copy, the kernel goes on to report events under the number that it had, and they cannot be
  switched off. Where a driver can't do that, a queue is watched only while somebody waits.
- A socket may be closed, and its number be another's, without anybody telling. A queue knows the socket for which it is
  watched; for another it is watched anew, and who waited for a closed one is told (`Queue.admit()`).
- Something else may be watching the file now: add_reader(), a transport. So the driver is asked each time whether it
  still watches the queue.
- A call is made with the number that the socket has at that moment, never with one that was noted before.

Who has received fewer bytes than there was room for has emptied the socket, and to try again would be in vain: the next
one waits at once (`Queue._drained`), until an event comes. That is so for TCP, where bytes have no bounds, as long as
no event told of more than data: the end of the stream, or an error, may have come with the data, and then no event of
its own follows; and before urgent data a call stops, though there is more.
"""

from __future__ import annotations

import errno
import select
import socket
import warnings
from asyncio import base_events
from types import TracebackType
from typing import Any
from weakref import ref

import cython

from ..core.driver import Driver, EdgeTriggered
from ..core.future import Future
from ..core.handle import Handle
from ..core.loop import LoopCore
from ..core.scheduler import Scheduler

if not cython.compiled:
    from .._capi import Block, block_clear, recv_bytes, recycle_future, send_bytes
    from ..core.future import FINISHED, PENDING, leave_value, new_future, thrown
    from ..core.scheduler import WAITING

    OVER, NEW, BEGUN = range(3)
    DONE, BLOCKED, BUSY = range(3)

_Socket: Any = cython.declare(object, socket.socket)
_fileno: Any = cython.declare(object, socket.socket.fileno)
_check_ssl_socket: Any = cython.declare(object, base_events._check_ssl_socket)  # type: ignore[attr-defined]
_COMPILED: Any = cython.declare(cython.bint, cython.compiled)
_IDLE_EVENTS: Any = cython.declare(cython.int, 4)
_TCP_ULP: Any = cython.declare(object, 31)  # Linux: what stands between TCP and the socket
_PARTS_AT_ONCE: Any = cython.declare(cython.int, 4)


class Queue(EdgeTriggered):
    """Who waits to read, or to write, a socket: futures, `_first` and then `_others`.

    The first future is done as soon as the socket may be ready, and keeps its place until its operation leaves: then it
    is the next one's turn. `_sock` is a weak reference to the socket for which the queue is watched. `_keeps` tells
    that it stays watched while nobody waits; not for ever, though: `_idle` counts the events that came for nobody.
    `_drained` tells that there was nothing more to read, and nothing has come since, if the queue was watched all the
    time; `_tcp` that this can be known.
    """

    if not cython.compiled:
        _driver: Driver
        _sock: Any = None
        _first: Future | None = None
        _others: list[Future] | None = None
        _fd: int = -1
        _idle: int = 0
        _writes: bool = False
        _keeps: bool = False
        _drained: bool = False
        _tcp: bool = False

    def run(self, scheduler: Scheduler) -> None:
        self._drained = False
        if self._first is not None:
            first: Future = cython.cast(Future, self._first)
            if first._status == PENDING:
                first.finish_now(scheduler)
        elif self._idle < _IDLE_EVENTS:
            self._idle += 1
        else:
            self.unwatch()

    def call_first(self) -> None:
        """Have the first one try."""
        cython.cast(Future, self._first).finish_pending()

    def join(self, future: Future) -> None:
        """Stand at the end."""
        if self._first is None:
            self._first = future
        elif self._others is None:
            self._others = [future]
        else:
            self._others.append(future)

    def replace_first(self, future: Future, successor: Future) -> None:
        """Stand where another future, whose turn it is, stood."""
        if self._first is future:
            self._first = successor
        else:
            self.join(successor)

    def leave(self, future: Future) -> None:
        """Wait no longer: then it is the next one's turn."""
        if self._first is not future:
            if self._others is not None and future in self._others:
                self._others.remove(future)
            return
        self._first = None
        if self._others:
            self._first = self._others.pop(0)
            self.call_first()
        elif not self._keeps:
            self.unwatch()

    def admit(self, sock: Any) -> None:
        """Let a socket in that has this queue's number: if it is another than before, that one may be closed by now."""
        if self._first is not None and not self.knows(sock):
            known = None if self._sock is None else self._sock()
            if known is None or known.fileno() != self._fd:
                self.dismiss(OSError(errno.EBADF, 'the socket was closed while somebody waited for it'))

    def knows(self, sock: Any) -> bool:
        """Tell whether the queue is watched for this very socket, if it is watched."""
        return self._sock is not None and self._sock() is sock

    def watch(self, sock: Any, loop: Any) -> None:
        """Have the driver push this when the socket may be ready; RuntimeError if a transport has it."""
        self._idle = 0
        watched = self._driver.watches(self._fd, self, self._writes)
        if watched and self.knows(sock):
            return
        loop._ensure_fd_no_transport(self._fd)
        if watched and not self._keeps:
            self.unwatch()
        try:
            self._sock = ref(sock)
        except TypeError:
            self._sock = None
        self._drained = self._special = False
        self._tcp = self._keeps and not self._writes and is_plain_tcp(sock)
        set_queue = self._driver.set_writer if self._writes else self._driver.set_reader
        previous = set_queue(self._fd, self)
        if isinstance(previous, Handle):
            previous.cancel()

    def unwatch(self) -> None:
        """Be pushed no more."""
        if self._driver.watches(self._fd, self, self._writes):
            if self._writes:
                self._driver.set_writer(self._fd, None)
            else:
                self._driver.set_reader(self._fd, None)

    def cancel(self) -> bool:
        """Let the file be watched by something else; return whether somebody waited, who is told."""
        return self.dismiss(RuntimeError('something else waits for this socket now: add_reader(), or a transport'))

    def dismiss(self, exc: Exception) -> bool:
        """Send all away with an exception; return whether there was anybody."""
        waiting = self._first is not None
        while self._first is not None:
            first: Future = cython.cast(Future, self._first)
            self._first = self._others.pop(0) if self._others else None
            if first._status == PENDING:
                first.fail(exc)
        return waiting


class SocketLoop(LoopCore):
    """A loop with operations on sockets: `_read_queues` and `_write_queues` are indexed by file descriptor.

    Transports read into `_received`, or what that has no room for into `_received_much`, and copy what they are to
    write to `_copied`.
    """

    if not cython.compiled:
        _read_queues: list[Queue | None]
        _write_queues: list[Queue | None]

    else:

        def __dealloc__(self) -> None:
            block_clear(self._received)
            block_clear(self._received_much)
            block_clear(self._copied)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if not cython.compiled:
            self._received = Block()
            self._received_much = Block()
            self._copied = Block()
        self._read_queues = []
        self._write_queues = []

    def queue(self, fd: cython.int, writes: cython.bint) -> Queue | None:
        """Tell the queue of a file, if there is one."""
        queues = self._write_queues if writes else self._read_queues
        return queues[fd] if 0 <= fd < len(queues) else None

    def new_queue(self, fd: cython.int, writes: cython.bint) -> Queue:
        """Make the queue of a file."""
        queue: Queue = Queue.__new__(Queue)
        queue._driver = self._driver
        queue._fd = fd
        queue._writes = writes
        queue._keeps = self._driver.edges
        queues = self._write_queues if writes else self._read_queues
        while len(queues) <= fd:
            queues.append(None)
        queues[fd] = queue
        return queue

    def take_file(self, fd: cython.int) -> None:
        """Let a transport have a file to itself."""
        for queue in (self.queue(fd, False), self.queue(fd, True)):
            if queue is not None:
                cython.cast(Queue, queue).unwatch()
                cython.cast(Queue, queue).cancel()

    def drop_everything(self) -> list[Any]:
        tasks: list[Any] = LoopCore.drop_everything(self)
        self._read_queues = []
        self._write_queues = []
        return tasks

    def sock_recv(self, sock: Any, nbytes: Any) -> Receive:
        """Receive at most nbytes bytes from a non-blocking socket; b'' at the end of the stream."""
        operation: Receive = Receive.__new__(Receive)
        operation.begin(self, sock, False)
        operation._size = nbytes
        return operation

    def sock_recv_into(self, sock: Any, buf: Any) -> SocketCall:
        """Receive from a non-blocking socket into a writable buffer; return how many bytes."""
        return socket_call(self, sock, False, 'recv_into', (buf,))

    def sock_recvfrom(self, sock: Any, bufsize: int) -> SocketCall:
        """Receive a datagram of at most bufsize bytes from a non-blocking socket; return it and who sent it."""
        return socket_call(self, sock, False, 'recvfrom', (bufsize,))

    def sock_recvfrom_into(self, sock: Any, buf: Any, nbytes: Any = 0) -> SocketCall:
        """Receive a datagram of at most nbytes bytes (0: as long as the buffer is) into a writable buffer.

        Return the number of bytes, and the sender's address.
        """
        return socket_call(self, sock, False, 'recvfrom_into', (buf, nbytes))

    def sock_sendall(self, sock: Any, data: Any) -> SendAll:
        """Send bytes to a connected non-blocking socket, all of them.

        After an exception nobody knows how many of them were sent.
        """
        operation: SendAll = SendAll.__new__(SendAll)
        operation.begin(self, sock, True)
        operation._data = data
        return operation

    def sock_sendto(self, sock: Any, data: Any, address: Any) -> SocketCall:
        """Send a datagram through a non-blocking socket to an address; return the number of bytes sent."""
        return socket_call(self, sock, True, 'sendto', (data, address))

    def sock_accept(self, sock: Any) -> Accept:
        """Accept a connection of a non-blocking listening socket; return its socket, non-blocking, and its address."""
        operation: Accept = Accept.__new__(Accept)
        operation.begin(self, sock, False)
        return operation

    def _sock_connect(self, sock: Any, address: Any) -> Connect:
        """Connect a non-blocking socket to an address of its family, without looking up names."""
        operation: Connect = Connect.__new__(Connect)
        operation.begin(self, sock, True)
        operation._address = address
        return operation

    def _sock_writable(self, sock: Any) -> Writable:
        """Wait until a non-blocking socket that had no room may have some."""
        operation: Writable = Writable.__new__(Writable)
        operation.begin(self, sock, True)
        return operation


class SocketOperation:
    """An operation on a socket, as a coroutine that runs once.

        NEW    --awaited, and done at once--------------------> OVER
        NEW    --awaited, and has to wait---------------------> BEGUN
        BEGUN  --resumed, and done; or an error, close()------> OVER

    In BEGUN `_future` stands in `_queue`. A subclass says what is done, in attempt().
    """

    if not cython.compiled:
        _loop: Any = None
        _sock: Any = None
        _queue: Queue | None = None
        _future: Future | None = None
        _value: Any = None
        _status: int = OVER
        _writes: bool = False

    def begin(self, loop: SocketLoop, sock: Any, writes: cython.bint) -> None:
        """Be made."""
        self._loop = loop
        self._sock = sock
        self._writes = writes
        self._status = NEW

    def attempt(self, fd: cython.int, queue: Queue | None) -> int:
        """Do it, if that can be done now; if nobody has waited yet there is no queue.

        Return DONE, with the result in `_value`; BLOCKED: the socket is not ready; BUSY: others are to have their turn
        before this goes on.
        """
        raise NotImplementedError

    # The coroutine.

    def __await__(self) -> SocketOperation:
        return self

    def __iter__(self) -> SocketOperation:
        return self

    def __next__(self) -> Any:
        if self._status == NEW:
            self._status = OVER
            yielded = self.start()
        elif self._status == BEGUN:
            yielded = self.go_on()
        else:
            raise RuntimeError('cannot reuse already awaited coroutine')
        if self._status == BEGUN:
            return yielded
        value = self._value
        if value is not None:
            self._value = None
            leave_value(value)
        raise StopIteration

    def start(self) -> Any:
        """Try; return what to yield, if it is to be waited."""
        loop: SocketLoop = cython.cast(SocketLoop, self._loop)
        sock = self._sock
        if type(sock) is not _Socket:
            _check_ssl_socket(sock)
        if loop._debug and sock.gettimeout() != 0:
            raise ValueError('the socket must be non-blocking')
        fd: cython.int = file_descriptor(sock)
        queue = loop.queue(fd, self._writes)
        if queue is not None and cython.cast(Queue, queue)._first is not None:
            cython.cast(Queue, queue).admit(sock)
            if cython.cast(Queue, queue)._first is not None:
                return self.wait(queue, fd)
        outcome: cython.int = self.attempt(fd, queue)
        if outcome == DONE:
            return None
        if loop._status > WAITING:
            loop.check_usable()
        if queue is None:
            queue = loop.new_queue(fd, self._writes)
        if outcome == BUSY:
            self._loop._ensure_fd_no_transport(fd)
            self.stand_by(queue)
            return None
        return self.wait(queue, fd)

    def wait(self, queue: Any, fd: cython.int) -> Future:
        """Stand in the queue; return the future that is done when it is time to try."""
        cython.cast(Queue, queue).watch(self._sock, self._loop)
        future: Future = new_future(cython.cast(Scheduler, self._loop))
        cython.cast(Queue, queue).join(future)
        self._queue = queue
        self._future = future
        self._status = BEGUN
        future._blocking = True
        return future

    def stand_by(self, queue: Any) -> None:
        """Stand in the queue, but go on in the next turn, whatever happens."""
        future: Future = new_future(cython.cast(Scheduler, self._loop))
        future._status = FINISHED
        cython.cast(Queue, queue).join(future)
        self._queue = queue
        self._future = future
        self._status = BEGUN

    def go_on(self) -> Any:
        """Try again, as the future is done; return what to yield, if there is more to wait for."""
        future: Future = cython.cast(Future, self._future)
        queue: Queue = cython.cast(Queue, self._queue)
        if future._status == PENDING:  # resumed by somebody who did not wait for it
            future._blocking = True
            return future
        try:
            if future._status != FINISHED or future._error is not None:
                raise future.failure()
            fd: cython.int = file_descriptor(self._sock)
            outcome: cython.int = self.attempt(fd, queue)
            if outcome == BUSY:
                return None
            if outcome == BLOCKED:
                queue.watch(self._sock, self._loop)
                future = new_future(cython.cast(Scheduler, self._loop))
                queue.replace_first(cython.cast(Future, self._future), future)
                self._future = future
                future._blocking = True
                return future
        except BaseException:
            self.finish()
            raise
        self.finish()
        return None

    def finish(self) -> None:
        """Be over, whatever comes of it."""
        self._status = OVER
        future = self._future
        queue = self._queue
        self._future = self._queue = None
        if queue is not None:
            cython.cast(Queue, queue).leave(cython.cast(Future, future))

    def send(self, value: Any) -> Any:
        """Go on, as next()."""
        if value is not None and self._status == NEW:
            raise TypeError("can't send non-None value to a just-started coroutine")
        return self.__next__()

    def throw(self, kind: Any, value: Any = None, traceback: TracebackType | None = None) -> Any:
        """Raise an exception where this is awaited, which ends it."""
        if self._status == OVER:
            raise RuntimeError('cannot reuse already awaited coroutine')
        exc = thrown(kind, value, traceback)
        self.finish()
        raise exc

    def close(self) -> None:
        """End it."""
        self.finish()

    def __del__(self) -> None:
        if self._status == NEW:
            self._status = OVER
            message = f"coroutine '{type(self._loop).__name__}.{self.method()}' was never awaited"
            warnings.warn(message, RuntimeWarning, source=self, stacklevel=1 if cython.compiled else 2)
        elif self._status == BEGUN:
            self.finish()

    def method(self) -> str:
        """Tell the name of the loop's method that returned this."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> str:
        if name == '__name__':  # asyncio's repr() of a task looks for it; Cython knows no property of this name
            return self.method()
        raise AttributeError(f'{type(self).__name__!r} object has no attribute {name!r}')

    def __repr__(self) -> str:
        state = ('over', 'new', 'begun')[self._status]
        return f'<{self.method()}() {state} {self._sock!r}>'


class Receive(SocketOperation):
    """What sock_recv() returns."""

    if not cython.compiled:
        _size: Any = None

    def attempt(self, fd: cython.int, queue: Queue | None) -> int:
        size: cython.Py_ssize_t = 0  # also if it has no meaning: the socket knows what to say then
        if type(self._sock) is _Socket and type(self._size) is int:
            size = self._size
        if size > 0 and queue is not None and queue._drained and queue._fd == fd:
            return BLOCKED
        if _COMPILED and size > 0:
            self._value = recv_bytes(fd, size, self._loop._received_much)
            if self._value is None:
                return BLOCKED
        else:
            try:
                self._value = self._sock.recv(self._size)
            except (BlockingIOError, InterruptedError):
                return BLOCKED
        if size > 0 and queue is not None and queue._tcp and not queue._special:
            queue._drained = 0 < len(cython.cast(bytes, self._value)) < size
        return DONE

    def method(self) -> str:
        return 'sock_recv'


class SendAll(SocketOperation):
    """What sock_sendall() returns: `_sent` bytes of `_data` were sent so far."""

    if not cython.compiled:
        _data: Any = None
        _sent: int = 0

    def attempt(self, fd: cython.int, queue: Queue | None) -> int:
        cython.cast(LoopCore, self._loop).expect_events()
        for _ in range(_PARTS_AT_ONCE):
            if _COMPILED and type(self._data) is bytes and type(self._sock) is _Socket:
                count: cython.Py_ssize_t = send_bytes(fd, self._data, self._sent)
                if count < 0:
                    return BLOCKED
                self._sent += count
                if self._sent == len(self._data):
                    return DONE
            else:
                outcome: cython.int = self.send_part()
                if outcome != BUSY:
                    return outcome
        return BUSY

    def send_part(self) -> int:
        """Send what goes now, of data that may be any bytes; return BUSY if that was not all."""
        try:
            if self._sent == 0:
                count: cython.Py_ssize_t = self._sock.send(self._data)
            else:
                count = self._sock.send(self._data[self._sent :])
        except (BlockingIOError, InterruptedError):
            if type(self._data) is not memoryview:
                self._data = memoryview(self._data).cast('B')  # which keeps its owner from changing the size
            return BLOCKED
        self._sent += count
        view = memoryview(self._data)
        if self._sent >= view.nbytes:
            return DONE
        self._data = view.cast('B')
        return BUSY

    def method(self) -> str:
        return 'sock_sendall'


class SocketCall(SocketOperation):
    """An operation that is one call of a socket's method."""

    if not cython.compiled:
        _method: Any = None
        _arguments: Any = None

    def attempt(self, fd: cython.int, queue: Queue | None) -> int:
        if self._writes:
            cython.cast(LoopCore, self._loop).expect_events()
        try:
            self._value = getattr(self._sock, self._method)(*self._arguments)
        except (BlockingIOError, InterruptedError):
            return BLOCKED
        return DONE

    def method(self) -> str:
        return f'sock_{self._method}'


class Accept(SocketOperation):
    """What sock_accept() returns."""

    def attempt(self, fd: cython.int, queue: Queue | None) -> int:
        try:
            connection, address = self._sock.accept()
        except (BlockingIOError, InterruptedError):
            return BLOCKED
        connection.setblocking(False)
        self._value = connection, address
        return DONE

    def method(self) -> str:
        return 'sock_accept'


class Connect(SocketOperation):
    """What sock_connect() awaits: `_asked` tells that the connection is being made."""

    if not cython.compiled:
        _address: Any = None
        _asked: bool = False

    def attempt(self, fd: cython.int, queue: Queue | None) -> int:
        cython.cast(LoopCore, self._loop).expect_events()
        if self._asked:
            return self.look(fd)
        try:
            self._sock.connect(self._address)
        except BlockingIOError as exc:
            if exc.errno == errno.EAGAIN:  # the listener's queue, or the system's memory, is full: nothing will tell us
                raise
        except InterruptedError:
            pass
        else:
            return DONE
        self._asked = True
        return BLOCKED

    def look(self, fd: cython.int) -> int:
        """Ask what became of it."""
        error = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error != 0:
            raise OSError(error, f'Connect call failed {self._address}')
        poll = select.poll()
        poll.register(fd, select.POLLOUT)
        return DONE if poll.poll(0) else BLOCKED  # an event may have been another file's, which had this number before

    def method(self) -> str:
        return 'sock_connect'


class Writable(SocketOperation):
    """Waiting alone, for who makes the call."""

    if not cython.compiled:
        _waited: bool = False

    def attempt(self, fd: cython.int, queue: Queue | None) -> int:
        if self._waited:
            return DONE
        self._waited = True
        return BLOCKED

    def method(self) -> str:
        return 'sock_sendfile'


def file_descriptor(sock: Any) -> int:
    """Tell the number that a socket has now."""
    number: cython.int = _fileno(sock) if type(sock) is _Socket else sock.fileno()
    return number


def is_plain_tcp(sock: Any) -> bool:
    """Tell whether this is a TCP socket, and reads give its bytes as they come, without records (as of TLS)."""
    try:
        return type(sock) is _Socket and sock.getsockopt(socket.IPPROTO_TCP, _TCP_ULP, 16) == b''
    except OSError:
        return False


def socket_call(
    loop: SocketLoop, sock: Any, writes: cython.bint, method: str, arguments: tuple[Any, ...]
) -> SocketCall:
    """Make an operation that is one call of a method."""
    operation: SocketCall = SocketCall.__new__(SocketCall)
    operation.begin(loop, sock, writes)
    operation._method = method
    operation._arguments = arguments
    return operation


if cython.compiled:
    _sample = Receive.__new__(Receive)
    recycle_future(
        Receive,
        _sample,
        cython.cast(Receive, _sample)._status,
        cython.cast(Receive, _sample)._attributes,
    )
    del _sample
