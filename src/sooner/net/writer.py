"""StreamWriter: asyncio's, with a drain() that costs nothing where there is nothing to wait for."""

from __future__ import annotations

import asyncio
from typing import Any

import cython

from .reader import ReceivedBytes
from .stream_operation import StreamOperation, mark_coroutine_function
from .transport import Transport

if not cython.compiled:
    from .._capi import recycle_future
    from .stream_operation import NEW

_StreamWriter: Any = cython.declare(object, asyncio.StreamWriter)
_StreamReaderProtocol: Any = cython.declare(object, asyncio.StreamReaderProtocol)


class Drain(StreamOperation):
    """One call of drain(), or, without a writer, of what asyncio's own drain() asks its protocol for.

    What was written is sent first: the loop would do that when the task gives way only, but who drains wants it to be
    on its way, and to wait if it cannot be.
    """

    if not cython.compiled:
        _writer: Any = None
        _protocol: Any = None
        _received: Any = None

    def begin(self) -> Any:
        stream: Transport | None = self._received._stream
        was_open: cython.bint = stream is not None and stream.is_open()
        if stream is not None and self.need_not_wait():
            return self.finish(None)
        if self._writer is not None:
            return self.delegate(_StreamWriter.drain(self._writer))
        if was_open and not cython.cast(Transport, stream).is_open():
            return self.delegate(self.fail())
        return self.delegate(_StreamReaderProtocol._drain_helper(self._protocol))

    async def fail(self) -> None:
        """Raise what asyncio's drain() would, if it had known before it called that sending fails."""
        await asyncio.sleep(0)
        await _StreamReaderProtocol._drain_helper(self._protocol)

    def need_not_wait(self) -> bool:
        """Send; tell whether there is surely nothing to wait for, and nothing to raise."""
        stream = cython.cast(Transport, self._received._stream)
        if stream._receiver is not self._received:  # another protocol's now, as by start_tls(); or closed
            return False
        stream.flush()
        return not stream._protocol_paused and stream.is_open() and self._received._exception is None

    def name(self) -> str:
        return 'FlowControlMixin._drain_helper' if self._writer is None else 'StreamWriter.drain'


def new_drain(writer: Any, protocol: Any, received: ReceivedBytes) -> Drain:
    """Make the operation of a writer, or of a protocol."""
    operation: Drain = Drain.__new__(Drain)
    operation._writer = writer
    operation._protocol = protocol
    operation._received = received
    operation._state = NEW
    return operation


class StreamWriter(_StreamWriter):  # type: ignore[misc]
    """What the `asyncio.StreamWriter` of an accepted connection becomes: `sooner.net.adoption` says when."""

    def drain(self) -> Any:
        """Wait until there is room to write more; raise what ended the connection."""
        return new_drain(self, None, self._received)


mark_coroutine_function(StreamWriter.drain)
if cython.compiled:
    _sample = Drain.__new__(Drain)
    recycle_future(
        Drain,
        _sample,
        cython.cast(Drain, _sample)._state,
        cython.cast(Drain, _sample)._attributes,
    )
    del _sample
