"""StreamReader: asyncio's, with the received bytes in an object of C, and operations for coroutines.

What is read as a rule is done here; what is rare is done by the methods of `asyncio.StreamReader` themselves, which
find all their attributes in place.
"""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import ref

import cython

from ..core.future import Future
from ..core.scheduler import Scheduler
from .stream_operation import StreamOperation, mark_coroutine_function
from .transport import Receiver

if not cython.compiled:
    from .._capi import find_bytes, recycle_future
    from ..core.future import PENDING, new_future
    from .stream_operation import NEW

    READ, EXACTLY, UNTIL, LINE, NEXT_LINE = range(5)

_StreamReader: Any = cython.declare(object, asyncio.StreamReader)
_IncompleteReadError: Any = cython.declare(object, asyncio.IncompleteReadError)
_LimitOverrunError: Any = cython.declare(object, asyncio.LimitOverrunError)
_NAMES: Any = cython.declare(tuple, ('read', 'readexactly', 'readuntil', 'readline', '__anext__'))
_LOWEST_NAMES: Any = cython.declare(tuple, ('read', 'readexactly', 'readuntil', 'readuntil', 'readuntil'))
"""Which asyncio's errors tell: readline() is readuntil() there."""
_UNLIMITED: Any = cython.declare(cython.Py_ssize_t, 1 << 40)
_MANY_CHUNKS: Any = cython.declare(cython.Py_ssize_t, 32)
_SMALL_CHUNK: Any = cython.declare(cython.Py_ssize_t, 1024)


