"""Connections and servers: what makes transports of stream sockets.

Resolving names, trying one address after the other, checking arguments: that is the standard library's, whose methods
are plain Python on top of a few of a loop's own. They are taken from there, so that each Python has its rules and its
words, and they call back what stands here: `_make_socket_transport()`, `_start_serving()` and their like.
"""

from __future__ import annotations

import logging
import os
import socket
import stat
import weakref
from asyncio.base_events import BaseEventLoop
from asyncio.unix_events import _UnixSelectorEventLoop
from contextvars import Context
from typing import Any
from weakref import WeakValueDictionary

from ..core.loop import LoopCore
from ..net.adoption import adopt_stream
from ..net.listener import Listener
from ..net.stream import StreamTransport
from ..net.tls import TLSProtocol

try:
    from ssl import SSLContext as _SSLContext
except ImportError:  # a Python without OpenSSL
    _SSLContext = ()  # type: ignore[assignment, misc]

logger = logging.getLogger('asyncio')

_base_loop: Any = BaseEventLoop
_unix_loop: Any = _UnixSelectorEventLoop


class Connections(LoopCore):
    """Connections and servers.

    `_open_transports` are weak references to the open transports by file descriptor, `_listeners` those of listening
    sockets, and `_unix_server_sockets` the inodes of the files that listening Unix sockets are bound to.

    `fast_streams` may be set to False: then connections, pipes and processes leave asyncio's streams as they are.
    """

    __slots__ = ()
    STATE = ('_listeners', '_open_transports', '_transports', '_unix_server_sockets', 'fast_streams')

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._open_transports: dict[int, weakref.ref[Any]] = {}
        self._transports: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self._listeners: dict[Any, Listener] = {}
        self._unix_server_sockets: dict[Any, int] = {}
        self.fast_streams = True

    create_connection = _base_loop.create_connection
    create_server = _base_loop.create_server
    create_unix_connection = _unix_loop.create_unix_connection
    create_unix_server = _unix_loop.create_unix_server
    connect_accepted_socket = _base_loop.connect_accepted_socket

    _connect_sock = _base_loop._connect_sock
    _create_connection_transport = _base_loop._create_connection_transport
    _create_server_getaddrinfo = _base_loop._create_server_getaddrinfo
    _ensure_resolved = _base_loop._ensure_resolved

    def _make_socket_transport(
        self,
        sock: socket.socket,
        protocol: Any,
        waiter: Any = None,
        *,
        extra: dict[str, Any] | None = None,
        server: Any = None,
        context: Context | None = None,
    ) -> StreamTransport:
        adopt_stream(self, protocol)
        return StreamTransport(self, sock, protocol, waiter, extra, server, context)

    def _make_ssl_transport(
        self,
        rawsock: socket.socket,
        protocol: Any,
        sslcontext: Any,
        waiter: Any = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: dict[str, Any] | None = None,
        server: Any = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        context: Context | None = None,
    ) -> Any:
        adopt_stream(self, protocol)
        tls = TLSProtocol(
            self,
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            True,
            ssl_handshake_timeout,
            ssl_shutdown_timeout,
            context,
        )
        below = None if context is None else context.copy()  # which is entered when TLS enters its own
        StreamTransport(self, rawsock, tls, None, extra, server, below)
        return tls._app_transport

    async def start_tls(
        self,
        transport: Any,
        protocol: Any,
        sslcontext: Any,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Any:
        """Encrypt from now on what goes over a transport; return the transport that the protocol is to use instead.

        None if the transport was closed here before the handshake was complete: programs ask for that, as asyncio does
        so. TypeError if sslcontext is not an ssl.SSLContext, or transport not one that can carry TLS. If the handshake
        fails, the transport is closed.
        """
        if not isinstance(sslcontext, _SSLContext):
            raise TypeError(f'sslcontext is expected to be an instance of ssl.SSLContext, got {sslcontext!r}')
        if not getattr(transport, '_start_tls_compatible', False):
            raise TypeError(f'transport {transport!r} is not supported by start_tls()')
        waiter = self.create_future()
        tls = TLSProtocol(
            self,
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            False,
            ssl_handshake_timeout,
            ssl_shutdown_timeout,
        )
        upgraded = tls._app_transport
        transport.pause_reading()  # nothing may come before connection_made()
        transport.set_protocol(tls)
        begin = self.call_soon(tls.connection_made, transport)
        resume = self.call_soon(transport.resume_reading)
        if server_side:
            _take_buffered(protocol, tls)
        try:
            await waiter
        except BaseException:
            transport.close()
            begin.cancel()
            resume.cancel()
            raise
        return None if tls._transport is None else upgraded

    # Servers: asyncio.Server calls these two.

    def _start_serving(
        self,
        protocol_factory: Any,
        sock: socket.socket,
        sslcontext: Any = None,
        server: Any = None,
        backlog: int = 100,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        context: Context | None = None,
    ) -> None:
        def connect(protocol: Any, connection: socket.socket, address: Any) -> None:
            extra = {'peername': address}
            if sslcontext:
                self._make_ssl_transport(
                    connection,
                    protocol,
                    sslcontext,
                    server_side=True,
                    extra=extra,
                    server=server,
                    ssl_handshake_timeout=ssl_handshake_timeout,
                    ssl_shutdown_timeout=ssl_shutdown_timeout,
                )
            else:
                self._make_socket_transport(connection, protocol, extra=extra, server=server)

        plain = not sslcontext and type(sock) is socket.socket and sock.family in (socket.AF_INET, socket.AF_INET6)
        listener = Listener(self, sock, protocol_factory, None if plain else connect, server, backlog, context)
        listener.start()
        self._listeners[sock] = listener

    def _stop_serving(self, sock: socket.socket) -> None:
        listener = self._listeners.pop(sock, None)
        if listener is not None:
            listener.stop()
        inode = self._unix_server_sockets.pop(sock, None)
        if inode is not None:
            _remove_socket_file(sock, inode)
        sock.close()


def _take_buffered(protocol: Any, tls: TLSProtocol) -> None:
    """Have TLS read what a stream received before it knew that this would be TLS (python/cpython#142352)."""
    reader = getattr(protocol, '_stream_reader', None)
    buffer = getattr(reader, '_buffer', None)
    if buffer:
        tls._incoming.write(buffer)
        buffer.clear()


def _remove_socket_file(sock: socket.socket, inode: int) -> None:
    """Remove the file of a Unix socket, if it is still the one that was bound."""
    path = sock.getsockname()
    try:
        if stat.S_ISSOCK((status := os.stat(path)).st_mode) and status.st_ino == inode:
            os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as exc:
        logger.error('Unable to clean up listening UNIX socket %r: %r', path, exc)
