"""StreamWriter: asyncio's, with a drain() that costs nothing where there is nothing to wait for."""

from __future__ import annotations

import asyncio
from typing import Any

import cython

from .stream import StreamTransport
from .stream_operation import StreamOperation, mark_coroutine_function

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

    def begin(self) -> Any:
        writer = self._writer
        if writer is None:
            if self.is_ready(self._protocol._transport):
                return self.finish(None)
            return self.delegate(_StreamReaderProtocol._drain_helper(self._protocol))
        if (writer._reader is None or writer._reader.exception() is None) and self.is_ready(writer._transport):
            return self.finish(None)
        return self.delegate(_StreamWriter.drain(writer))

    def is_ready(self, transport: Any) -> bool:
        """Send; tell whether there is surely nothing to wait for, and nothing to raise."""
        if isinstance(transport, StreamTransport):
            stream = cython.cast(StreamTransport, transport)
            if stream._size > 0:
                stream.send_outbox()
            if stream._protocol is self._protocol:
                return not stream._protocol_paused and not stream._closing
        elif transport is None:
            return False
        return not self._protocol._paused and not self._protocol._connection_lost and not transport.is_closing()

    def name(self) -> str:
        return 'FlowControlMixin._drain_helper' if self._writer is None else 'StreamWriter.drain'


def new_drain(writer: Any, protocol: Any) -> Drain:
    """Make the operation of a writer, or of a protocol alone."""
    operation: Drain = Drain.__new__(Drain)
    operation._writer = writer
    operation._protocol = protocol
    operation._state = NEW
    return operation


class StreamWriter(_StreamWriter):  # type: ignore[misc]
    """What the `asyncio.StreamWriter` of an accepted connection becomes: `sooner.net.adoption` says when."""

    def drain(self) -> Any:
        """Wait until there is room to write more; raise what ended the connection."""
        return new_drain(self, self._protocol)


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
