"""websockets: its server and its client, with each other."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE, until

websockets = pytest.importorskip('websockets')
from websockets.asyncio.client import connect, unix_connect  # noqa: E402
from websockets.asyncio.server import ServerConnection, broadcast, serve, unix_serve  # noqa: E402

BIG = os.urandom(4 << 20)


class Service:
    """What the tests talk to, and what it saw."""

    def __init__(self) -> None:
        self.connections: set[Any] = set()
        self.left: list[tuple[int | None, str | None]] = []

    async def __call__(self, connection: Any) -> None:
        self.connections.add(connection)
        try:
            async for message in connection:
                if message == 'leave':
                    await connection.close(4000, 'as you wish')
                elif message == 'break':
                    raise RuntimeError('broken')
                else:
                    await connection.send(message)
        finally:
            self.connections.discard(connection)
            self.left.append((connection.close_code, connection.close_reason))


@pytest.fixture
async def service() -> Service:
    return Service()


@pytest.fixture
async def server(service: Service) -> AsyncIterator[Any]:
    async with serve(service, 'localhost', 0, max_size=None) as server:
        yield server


@pytest.fixture
async def address(server: Any) -> str:
    return f'ws://localhost:{server.sockets[0].getsockname()[1]}'


@pytest.mark.parametrize('compression', ['deflate', None])
async def test_messages_come_back_in_order(address: str, compression: str | None) -> None:
    messages: list[str | bytes] = [text for n in range(100) for text in (f'text {n}', b'bytes %d' % n)]
    async with connect(address, compression=compression) as socket, asyncio.TaskGroup() as group:

        async def send() -> None:
            for message in messages:
                await socket.send(message)

        group.create_task(send())
        assert [await socket.recv() for _ in messages] == messages


async def test_large_message_in_one_frame_and_in_many(address: str) -> None:
    async with connect(address, max_size=None, compression=None) as socket:
        await socket.send(BIG)
        assert await socket.recv() == BIG
        await socket.send(BIG[start : start + 65536] for start in range(0, len(BIG), 65536))
        assert b''.join([part async for part in socket.recv_streaming()]) == BIG


async def test_many_clients_at_once(address: str) -> None:
    async def converse(number: int) -> None:
        async with connect(address) as socket:
            for turn in range(10):
                await socket.send(f'{number} {turn}')
                assert await socket.recv() == f'{number} {turn}'

    await asyncio.gather(*map(converse, range(50)))


async def test_broadcast_reaches_everybody(address: str, service: Service) -> None:
    sockets = [await connect(address) for _ in range(20)]
    await until(lambda: len(service.connections) == 20)
    broadcast(service.connections, 'news')
    assert [await socket.recv() for socket in sockets] == ['news'] * 20
    await asyncio.gather(*(socket.close() for socket in sockets))
    await until(lambda: len(service.left) == 20)


async def test_closing_tells_both_sides_why(address: str, service: Service) -> None:
    async with connect(address) as socket:
        await socket.send('leave')
        with pytest.raises(websockets.ConnectionClosedError):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (4000, 'as you wish')
    async with connect(address) as socket:
        await socket.close(4001, 'enough')
    await until(lambda: (4001, 'enough') in service.left)


async def test_handler_that_fails_closes_with_1011(address: str, caplog: pytest.LogCaptureFixture) -> None:
    async with connect(address) as socket:
        await socket.send('break')
        with pytest.raises(websockets.ConnectionClosedError) as caught:
            await socket.recv()
    assert caught.value.rcvd.code == 1011
    await until(lambda: 'connection handler failed' in caplog.text)


async def test_pings_are_answered(address: str) -> None:
    async with connect(address) as socket:
        assert await asyncio.wait_for(await socket.ping(), PATIENCE) >= 0


async def test_peer_that_answers_no_ping_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from websockets.server import ServerProtocol

        protocol = ServerProtocol()
        while not (events := protocol.events_received()):
            protocol.receive_data(await reader.read(65536))
        protocol.send_response(protocol.accept(events[0]))
        writer.writelines(protocol.data_to_send())
        while await reader.read(65536):  # and says no more
            pass
        writer.close()

    server = await asyncio.start_server(silent, '127.0.0.1', 0)
    address = f'ws://127.0.0.1:{server.sockets[0].getsockname()[1]}'
    async with server, connect(address, ping_interval=0.05, ping_timeout=0.05, close_timeout=0.05) as socket:
        with pytest.raises(websockets.ConnectionClosedError) as caught:
            await asyncio.wait_for(socket.recv(), PATIENCE)
    assert caught.value.sent.reason == 'keepalive ping timeout'


async def test_slow_reader_holds_the_sender_back() -> None:
    sent = 0

    async def pour(connection: Any) -> None:
        nonlocal sent
        for _ in range(300):
            await connection.send(BIG[:65536])
            sent += 1

    async with (
        serve(pour, '127.0.0.1', 0, compression=None) as server,
        connect(f'ws://127.0.0.1:{server.sockets[0].getsockname()[1]}', max_queue=2, compression=None) as socket,
    ):
        before = -1
        while sent > before:  # until no more fits
            before = sent
            await asyncio.sleep(0.1)
        assert sent < 300
        assert sum([len(message) async for message in socket]) == 300 * 65536


async def test_server_that_shuts_down_says_so(service: Service) -> None:
    server = await serve(service, '127.0.0.1', 0)
    address = f'ws://127.0.0.1:{server.sockets[0].getsockname()[1]}'
    sockets = [await connect(address) for _ in range(5)]
    await until(lambda: len(service.connections) == 5)
    server.close()
    for socket in sockets:
        with pytest.raises(websockets.ConnectionClosedOK) as caught:
            await socket.recv()
        assert caught.value.rcvd.code == 1001
    await asyncio.wait_for(server.wait_closed(), PATIENCE)
    with pytest.raises(ConnectionRefusedError):
        await connect(address)


async def test_client_connects_again_and_again(service: Service) -> None:
    heard = []
    async with serve(service, '127.0.0.1', 0) as server:
        async for socket in connect(f'ws://127.0.0.1:{server.sockets[0].getsockname()[1]}'):
            try:
                await socket.send(f'message {len(heard)}')
                heard.append(await socket.recv())
                if len(heard) == 3:
                    break
                await socket.send('leave')
                await socket.recv()
            except websockets.ConnectionClosed:
                continue
        await socket.close()
    assert heard == ['message 0', 'message 1', 'message 2']


async def test_request_may_be_answered_without_a_websocket(service: Service) -> None:
    def only_with_a_token(connection: ServerConnection, request: Any) -> Any:
        if request.headers.get('Authorization') != 'Bearer token':
            return connection.respond(401, 'who are you?\n')
        return None

    async with serve(service, '127.0.0.1', 0, process_request=only_with_a_token) as server:
        address = f'ws://127.0.0.1:{server.sockets[0].getsockname()[1]}'
        with pytest.raises(websockets.InvalidStatus) as caught:
            await connect(address)
        assert caught.value.response.body == b'who are you?\n'
        async with connect(address, additional_headers={'Authorization': 'Bearer token'}) as socket:
            await socket.send('hello')
            assert await socket.recv() == 'hello'


async def test_tls(service: Service, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async with serve(service, 'localhost', 0, ssl=server_tls, max_size=None) as server:
        address = f'wss://localhost:{server.sockets[0].getsockname()[1]}'
        async with connect(address, ssl=client_tls, max_size=None) as socket:
            await socket.send(BIG)
            assert await socket.recv() == BIG
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(address, ssl=ssl.create_default_context())


async def test_unix_socket(service: Service, tmp_path: Path) -> None:
    path = str(tmp_path / 'socket')
    async with unix_serve(service, path), unix_connect(path) as socket:
        await socket.send('hello')
        assert await socket.recv() == 'hello'


async def test_receiving_can_be_cancelled_and_begun_again(address: str) -> None:
    async with connect(address) as socket:
        for number in range(10):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(socket.recv(), 0.005)
            await socket.send(f'{number}')
            assert await socket.recv() == f'{number}'
