"""How the streams of `asyncio.open_connection()` and its like become fast, with asyncio left as it is.

`open_connection()` and `start_server()` make an `asyncio.StreamReader` and an `asyncio.StreamReaderProtocol`, as
programs do that read a pipe, and ask the loop for a connection; `create_subprocess_exec()` makes readers of what the
child writes. When the loop has the connection, it gives these objects other classes: subclasses of their own, so that
isinstance() holds. Nothing of the module is replaced, and what is not exactly of these classes is left alone:
subclasses, and also instances and classes that somebody has put other methods on. `loop.fast_streams = False` leaves
everything alone.
"""

from __future__ import annotations

import asyncio
from typing import Any

import cython

from .reader import ReceivedBytes, StreamReader
from .transport import Transport
from .writer import StreamWriter

if not cython.compiled:
    from .writer import new_drain

_StreamReader: Any = cython.declare(object, asyncio.StreamReader)
_StreamWriter: Any = cython.declare(object, asyncio.StreamWriter)
_Protocol: Any = cython.declare(object, asyncio.StreamReaderProtocol)


class StreamReaderProtocol(_Protocol):  # type: ignore[misc]
    """What an `asyncio.StreamReaderProtocol` becomes.

    Transports of ours feed its `_receiver`, past data_received(), until somebody puts another method in that place.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        _Protocol.__setattr__(self, name, value)
        if name == 'data_received':
            self._receiver = None
            if self._transport is not None and self._transport.get_protocol() is self:
                self._transport.set_protocol(self)

    def connection_made(self, transport: Any) -> None:
        """Give the reader its transport; of a server, call back with a writer too."""
        received: ReceivedBytes = self._received
        received._stream = transport if isinstance(transport, Transport) else None
        connected: Any = self._client_connected_cb  # type: ignore[has-type]
        if connected is None:
            _Protocol.connection_made(self, transport)
            return

        def adopt_writer(reader: Any, writer: Any) -> Any:
            if type(writer) is _StreamWriter:
                writer.__class__ = StreamWriter
                writer._received = received
            return connected(reader, writer)

        self._client_connected_cb = adopt_writer
        try:
            _Protocol.connection_made(self, transport)
        finally:
            self._client_connected_cb = connected

    def _drain_helper(self) -> Any:
        return new_drain(None, self, self._received)


def _methods() -> list[Any]:
    """Tell what asyncio's classes consist of now."""
    return [
        _StreamReader.read,
        _StreamReader.readexactly,
        _StreamReader.readuntil,
        _StreamReader.readline,
        _StreamReader.__anext__,
        _StreamReader.feed_data,
        _StreamReader.exception,
        _StreamReader.at_eof,
        _StreamWriter.drain,
        _Protocol._drain_helper,
        _Protocol.connection_made,
        _Protocol.data_received,
    ]


_OWN_METHODS: Any = cython.declare(list, _methods())


def adopt_reader(loop: Any, reader: Any) -> ReceivedBytes | None:
    """Make a reader fast, if it is asyncio's own and of this loop; return where its bytes are then."""
    if type(reader) is not _StreamReader or reader._loop is not loop or not loop.fast_streams:
        return None
    if 'feed_data' in reader.__dict__ or _methods() != _OWN_METHODS:
        return None
    received = ReceivedBytes()
    received.take_over(reader)
    reader.__class__ = StreamReader
    return received


def adopt_stream(loop: Any, protocol: Any) -> None:
    """Make the streams fast that a connection gets this protocol for, if they are asyncio's own."""
    if type(protocol) is not _Protocol or 'data_received' in protocol.__dict__:
        return
    received = adopt_reader(loop, protocol._stream_reader)
    if received is not None:
        protocol.__class__ = StreamReaderProtocol
        protocol._received = protocol._receiver = received
