"""TLS over a transport, by the ssl module's objects in memory.

    application's protocol <--> TLSTransport <--> TLSProtocol <--> transport below: a StreamTransport, or any other

`TLSProtocol` is the protocol of the transport below; it turns records into bytes and back, and knows how a connection
begins and ends. `TLSTransport` is what the application has: asyncio's methods, what it wrote, and its flow control.
What one callback writes is encrypted when it returns, in as few records as hold it.
"""

from __future__ import annotations

import asyncio
import logging
import warnings
from asyncio import constants, sslproto
from collections.abc import Iterable
from contextvars import Context
from typing import Any

import cython

from ..core.loop import LoopCore
from ..core.scheduler import Scheduler
from .transport import Receiver, Transport

if not cython.compiled:
    from .._capi import context_call, context_method1, copy_methods, recycle_future
    from ..core.scheduler import WAITING

    UNWRAPPED, DO_HANDSHAKE, WRAPPED, FLUSHING, SHUTDOWN = range(5)
    NEW, MADE, ENDED, LOST = range(4)

try:
    import ssl
except ImportError:  # a Python without OpenSSL
    ssl = None  # type: ignore[assignment]

_STATES: Any = cython.declare(tuple, ('UNWRAPPED', 'DO_HANDSHAKE', 'WRAPPED', 'FLUSHING', 'SHUTDOWN'))
_MUST_WAIT: Any = cython.declare(tuple, (ssl.SSLWantReadError, ssl.SSLSyscallError) if ssl is not None else ())
_ENDED: Any = cython.declare(tuple, (ssl.SSLZeroReturnError,) if ssl is not None else ())
_NOTHING_READ: Any = cython.declare(tuple, _MUST_WAIT + _ENDED)
_WRITE_HIGH_WATER: Any = cython.declare(cython.Py_ssize_t, constants.FLOW_CONTROL_HIGH_WATER_SSL_WRITE * 1024)
_READ_HIGH_WATER: Any = cython.declare(cython.Py_ssize_t, constants.FLOW_CONTROL_HIGH_WATER_SSL_READ * 1024)
_RECORD: Any = cython.declare(cython.Py_ssize_t, 16 * 1024)  # what a record can hold (RFC 8446, 5.1)
_BATCH: Any = cython.declare(cython.Py_ssize_t, 128 * 1024)
_MOST_DEFERRED: Any = cython.declare(cython.Py_ssize_t, 64 * 1024)
_MOST_ANSWERS: Any = cython.declare(cython.Py_ssize_t, 64 * 1024)
_WARN_OF_LOST_WRITES: Any = cython.declare(cython.int, constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES)
_BufferedProtocol: Any = cython.declare(object, asyncio.BufferedProtocol)
_StockTransport: Any = cython.declare(object, sslproto._SSLProtocolTransport)
_logger: Any = cython.declare(object, logging.getLogger('asyncio'))