class ReceivedBytes(Receiver):
    """What a stream received and nobody read yet; and the rest of a StreamReader's state, under the names it has there.

    Bytes objects are kept as they came: `_chunk`, never empty, from `_offset` on, then those in `_later`; `_size` is
    the number of bytes. Or else all is in `_array`, as asyncio has it: once somebody looked at `reader._buffer`, where
    what is looked for may lie across chunks, and where chunks are so small that they would take many times the memory
    of their bytes. So it stays until everything was read.

    `_most` is the limit as an integer. The reader itself is held weakly: bytes for a reader that is gone are dropped.

    `_stream` is the transport, if it is one of ours, for drain().
    """

    if not cython.compiled:
        _reader: Any = None
        _loop: Any = None
        _transport: Any = None
        _waiter: Any = None
        _exception: Any = None
        _stream: Any = None
        _limit: Any = None
        _chunk: bytes | None = None
        _later: list[bytes] | None = None
        _array: bytearray | None = None
        _most: int = 0
        _offset: int = 0
        _size: int = 0
        _eof: bool = False
        _paused: bool = False

    def take_over(self, reader: Any) -> None:
        """Take the state of a reader of asyncio's."""
        state: dict[str, Any] = reader.__dict__
        self._reader = ref(reader)
        self._loop = reader._loop
        self._array = state.pop('_buffer') or None
        self._eof = state.pop('_eof')
        self._waiter = state.pop('_waiter')
        self._exception = state.pop('_exception')
        self._transport = state.pop('_transport')
        self._paused = state.pop('_paused')
        self.set_limit(state.pop('_limit'))
        state['_received'] = self

    def set_limit(self, limit: Any) -> None:
        self._limit = limit
        self._most = int(limit) if limit < _UNLIMITED else _UNLIMITED

    # In.

    def receive(self, data: bytes) -> None:
        if self._waiter is None and self._reader() is None:
            return
        self.add(data)

    def receive_first(self, data: bytes, scheduler: Scheduler) -> None:
        waiter = self._waiter
        if type(waiter) is not Future or self._loop is not scheduler:
            self.receive(data)
            return
        self._waiter = None
        self.keep(data)
        future: Future = cython.cast(Future, waiter)
        if future._status == PENDING:
            future.finish_now(scheduler)
        if self._waiter is None:  # who needs more than that waits for it
            self.limit()

    def add(self, data: bytes) -> None:
        """Keep bytes, and wake who waits for them; pause the transport if it is too much."""
        assert not self._eof, 'feed_data after feed_eof'
        if len(data) == 0:
            return
        self.keep(data)
        if self._waiter is not None:
            self.wake()
        self.limit()

    def keep(self, data: bytes) -> None:
        """Put bytes, at least one, after those that are there."""
        size: cython.Py_ssize_t = len(data)
        if self._array is not None and len(self._array) > 0:
            self._array += data
        elif self._chunk is None:
            self._chunk = data
            self._size = size
        else:
            if self._later is None:
                self._later = []
            self._later.append(data)
            self._size += size
            count: cython.Py_ssize_t = len(self._later)
            if count >= _MANY_CHUNKS and self._size < count * _SMALL_CHUNK:
                self.to_array()

    def limit(self) -> None:
        """Pause the transport if there is too much."""
        if self._transport is not None and not self._paused and self.size() > 2 * self._most:
            self.pause()

    def wake(self) -> None:
        """Let go on who waits, if anybody does."""
        waiter = self._waiter
        self._waiter = None
        if type(waiter) is Future and cython.cast(Future, waiter)._status == PENDING:
            cython.cast(Future, waiter).finish_pending()
        elif waiter is not None and not waiter.cancelled():
            waiter.set_result(None)

    def pause(self) -> None:
        """Have no more received."""
        try:
            self._transport.pause_reading()
        except NotImplementedError:  # so all is kept, and this is not tried again
            self._transport = None
        else:
            self._paused = True

    # Out.

    def size(self) -> int:
        """Tell how many bytes there are."""
        return self._size if self._array is None else self._size + len(self._array)

    def take(self, count: cython.Py_ssize_t) -> bytes:
        """Take out bytes: so many, or all that there are."""
        if self._array is not None and len(self._array) > 0:
            return self.take_from_array(count)
        chunk = self._chunk
        if chunk is None:
            return b''
        if count > self._size:
            count = self._size
        left: cython.Py_ssize_t = len(chunk) - self._offset
        if count < left:
            data: bytes = chunk[self._offset : self._offset + count]
            self._offset += count
        elif count == left:
            data = chunk if self._offset == 0 else chunk[self._offset :]
            self.next_chunk()
        else:
            data = self.take_several(count)
        self._size -= count
        return data

    def next_chunk(self) -> None:
        self._offset = 0
        self._chunk = self._later.pop(0) if self._later else None

    def take_several(self, count: cython.Py_ssize_t) -> bytes:
        """Take out bytes of more than the first chunk; `_size` does not change."""
        parts: list[bytes] = []
        while count > 0:
            chunk = self._chunk
            size: cython.Py_ssize_t = len(chunk)  # type: ignore[arg-type]
            end: cython.Py_ssize_t = min(size, self._offset + count)
            parts.append(chunk[self._offset : end])  # type: ignore[index]
            count -= end - self._offset
            if end == size:
                self.next_chunk()
            else:
                self._offset = end
        return b''.join(parts)

    def take_from_array(self, count: cython.Py_ssize_t) -> bytes:
        array: bytearray = self.to_array()
        data = bytes(memoryview(array)[:count])
        del array[:count]
        return data

    def to_array(self) -> bytearray:
        """Have everything in `_array`."""
        if self._array is None:
            self._array = bytearray()
        if self._chunk is not None:
            self._array += self.take_several(self._size)
            self._size = 0
        return self._array

    def find(self, separator: bytes, start: cython.Py_ssize_t) -> int:
        """Return where a separator is, at `start` or after it; -1 if it isn't there."""
        if self._array is not None and len(self._array) > 0:
            return self.to_array().find(separator, start)
        chunk = self._chunk
        if chunk is None:
            return -1
        found: cython.Py_ssize_t = find_bytes(chunk, separator, self._offset + start)
        if found >= 0:
            return found - self._offset
        if not self._later:
            return -1
        first: cython.Py_ssize_t = len(chunk) - self._offset
        if first > self._size - first:
            return self.to_array().find(separator, start)
        # Joined, and not in the array: so the rest of a line costs no more than what came after it, and stays cheap.
        self._chunk = chunk = self.take_several(self._size)
        return find_bytes(chunk, separator, start)

    def resume_transport(self) -> None:
        """Have more received, if that was paused and little enough is left."""
        if self._paused and self.size() <= self._most:
            self._paused = False
            self._transport.resume_reading()

    def new_waiter(self, name: str) -> Future:
        """Return a future that is done when there is more, or an end; RuntimeError if somebody waits already."""
        if self._waiter is not None:
            raise RuntimeError(f'{name}() called while another coroutine is already waiting for incoming data')
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        waiter: Future = new_future(cython.cast(Scheduler, self._loop))
        self._waiter = waiter
        return waiter


