"""What connections do differently from asyncio's, on purpose: the rest of the table in docs/compatibility.md."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest

Run = Callable[[Any], Any]


def test_what_one_callback_writes_leaves_when_it_returns(ours: Any, run: Run) -> None:
    async def main() -> None:
        left, right = socket.socketpair()
        with right:
            right.setblocking(False)
            transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=left)
            transport.write(b'one ')
            transport.write(b'two')
            try:
                early = right.recv(100)
            except BlockingIOError:
                early = b''
            await asyncio.sleep(0)
            assert (early, right.recv(100)) == (b'', b'one two')
            transport.write(b'asked for')
            assert transport.get_write_buffer_size() == 0
            assert right.recv(100) == b'asked for'
            transport.close()

    run(main())


class Raises(asyncio.Protocol):
    """Fails as soon as it is connected."""

    def __init__(self) -> None:
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        raise ValueError('connected')

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost.set_result(exc)


def test_connection_made_that_raises_ends_a_connection_and_who_connects_is_told(ours: Any, run: Run) -> None:
    async def main() -> None:
        left, right = socket.socketpair()
        with right:
            protocol = Raises()
            with pytest.raises(ValueError, match='connected') as raised:
                await asyncio.get_running_loop().create_connection(lambda: protocol, sock=left)
            assert await protocol.lost is raised.value
            assert right.recv(1) == b''

    run(main())


def test_connection_made_that_raises_ends_an_accepted_connection_and_is_reported(
    ours: Any, run: Run, reports: list[dict[str, Any]]
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(Raises, '127.0.0.1', 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert await reader.read() == b''
            writer.close()

    run(main())
    assert [str(report['exception']) for report in reports] == ['connected']


def test_protocol_factory_that_raises_is_reported(ours: Any, run: Run, reports: list[dict[str, Any]]) -> None:
    def factory() -> asyncio.Protocol:
        raise ValueError('no protocol')

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(factory, '127.0.0.1', 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert await reader.read() == b''
            writer.close()

    run(main())
    assert [str(report['exception']) for report in reports] == ['no protocol']


def test_methods_of_a_protocol_share_a_context(ours: Any, run: Run) -> None:
    variable: ContextVar[str] = ContextVar('variable', default='unset')

    class Notes(asyncio.Protocol):
        def __init__(self) -> None:
            self.seen: list[str] = []
            self.lost = asyncio.get_running_loop().create_future()

        def connection_made(self, transport: Any) -> None:
            self.seen.append(variable.get())
            variable.set('made')

        def data_received(self, data: bytes) -> None:
            self.seen.append(variable.get())
            variable.set('received')

        def connection_lost(self, exc: BaseException | None) -> None:
            self.seen.append(variable.get())
            self.lost.set_result(None)

    async def main() -> None:
        variable.set('outside')
        left, right = socket.socketpair()
        with right:
            _, notes = await asyncio.get_running_loop().create_connection(Notes, sock=left)
            right.sendall(b'x')
        await notes.lost
        assert notes.seen == ['outside', 'made', 'received']
        assert variable.get() == 'outside'

    run(main())