class TLSProtocol(Receiver):
    """Towards the transport below: the state of a TLS connection.

        UNWRAPPED     --connection_made()--------------------------------------> DO_HANDSHAKE
        DO_HANDSHAKE  --both sides finished: the application's connection_made-> WRAPPED
        WRAPPED       --close(), the peer's close_notify, the end of the stream> FLUSHING   (nothing more is written)
        FLUSHING      --all that was written is sent, all received was read----> SHUTDOWN   (close_notify is sent)
        SHUTDOWN      --the peer's close_notify, the end of the stream---------> the transport below is closed
        any           --abort(), an error, a timeout---------------------------> UNWRAPPED  (and closed at once)
        any           --connection_lost()--------------------------------------> UNWRAPPED

    In FLUSHING the application still gets what came before the end of the stream, whenever it reads again; after its
    own close() it gets no more. The end of a stream without close_notify counts as an end, as in asyncio.

    `_app_state` tells what the application's protocol was told: NEW nothing, MADE connection_made(), ENDED
    eof_received(), LOST that connection_lost() follows.

    `_feed` and `_drain` are methods of the two BIOs, `_read`, `_write` and `_pending` of what encrypts. `_blocked` is
    true while the transport below has enough to send, `_stalled` while it is not to read. `_ended` tells that it
    received the end of the stream.
    """

    if not cython.compiled:
        _loop: Any = None
        _transport: Any = None
        _app_transport: Any = None
        _sslcontext: Any = None
        _sslobj: Any = None
        _incoming: Any = None
        _outgoing: Any = None
        _feed: Any = None
        _drain: Any = None
        _read: Any = None
        _write: Any = None
        _pending: Any = None
        _waiter: Any = None
        _timer: Any = None
        _server_side: bool = False
        _server_hostname: str | None = None
        _handshake_timeout: float = 0
        _shutdown_timeout: float = 0
        _began: float = 0.0
        _read_high: int = 0
        _read_low: int = 0
        _state: int = UNWRAPPED
        _app_state: int = NEW
        _blocked: bool = False
        _stalled: bool = False
        _ended: bool = False
        _gone: bool = False

    def __init__(
        self,
        loop: Any,
        app_protocol: Any,
        sslcontext: Any,
        waiter: Any = None,
        server_side: bool = False,
        server_hostname: str | None = None,
        call_connection_made: bool = True,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        context: Context | None = None,
    ) -> None:
        """Prepare a connection: it begins with connection_made().

        Without an SSLContext a client gets the default one. Timeouts are in seconds; ValueError if one is not positive.
        `waiter`, a future or None, is done when the handshake is.
        """
        if ssl is None:
            raise RuntimeError('TLS needs the ssl module, which this Python lacks')
        self._handshake_timeout = positive(
            'ssl_handshake_timeout', ssl_handshake_timeout, constants.SSL_HANDSHAKE_TIMEOUT
        )
        self._shutdown_timeout = positive('ssl_shutdown_timeout', ssl_shutdown_timeout, constants.SSL_SHUTDOWN_TIMEOUT)
        self._loop = loop
        self._waiter = waiter
        self._server_side = server_side
        if server_hostname and not server_side:
            self._server_hostname = server_hostname
        self._sslcontext = sslcontext or default_context(server_side, self._server_hostname)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._feed = self._incoming.write
        self._drain = self._outgoing.read
        self._sslobj = self._sslcontext.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=self._server_hostname
        )
        # The same methods without a Python function around each, if nobody has put anything of his own there.
        cipher: Any = getattr(self._sslobj, '_sslobj', None) if type(self._sslobj) is ssl.SSLObject else self._sslobj
        self._read = cipher.read
        self._write = cipher.write
        self._pending = cipher.pending
        self._read_high = _READ_HIGH_WATER
        self._read_low = _READ_HIGH_WATER // 4
        self._app_state = NEW if call_connection_made else MADE
        app: TLSTransport = TLSTransport.__new__(TLSTransport)
        app.begin(loop, app_protocol, self, context)
        self._app_transport = app

    @property
    def _receiver(self) -> Receiver:
        """Be given bytes without a call through Python."""
        return self

    # What the transport below calls.

    def connection_made(self, transport: Any) -> None:
        """Begin the handshake."""
        app: TLSTransport = self._app_transport
        if self._gone:  # before it began
            return
        self._transport = transport
        app._alive = 1
        if app._closing:
            self.abort(None)
            return
        self._blocked = getattr(transport, '_protocol_paused', False) is True
        if cython.cast(LoopCore, self._loop)._debug:
            _logger.debug('%r starts SSL handshake', self)
            self._began = self._loop.time()
        self._state = DO_HANDSHAKE
        self._timer = self._loop.call_later(self._handshake_timeout, self._check_handshake_timeout)
        self.advance()

    def data_received(self, data: Any) -> None:
        """Take bytes from a transport that knows no Receiver."""
        self.receive(bytes(data))

    def receive(self, data: bytes) -> None:
        if self._state == WRAPPED:
            self._feed(data)
            self.read_records(len(data))
        elif self._state != UNWRAPPED:
            self._feed(data)
            self.advance()

    def eof_received(self) -> bool:
        """Read no more, but send what was written; return whether there is something to wait for."""
        if self._state == UNWRAPPED:
            return False
        self._ended = True
        if cython.cast(LoopCore, self._loop)._debug:
            _logger.debug('%r received EOF', self)
        if self._state == WRAPPED:
            self._state = FLUSHING
        self.advance()
        return self._state == FLUSHING

    def connection_lost(self, exc: BaseException | None) -> None:
        """Pass it on to the application's protocol, in the loop's next turn."""
        if self._gone:
            return
        self._gone = True
        self._state = UNWRAPPED
        self.stop_timer()
        app: TLSTransport = self._app_transport
        app.forget_writes()
        app._closing = True
        app._conn_lost += 1
        app._alive = 0
        if self._app_state == MADE or self._app_state == ENDED:
            self._app_state = LOST
            app.lose(exc)
        else:
            app.release()
            if exc is None and self._waiter is not None:
                exc = ConnectionAbortedError('the connection was closed before the SSL handshake was complete')
        self._transport = None
        self.wake_waiter(exc)

    def pause_writing(self) -> None:
        """Leave what is written where it is."""
        self._blocked = True

    def resume_writing(self) -> None:
        """Go on to encrypt."""
        self._blocked = False
        if self._state != UNWRAPPED:
            self.hand_down()
            self.flush()
            if self._stalled and self._state != UNWRAPPED:
                self.control_reading()

    def flush(self) -> None:
        if self._app_transport is not None:
            cython.cast(TLSTransport, self._app_transport).send_outbox()

    # The way through the states.

    def advance(self) -> None:
        """Go as far as possible: in the connection's context, as this may call anybody."""
        if self._state == UNWRAPPED:
            return
        failure = cython.cast(TLSTransport, self._app_transport).enter(self._advance)
        if failure is not None:
            self.fail(failure, 'Fatal error on SSL protocol')

    def _advance(self) -> None:
        if self._state == DO_HANDSHAKE:
            self.shake_hands()
        elif self._state == WRAPPED:
            self.read_records(_RECORD)
        elif self._state == FLUSHING:
            self.finish_writing()
        elif self._state == SHUTDOWN:
            self.shut_down()

    def shake_hands(self) -> None:
        if self._ended:
            self.fail_handshake(ConnectionResetError())
            return
        try:
            self._sslobj.do_handshake()
            certificate = self._sslobj.getpeercert()
        except _MUST_WAIT:
            self.send_records()
            return
        except BaseException as exc:
            self.fail_handshake(exc)
            return
        self.stop_timer()
        self._state = WRAPPED
        if cython.cast(LoopCore, self._loop)._debug:
            _logger.debug('%r: SSL handshake took %.1f ms', self, 1e3 * (self._loop.time() - self._began))
        app: TLSTransport = self._app_transport
        app._extra.update(
            peercert=certificate,
            cipher=self._sslobj.cipher(),
            compression=self._sslobj.compression(),
            ssl_object=self._sslobj,
        )
        if self._app_state == NEW:
            self._app_state = MADE
            failure = app.call('connection_made', app)
            if failure is not None:
                app.send_outbox()
                self.fail(failure, 'Fatal error: protocol.connection_made() call failed.')
                return
        self.wake_waiter(None)
        if self._state == WRAPPED:
            self.send_records()
            if app._size > 0:  # written before this
                app.send_outbox()
            self.read_records(_RECORD)

    def fail_handshake(self, exc: BaseException) -> None:
        message = 'SSL handshake failed'
        if isinstance(exc, ssl.CertificateError):
            message = 'SSL handshake failed on verifying the certificate'
        self.fail(exc, message)
        self.wake_waiter(exc)

    def _check_handshake_timeout(self) -> None:
        if self._state == DO_HANDSHAKE:
            message = f'SSL handshake is taking longer than {self._handshake_timeout} seconds: '
            self.fail(ConnectionAbortedError(f'{message}aborting the connection'), 'Fatal error on transport')

    def start_shutdown(self) -> None:
        """Write no more, and close when all is sent."""
        if self._state == DO_HANDSHAKE:
            self.abort(None)
        elif self._state == WRAPPED or self._state == FLUSHING:
            self._state = FLUSHING
            self.start_shutdown_timer()
            self.advance()

    def start_shutdown_timer(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(self._shutdown_timeout, self._check_shutdown_timeout)

    def _check_shutdown_timeout(self) -> None:
        if self._state == FLUSHING or self._state == SHUTDOWN:
            self.abort(TimeoutError('SSL shutdown timed out'))

    def finish_writing(self) -> None:
        """In FLUSHING: have the application read what came, and send all that it wrote; then shut down."""
        app: TLSTransport = self._app_transport
        if app._closing:
            self.discard_records()
        else:
            self.read_records(_RECORD)
            if self._state == FLUSHING and (app._paused or app._resuming) and self.has_more(False):
                return
        self.encrypt()
        if self._state != FLUSHING:
            return
        if app._size == 0:
            app._closing = True
            self._state = SHUTDOWN
            self.shut_down()
        else:
            self.start_shutdown_timer()

    def shut_down(self) -> None:
        """Say close_notify, and wait for the peer's."""
        try:
            if not self._ended:
                self._sslobj.unwrap()
        except _MUST_WAIT:
            self.hand_down()
            return
        except BaseException as exc:
            self.fail(exc, 'Fatal error on transport')
            return
        self.hand_down()
        self.tell_end()
        if self._state == SHUTDOWN:
            self.stop_timer()
            self._transport.close()

    def tell_end(self) -> None:
        """Call the application's eof_received(), once."""
        if self._app_state != MADE or self._state == UNWRAPPED:
            return
        self._app_state = ENDED
        app: TLSTransport = self._app_transport
        failure = app.enter(app._tell_end)
        if failure is not None:
            app.send_outbox()
            self.fail(failure, 'Error calling eof_received()')

    def abort(self, exc: BaseException | None) -> None:
        """Close at once; what was written before is only sent as far as it goes now."""
        if self._transport is not None:
            self.flush()
            self._state = UNWRAPPED
            self.stop_timer()
            close_now(self._transport, exc)

    def fail(self, exc: BaseException, message: str) -> None:
        """Close because of an error; tell the peer what TLS has to say about it, and the exception handler the rest."""
        if isinstance(exc, (KeyboardInterrupt, SystemExit)):
            raise exc
        transport = self._transport
        if self._state != UNWRAPPED:
            self._state = UNWRAPPED
            self.stop_timer()
            if transport is not None:
                try:
                    self.hand_down()
                except Exception:  # the transport may be what failed
                    pass
        if transport is not None:
            close_now(transport, exc)
        if isinstance(exc, OSError):
            if cython.cast(LoopCore, self._loop)._debug:
                _logger.debug('%r: %s', self, message, exc_info=exc)
        elif not isinstance(exc, asyncio.CancelledError):
            self._loop.call_exception_handler(
                {'message': message, 'exception': exc, 'transport': transport, 'protocol': self}
            )

    def stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def wake_waiter(self, exc: BaseException | None) -> None:
        waiter = self._waiter
        self._waiter = None
        if waiter is not None and not waiter.done():
            if exc is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(exc)

    # From records to bytes.

    def read_records(self, size: cython.Py_ssize_t) -> None:
        """Read what was received, of which `size` bytes are new, and have the application's protocol take it."""
        app: TLSTransport = self._app_transport
        if not app._paused:
            try:
                if app._receiver is not None:
                    ended = self.read_for_receiver(app, size)
                elif app._buffered:
                    ended = self.read_into_buffers(app)
                else:
                    ended = self.read_for_protocol(app, size)
            except BaseException as exc:
                if self._state == WRAPPED:
                    app.send_outbox()
                self.fail(exc, 'Fatal error on SSL protocol')
                return
            if ended:
                self.tell_end()
                app._closing = True
                self.start_shutdown()
                return
            if not app._outbox_waits and self._state != UNWRAPPED:
                if app._size > 0:  # TLS would not let it pass before it had read this
                    self.encrypt()
                elif self._outgoing.pending:  # an answer of TLS itself
                    self.send_records()
        if (app._paused or self._stalled) and self._state != UNWRAPPED:
            self.control_reading()

    def read_for_protocol(self, app: TLSTransport, size: cython.Py_ssize_t) -> bool:
        """Call data_received() with all that there is; return whether close_notify followed."""
        first: bytes | None = None
        chunks: list[bytes] | None = None
        failure: BaseException | None = None
        ended: cython.bint = False
        room: cython.Py_ssize_t = size if size < _RECORD else _RECORD
        while True:
            try:
                chunk: bytes = self._read(room)
            except _MUST_WAIT:
                break
            except _ENDED:
                chunk = b''
            except BaseException as exc:
                failure = exc
                break
            count: cython.Py_ssize_t = len(chunk)
            if count == 0:
                ended = True
                break
            if first is None:
                first = chunk
            else:
                if chunks is None:
                    chunks = [first]
                chunks.append(chunk)
            if not self.has_more(count < room):
                break
            room = _RECORD
        if first is not None:
            error = app.call('data_received', first if chunks is None else b''.join(chunks))
            if error is not None:
                raise error
        if failure is not None:
            raise failure
        return ended

    def read_for_receiver(self, app: TLSTransport, size: cython.Py_ssize_t) -> bool:
        """Have a Receiver take one record after the other; return whether close_notify followed."""
        room: cython.Py_ssize_t = size if size < _RECORD else _RECORD
        while True:
            try:
                chunk: bytes = self._read(room)
            except _MUST_WAIT:
                return False
            except _ENDED:
                return True
            count: cython.Py_ssize_t = len(chunk)
            if count == 0:
                return True
            cython.cast(Receiver, app._receiver).receive(chunk)
            if not self.has_more(count < room) or not self.goes_on(app, True):
                return False
            room = _RECORD

    def read_into_buffers(self, app: TLSTransport) -> bool:
        """Fill the buffers of a BufferedProtocol; return whether close_notify followed."""
        while True:
            failure = app.enter(app._fill_buffer)
            if failure is not None:
                raise failure
            if app._filled == 0:
                return True
            if app._filled < 0 or not self.has_more(False) or not self.goes_on(app, False):
                return False

    def goes_on(self, app: TLSTransport, as_receiver: cython.bint) -> bool:
        """Tell whether the application wants more now; if its protocol is another one, it gets it in the next turn."""
        if app._paused or app._closing or self._state == UNWRAPPED:
            return False
        if (app._receiver is not None) == as_receiver and app._buffered != as_receiver:
            return True
        app.schedule_reading()
        return False

    def has_more(self, record_read: cython.bint) -> bool:
        """Tell whether to read again; `record_read` tells that the last record was read to its end."""
        if self._incoming.pending:
            return True
        return not record_read and self._pending() > 0

    def discard_records(self) -> None:
        """Read for TLS's sake alone: the application wants no more."""
        try:
            while self._read(_RECORD):
                pass
        except _NOTHING_READ:
            pass
        except BaseException as exc:
            self.fail(exc, 'Fatal error on SSL protocol')
            return
        if self._stalled:
            self.control_reading()

    @property
    def _app_reading_paused(self) -> bool:
        """Whether the application is to receive nothing now; asyncio has it here, and programs look."""
        return cython.cast(TLSTransport, self._app_transport)._paused

    def control_reading(self) -> None:
        """Have the transport below read only while there is room for what it reads, and for what TLS answers to it."""
        waiting: cython.Py_ssize_t = self._incoming.pending
        flooded: cython.bint = self._blocked and self._outgoing.pending > _MOST_ANSWERS
        if not self._stalled:
            if flooded or (waiting >= self._read_high and cython.cast(TLSTransport, self._app_transport)._paused):
                self._stalled = True
                self._transport.pause_reading()
        elif not flooded and waiting <= self._read_low:
            self._stalled = False
            self._transport.resume_reading()

    # From bytes to records.

    def encrypt(self) -> None:
        """Encrypt what the application wrote, and hand it down, until the transport below has enough."""
        if self._blocked or (self._state != WRAPPED and self._state != FLUSHING):
            return
        app: TLSTransport = self._app_transport
        batch: cython.Py_ssize_t = 0
        count: cython.Py_ssize_t
        try:
            while app._size > 0 and not self._blocked:
                try:
                    count = self._write(app.next_record())
                except _MUST_WAIT:
                    break
                app.drop_written(count)
                batch += count
                if batch >= _BATCH:
                    batch = 0
                    self.hand_down()
            self.hand_down()
        except BaseException as exc:
            self.fail(exc, 'Fatal error on SSL protocol')

    def send_records(self) -> None:
        """Send what TLS itself has to say, unless the transport below has enough."""
        if not self._blocked:
            self.hand_down()
        elif not self._stalled:
            self.control_reading()

    def hand_down(self) -> None:
        data = self._drain()
        if data:
            self._transport.write(data)

    def __repr__(self) -> str:
        side = 'server' if self._server_side else 'client'
        return f'<{type(self).__name__} {side} {_STATES[self._state]} over {self._transport!r}>'


class TLSTransport(Transport):
    """Towards the application: what it writes waits in `_backlog`, the first of it from `_written` on.

    `_size` counts what is not encrypted yet. `_calling` is true while the connection's context is entered. `_resuming`
    and `_losing` tell what there is to do when the loop runs this. `_filled` is what the last buffer was given: -1 if
    there was nothing to read, 0 at the end.
    """

    _start_tls_compatible = True
    _sendfile_compatible = constants._SendfileMode.FALLBACK

    if not cython.compiled:
        _ssl_protocol: Any = None
        _backlog: list[bytes]
        _error: BaseException | None = None
        _written: int = 0
        _filled: int = 0
        _conn_lost: int = 0
        _paused: bool = False
        _calling: bool = False
        _resuming: bool = False
        _losing: bool = False

    def begin(self, loop: Any, protocol: Any, tls: TLSProtocol, context: Context | None) -> None:
        """Be made."""
        self._ssl_protocol = tls
        self._backlog = []
        self.set_up(loop, protocol, {'sslcontext': tls._sslcontext}, context)
        self._high = _WRITE_HIGH_WATER
        self._low = _WRITE_HIGH_WATER // 4

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """Pass isinstance(transport, asyncio.Transport), and be one of TLS to who reads the name of the class."""
        return _StockTransport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known under a name: 'ssl_object', 'peercert', ..., or what the transport below knows."""
        if name in self._extra:
            return self._extra[name]
        below = self._ssl_protocol._transport
        return default if below is None else below.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Tell whether the transport is closed, or about to be."""
        if self._closing:
            return True
        below = self._ssl_protocol._transport
        return below is not None and bool(below.is_closing())

    def is_open(self) -> bool:
        if self._closing or self._ssl_protocol._state != WRAPPED:
            return False
        below = self._ssl_protocol._transport
        return isinstance(below, Transport) and cython.cast(Transport, below).is_open()

    def flush(self) -> None:
        Transport.flush(self)
        below = self._ssl_protocol._transport
        if isinstance(below, Transport):
            cython.cast(Transport, below).flush()

    # Calling the application.

    def call(self, name: str, argument: Any) -> Any:
        """Call a method of the protocol in the connection's context; return what it raised, or None."""
        if self._calling:
            try:
                getattr(self._protocol, name)(argument)
            except BaseException as exc:
                return exc
            return None
        self._calling = True
        failure = context_method1(self._context, self._protocol, name, argument)
        self._calling = False
        return failure

    def enter(self, method: Any) -> Any:
        """Call a method of TLS's own in the connection's context; return what it raised, or None."""
        if self._calling:
            try:
                method()
            except BaseException as exc:
                return exc
            return None
        self._calling = True
        failure = context_call(self._context, False, method, None)
        self._calling = False
        return failure

    def _tell_end(self) -> None:
        if self._protocol.eof_received():
            _logger.warning('returning true from eof_received() has no effect when using ssl')

    def _fill_buffer(self) -> None:
        tls: TLSProtocol = self._ssl_protocol
        buffer = self._protocol.get_buffer(tls._incoming.pending or -1)
        room: cython.Py_ssize_t = len(buffer)
        if room == 0:
            raise RuntimeError('get_buffer() returned an empty buffer')
        filled: cython.Py_ssize_t = 0
        count: cython.Py_ssize_t
        ended: cython.bint = False
        failure: BaseException | None = None
        while filled < room:
            try:
                count = tls._read(room - filled, buffer if filled == 0 else buffer[filled:])
            except _MUST_WAIT:
                break
            except _ENDED:
                count = 0
            except BaseException as exc:
                failure = exc
                break
            if count == 0:
                ended = True
                break
            filled += count
            if not tls.has_more(False):
                break
        if filled > 0:
            self._protocol.buffer_updated(filled)
        if failure is not None:
            raise failure
        self._filled = 0 if ended else filled if filled > 0 else -1

    # Reading.

    def is_reading(self) -> bool:
        """Tell whether data is received: not if that is paused."""
        return not self._paused

    def pause_reading(self) -> None:
        """Receive nothing until resume_reading()."""
        self._paused = True

    def resume_reading(self) -> None:
        """Undo pause_reading(); what came in the meantime is received in the next turn."""
        if self._paused:
            self._paused = False
            self.schedule_reading()

    def schedule_reading(self) -> None:
        if not self._resuming:
            self._resuming = True
            cython.cast(Scheduler, self._loop).push(self)

    def set_read_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the limits, in bytes, of what is received while reading is paused, as set_write_buffer_limits()."""
        self._ssl_protocol._read_high, self._ssl_protocol._read_low = complete_limits(high, low, _READ_HIGH_WATER)
        if self._ssl_protocol._transport is not None:
            self._ssl_protocol.control_reading()

    def get_read_buffer_limits(self) -> tuple[int, int]:
        """Return these limits as (low, high), in bytes."""
        return self._ssl_protocol._read_low, self._ssl_protocol._read_high

    def get_read_buffer_size(self) -> int:
        """Return the number of bytes that were received and not read yet, encrypted."""
        return self._ssl_protocol._incoming.pending  # type: ignore[no-any-return]

    # Writing.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send bytes, now or later, without waiting.

        TypeError for what is no bytes. What is written after the connection was closed is dropped; that is logged if it
        goes on.
        """
        if type(data) is not bytes:
            if not isinstance(data, (bytes, bytearray, memoryview)):
                raise TypeError(f'data: expecting a bytes-like instance, got {type(data).__name__}')
            data = bytes(data)
        if len(data) == 0:
            return
        state: cython.int = self._ssl_protocol._state
        if state != WRAPPED and state != DO_HANDSHAKE:
            if self._conn_lost >= _WARN_OF_LOST_WRITES:
                _logger.warning('SSL connection is closed')
            self._conn_lost += 1
            return
        self._backlog.append(data)
        self._size += len(data)
        if state != WRAPPED or self._ssl_protocol._blocked:
            self.maybe_pause_protocol()
        elif (
            self._size > _MOST_DEFERRED
            or self._size > self._high
            or not cython.cast(Scheduler, self._loop).defer_sending(self)
        ):
            self.send_outbox()

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Send several, in one go if possible."""
        for data in list_of_data:
            self.write(data)

    def write_eof(self) -> None:
        """Raise NotImplementedError: close_notify ends both directions, as asyncio has it."""
        raise NotImplementedError

    def can_write_eof(self) -> bool:
        """Return False."""
        return False

    def send_outbox(self) -> None:
        if self._size == 0:
            return
        tls: TLSProtocol = self._ssl_protocol
        tls.encrypt()
        if self._size > 0:
            self.maybe_pause_protocol()
        self.maybe_resume_protocol()
        if tls._state == FLUSHING and self._size == 0:
            tls.advance()

    def next_record(self) -> Any:
        """Return what the next record is to hold."""
        chunks = self._backlog
        first: bytes = chunks[0]
        left: cython.Py_ssize_t = len(first) - self._written
        if left >= _RECORD or len(chunks) == 1:
            if self._written == 0 and left <= _RECORD:
                return first
            return memoryview(first)[self._written : self._written + _RECORD]
        parts = [first[self._written :]]
        for chunk in chunks[1:]:
            left += len(chunk)
            parts.append(chunk if left <= _RECORD else chunk[: len(chunk) - (left - _RECORD)])
            if left >= _RECORD:
                break
        return b''.join(parts)

    def drop_written(self, count: cython.Py_ssize_t) -> None:
        """Forget what was encrypted."""
        chunks = self._backlog
        self._size -= count
        if self._size == 0:
            chunks.clear()
            self._written = 0
            return
        count += self._written
        whole: cython.Py_ssize_t = 0
        while count >= len(chunks[whole]):
            count -= len(chunks[whole])
            whole += 1
        del chunks[:whole]
        self._written = count

    def forget_writes(self) -> None:
        """Drop what waits to be written."""
        self._backlog.clear()
        self._size = self._written = 0

    def _test__append_write_backlog(self, data: bytes) -> None:
        self._backlog.append(data)  # of asyncio's private names, one that CPython's own tests call
        self._size += len(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the limits, in bytes, beyond which the protocol is paused and below which it is resumed.

        Default: high is 512 KiB, or four times low; low is a quarter of high. ValueError unless high >= low >= 0.
        """
        self.send_outbox()
        self._high, self._low = complete_limits(high, low, _WRITE_HIGH_WATER)
        self.maybe_pause_protocol()

    def get_write_buffer_size(self) -> int:
        """Return the number of bytes that are to be encrypted yet."""
        self.send_outbox()
        return self._size

    # The end.

    def close(self) -> None:
        """Read no more, send what was written, then close; the protocol's connection_lost(None) follows.

        TLS's own farewell is given the time of ssl_shutdown_timeout.
        """
        if not self._closing:
            self.send_outbox()
            self._closing = True
            self._ssl_protocol.start_shutdown()

    def abort(self) -> None:
        """Close without a farewell and without what waits to be written; connection_lost(None) follows."""
        self._force_close(None)

    def _force_close(self, exc: BaseException | None) -> None:
        self._closing = True
        self._ssl_protocol.abort(exc)

    def lose(self, exc: BaseException | None) -> None:
        """Have connection_lost() called in the next turn."""
        self._error = exc
        self._losing = True
        if cython.cast(Scheduler, self._loop)._status <= WAITING:  # else nobody is called any more
            cython.cast(Scheduler, self._loop).push(self)

    def run(self, scheduler: Scheduler) -> None:
        scheduler.set_current(None)
        if self._resuming:
            self._resuming = False
            self._ssl_protocol.advance()
        elif self._losing:
            self._losing = False
            failure = self.call('connection_lost', self._error)
            try:
                if failure is not None:
                    self.tell(failure, 'Fatal error: protocol.connection_lost() call failed.')
            finally:
                self.release()

    def release(self) -> None:
        """Let go of everything that would hold this."""
        self._protocol = self._receiver = self._error = None
        self._buffered = False
        self._ssl_protocol._app_transport = None

    def __del__(self) -> None:
        if self._alive:
            warnings.warn(f'unclosed transport {self!r}', ResourceWarning, source=self, stacklevel=1)
            self._alive = 0

    def __repr__(self) -> str:
        info = [type(self).__name__]
        if self._closing:
            info.append('closing' if self._alive else 'closed')
        info.append(f'bufsize={self._size}')
        return f'<{" ".join(info)} of {self._ssl_protocol!r}>'


def positive(name: str, seconds: Any, default: Any) -> Any:
    """Check a timeout."""
    if seconds is None:
        return default
    if seconds <= 0:
        raise ValueError(f'{name} should be a positive number, got {seconds}')
    return seconds


def complete_limits(high: Any, low: Any, default: cython.Py_ssize_t) -> Any:
    """Check and complete limits."""
    if high is None:
        high = default if low is None else 4 * low
    if low is None:
        low = high // 4
    if not high >= low >= 0:
        raise ValueError(f'high ({high!r}) must be >= low ({low!r}) must be >= 0')
    return high, low


def default_context(server_side: cython.bint, server_hostname: Any) -> Any:
    """Make the context of a client that did not bring one."""
    if server_side:
        raise ValueError('Server side SSL needs a valid SSLContext')
    context = ssl.create_default_context()
    if not server_hostname:
        context.check_hostname = False
    return context


def close_now(transport: Any, exc: BaseException | None) -> None:
    """Close a transport now, whoever made it; its protocol is told why if it can say so."""
    force_close = getattr(transport, '_force_close', None)
    if exc is None or force_close is None:
        transport.abort()
    else:
        force_close(exc)


copy_methods(TLSTransport, Transport)
if cython.compiled:
    _sample = TLSTransport.__new__(TLSTransport)
    recycle_future(
        TLSTransport,
        _sample,
        cython.cast(TLSTransport, _sample)._alive,
        cython.cast(TLSTransport, _sample)._attributes,  # type: ignore[attr-defined]
    )
    del _sample