class Read(StreamOperation):
    """One call of a method that reads.

    `_argument` is what it was called with, `_count` or `_separator` the same of its right type. `_searched` is how many
    bytes hold no separator.
    """

    if not cython.compiled:
        _kind: int = READ
        _reader: Any = None
        _received: Any = None
        _argument: Any = None
        _separator: bytes = b''
        _count: int = 0
        _searched: int = 0

    def begin(self) -> Any:
        argument = self._argument
        kind: cython.int = self._kind
        if self._received._exception is not None:
            return self.delegate(self.coroutine())
        if kind <= EXACTLY:
            if type(argument) is not int or argument < 0:
                return self.delegate(self.coroutine())
            self._count = argument if argument < _UNLIMITED else _UNLIMITED
            if self._count == 0:
                return self.finish(b'')
            if kind == EXACTLY:
                return self.read_exactly()
            if self._received.size() == 0 and not self._received._eof:
                return self.wait()
            return self.read()
        if type(argument) is not bytes or len(argument) == 0:
            return self.delegate(self.coroutine())
        self._separator = argument
        return self.read_until()

    def coroutine(self) -> Any:
        """Return the coroutine of asyncio's that does the same."""
        kind: cython.int = self._kind
        if kind == READ:
            return _StreamReader.read(self._reader, self._argument)
        if kind == EXACTLY:
            return _StreamReader.readexactly(self._reader, self._argument)
        if kind == UNTIL:
            return _StreamReader.readuntil(self._reader, self._argument)
        if kind == LINE:
            return _StreamReader.readline(self._reader)
        return _StreamReader.__anext__(self._reader)

    def resume(self) -> Any:
        if self._kind == READ:
            return self.read()
        if self._kind == EXACTLY:
            return self.read_exactly()
        return self.read_until()

    def read(self) -> Any:
        data = self._received.take(self._count)
        self._received.resume_transport()
        return self.finish(data)

    def read_exactly(self) -> Any:
        received: ReceivedBytes = self._received
        if received.size() < self._count:
            if not received._eof:
                return self.wait()
            raise _IncompleteReadError(received.take(self._count), self._argument)
        data = received.take(self._count)
        received.resume_transport()
        return self.finish(data)

    def read_until(self) -> Any:
        received: ReceivedBytes = self._received
        size: cython.Py_ssize_t = received.size()
        length: cython.Py_ssize_t = len(self._separator)
        if size - self._searched >= length:
            found: cython.Py_ssize_t = received.find(self._separator, self._searched)
            if found >= 0:
                if found > received._most:
                    return self.overrun(_LimitOverrunError('Separator is found, but chunk is longer than limit', found))
                data = received.take(found + length)
                received.resume_transport()
                return self.finish(data)
            self._searched = size + 1 - length
            if self._searched > received._most:
                return self.overrun(
                    _LimitOverrunError('Separator is not found, and chunk exceed the limit', self._searched)
                )
        if not received._eof:
            return self.wait()
        return self.end_incomplete(received.take(size))

    def end_incomplete(self, partial: bytes) -> Any:
        """End at the end of the stream."""
        if self._kind == UNTIL:
            raise _IncompleteReadError(partial, None)
        if self._kind == NEXT_LINE and not partial:
            raise StopAsyncIteration
        return self.finish(partial)

    def overrun(self, exc: Any) -> Any:
        """Fail because of the limit; what was to be one line is dropped."""
        if self._kind == UNTIL:
            raise exc
        array: bytearray = self._received.to_array()
        if array.startswith(self._separator, exc.consumed):
            del array[: exc.consumed + len(self._separator)]
        else:
            array.clear()
        self._received.resume_transport()
        error = ValueError(exc.args[0])
        error.__context__ = exc
        raise error

    def wait(self) -> Any:
        return self.wait_for(self._received.new_waiter(_LOWEST_NAMES[self._kind]))

    def stop_waiting(self) -> None:
        self._received._waiter = None

    def interrupt(self, exc: BaseException) -> Any:
        if self._kind >= LINE:
            if isinstance(exc, _IncompleteReadError):
                return self.end_incomplete(exc.partial)
            if isinstance(exc, _LimitOverrunError):
                return self.overrun(exc)
        raise exc

    def name(self) -> str:
        return f'StreamReader.{_NAMES[self._kind]}'


def new_read(reader: Any, kind: cython.int, argument: Any) -> Read:
    """Make the operation of a method."""
    operation: Read = Read.__new__(Read)
    operation._kind = kind
    operation._reader = reader
    operation._received = reader._received
    operation._argument = argument
    operation._state = NEW
    return operation


class StreamReader(_StreamReader):  # type: ignore[misc]
    """What an `asyncio.StreamReader` becomes when a loop of ours connects it: `sooner.net.adoption` says when.

    Its attributes live in `_received`. Its methods pass for coroutine functions, and what they return for coroutines.
    """

    def read(self, n: Any = -1) -> Any:
        """Read up to n bytes, as soon as there is one; by default all up to the end of the stream."""
        return new_read(self, READ, n)

    def readexactly(self, n: Any) -> Any:
        """Read n bytes; IncompleteReadError if the stream ends before."""
        return new_read(self, EXACTLY, n)

    def readuntil(self, separator: Any = b'\n') -> Any:
        """Read up to a separator and with it; IncompleteReadError, LimitOverrunError if there is none."""
        return new_read(self, UNTIL, separator)

    def readline(self) -> Any:
        """Read a line with its end; without one, the last line. ValueError if it is longer than the limit."""
        return new_read(self, LINE, b'\n')

    def __anext__(self) -> Any:
        return new_read(self, NEXT_LINE, b'\n')

    def feed_data(self, data: Any) -> None:
        """Receive bytes."""
        if type(data) is bytes:
            cython.cast(ReceivedBytes, self._received).add(data)
        else:
            _StreamReader.feed_data(self, data)

    def exception(self) -> Any:
        """Return what ended the connection, or None."""
        return cython.cast(ReceivedBytes, self._received)._exception

    def at_eof(self) -> bool:
        """Tell whether everything was read, and no more comes."""
        received: ReceivedBytes = self._received
        return received._eof and received.size() == 0

    # asyncio's names.

    @property
    def _buffer(self) -> bytearray:
        return cython.cast(ReceivedBytes, self._received).to_array()

    @_buffer.setter
    def _buffer(self, value: Any) -> None:
        received: ReceivedBytes = self._received
        received.take(received.size())
        received._array = value

    @property
    def _eof(self) -> bool:
        return cython.cast(ReceivedBytes, self._received)._eof

    @_eof.setter
    def _eof(self, value: Any) -> None:
        cython.cast(ReceivedBytes, self._received)._eof = value

    @property
    def _waiter(self) -> Any:
        return cython.cast(ReceivedBytes, self._received)._waiter

    @_waiter.setter
    def _waiter(self, value: Any) -> None:
        cython.cast(ReceivedBytes, self._received)._waiter = value

    @property
    def _exception(self) -> Any:
        return cython.cast(ReceivedBytes, self._received)._exception

    @_exception.setter
    def _exception(self, value: Any) -> None:
        cython.cast(ReceivedBytes, self._received)._exception = value

    @property
    def _transport(self) -> Any:
        return cython.cast(ReceivedBytes, self._received)._transport

    @_transport.setter
    def _transport(self, value: Any) -> None:
        cython.cast(ReceivedBytes, self._received)._transport = value

    @property
    def _paused(self) -> bool:
        return cython.cast(ReceivedBytes, self._received)._paused

    @_paused.setter
    def _paused(self, value: Any) -> None:
        cython.cast(ReceivedBytes, self._received)._paused = value

    @property
    def _limit(self) -> Any:
        return cython.cast(ReceivedBytes, self._received)._limit

    @_limit.setter
    def _limit(self, value: Any) -> None:
        cython.cast(ReceivedBytes, self._received).set_limit(value)


mark_coroutine_function(StreamReader.read)
mark_coroutine_function(StreamReader.readexactly)
mark_coroutine_function(StreamReader.readuntil)
mark_coroutine_function(StreamReader.readline)
mark_coroutine_function(StreamReader.__anext__)
if cython.compiled:
    _sample = Read.__new__(Read)
    recycle_future(
        Read,
        _sample,
        cython.cast(Read, _sample)._state,
        cython.cast(Read, _sample)._attributes,
    )
    del _sample
