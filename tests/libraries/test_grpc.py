"""grpc.aio: a server and a client, with messages of plain bytes, so that no code has to be generated."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from conftest import PATIENCE, until

grpc = pytest.importorskip('grpc')

SERVICE = 'tests.Service'
BIG = bytes(range(256)) * 8192  # 2 MiB


class Service:
    """What the tests call, and what it saw."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def echo(self, request: bytes, context: Any) -> bytes:
        metadata = dict(context.invocation_metadata())
        if 'reply-with' in metadata:
            await context.send_initial_metadata((('given', metadata['reply-with']),))
            context.set_trailing_metadata((('closing', metadata['reply-with']),))
        return request

    async def refuse(self, request: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, 'not now')
        raise AssertionError

    async def fail(self, request: bytes, context: Any) -> bytes:
        raise ValueError('broken')

    async def wait(self, request: bytes, context: Any) -> bytes:
        self.entered.set()
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return b''

    async def count(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        for number in range(int(request)):
            yield b'%d' % number

    async def pour(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b'x' * 65536
        finally:
            self.cancelled.set()

    async def total(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        return b'%d' % sum([int(request) async for request in requests])

    async def converse(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request.upper()

    def handlers(self) -> Any:
        """Return these methods as gRPC takes them."""
        kinds = {
            grpc.unary_unary_rpc_method_handler: (self.echo, self.refuse, self.fail, self.wait),
            grpc.unary_stream_rpc_method_handler: (self.count, self.pour),
            grpc.stream_unary_rpc_method_handler: (self.total,),
            grpc.stream_stream_rpc_method_handler: (self.converse,),
        }
        handlers = {method.__name__: make(method) for make, methods in kinds.items() for method in methods}
        return grpc.method_handlers_generic_handler(SERVICE, handlers)


@contextlib.asynccontextmanager
async def serving(service: Service, credentials: Any = None, **options: Any) -> AsyncIterator[int]:
    """Serve; gives the port."""
    server = grpc.aio.server(**options)
    server.add_generic_rpc_handlers((service.handlers(),))
    if credentials is None:
        port = server.add_insecure_port('127.0.0.1:0')
    else:
        port = server.add_secure_port('localhost:0', credentials)
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)


@pytest.fixture
async def service() -> Service:
    return Service()


@pytest.fixture
async def channel(service: Service) -> AsyncIterator[Any]:
    async with serving(service) as port, grpc.aio.insecure_channel(f'127.0.0.1:{port}') as channel:
        yield channel


def method(channel: Any, name: str) -> Any:
    """The callable that calls the service's method."""
    kinds = {'count': 'unary_stream', 'pour': 'unary_stream', 'total': 'stream_unary', 'converse': 'stream_stream'}
    return getattr(channel, kinds.get(name, 'unary_unary'))(f'/{SERVICE}/{name}')


async def test_unary_call(channel: Any) -> None:
    assert await method(channel, 'echo')(b'hello', timeout=PATIENCE) == b'hello'
    assert await method(channel, 'echo')(BIG) == BIG


async def test_metadata_goes_both_ways(channel: Any) -> None:
    call = method(channel, 'echo')(b'', metadata=(('reply-with', 'a value'),))
    assert dict(await call.initial_metadata())['given'] == 'a value'
    assert dict(await call.trailing_metadata())['closing'] == 'a value'
    assert await call.code() is grpc.StatusCode.OK


async def test_many_calls_at_once(channel: Any) -> None:
    echo = method(channel, 'echo')
    requests = [b'%d' % number for number in range(300)]
    assert await asyncio.gather(*map(echo, requests)) == requests


async def test_status_and_exceptions_reach_the_caller(channel: Any, caplog: pytest.LogCaptureFixture) -> None:
    for name, code, details in (
        ('refuse', grpc.StatusCode.FAILED_PRECONDITION, 'not now'),
        ('fail', grpc.StatusCode.UNKNOWN, "Unexpected <class 'ValueError'>: broken"),
        ('missing', grpc.StatusCode.UNIMPLEMENTED, 'Method not found!'),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await method(channel, name)(b'')
        assert (caught.value.code(), caught.value.details()) == (code, details)


async def test_stream_of_responses(channel: Any) -> None:
    assert [item async for item in method(channel, 'count')(b'500')] == [b'%d' % number for number in range(500)]
    call = method(channel, 'count')(b'2')
    assert [await call.read(), await call.read(), await call.read()] == [b'0', b'1', grpc.aio.EOF]


async def test_stream_of_requests(channel: Any) -> None:
    async def numbers() -> AsyncIterator[bytes]:
        for number in range(200):
            yield b'%d' % number

    assert await method(channel, 'total')(numbers()) == b'19900'
    call = method(channel, 'total')()
    for number in (1, 2, 3):
        await call.write(b'%d' % number)
    await call.done_writing()
    assert await call == b'6'


async def test_conversation(channel: Any) -> None:
    call = method(channel, 'converse')()
    for number in range(100):
        await call.write(b'word %d' % number)
        assert await call.read() == b'WORD %d' % number
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_deadline_ends_the_call_on_both_sides(channel: Any, service: Service) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await method(channel, 'wait')(b'', timeout=0.1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(service.cancelled.wait(), PATIENCE)


async def test_cancelled_call_cancels_the_handler(channel: Any, service: Service) -> None:
    call = method(channel, 'wait')(b'')
    await asyncio.wait_for(service.entered.wait(), PATIENCE)
    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert await call.code() is grpc.StatusCode.CANCELLED
    await asyncio.wait_for(service.cancelled.wait(), PATIENCE)


async def test_cancelled_task_cancels_the_handler(
    channel: Any, service: Service, background: Callable[..., Any]
) -> None:
    async def work() -> None:
        await method(channel, 'wait')(b'')

    task = background(work())
    await asyncio.wait_for(service.entered.wait(), PATIENCE)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(service.cancelled.wait(), PATIENCE)


async def test_stream_that_nobody_reads_any_more_is_ended(channel: Any, service: Service) -> None:
    call = method(channel, 'pour')(b'')
    assert await call.read()
    call.cancel()
    await asyncio.wait_for(service.cancelled.wait(), PATIENCE)


async def test_interceptors_of_both_sides(service: Service) -> None:
    seen = []

    class OfServer(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation: Any, details: Any) -> Any:
            seen.append(('server', dict(details.invocation_metadata)['from']))
            return await continuation(details)

    class OfClient(grpc.aio.UnaryUnaryClientInterceptor):
        async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
            seen.append(('client', request))
            details.metadata.add('from', 'client')
            return await continuation(details, request)

    async with (
        serving(service, interceptors=[OfServer()]) as port,
        grpc.aio.insecure_channel(f'127.0.0.1:{port}', interceptors=[OfClient()]) as channel,
    ):
        assert await method(channel, 'echo')(b'hello', metadata=grpc.aio.Metadata()) == b'hello'
    assert seen == [('client', b'hello'), ('server', 'client')]


async def test_tls(service: Service, authority: Any) -> None:
    certificate = authority.issue_cert('localhost')
    chain = b''.join(part.bytes() for part in certificate.cert_chain_pems)
    of_server = grpc.ssl_server_credentials([(certificate.private_key_pem.bytes(), chain)])
    of_client = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
    async with (
        serving(service, of_server) as port,
        grpc.aio.secure_channel(f'localhost:{port}', of_client) as channel,
    ):
        assert await method(channel, 'echo')(BIG) == BIG


async def test_state_of_a_channel_can_be_watched(service: Service) -> None:
    async with serving(service) as port, grpc.aio.insecure_channel(f'127.0.0.1:{port}') as channel:
        assert channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.IDLE
        await asyncio.wait_for(channel.channel_ready(), PATIENCE)
        assert channel.get_state() is grpc.ChannelConnectivity.READY


async def test_server_that_stops_lets_calls_finish(service: Service) -> None:
    leave = asyncio.Event()

    async def wait(request: bytes, context: Any) -> bytes:
        service.entered.set()
        await leave.wait()
        return b'finished'

    server = grpc.aio.server()
    handler = {'wait': grpc.unary_unary_rpc_method_handler(wait)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handler),))
    port = server.add_insecure_port('127.0.0.1:0')
    await server.start()
    async with grpc.aio.insecure_channel(f'127.0.0.1:{port}') as channel:
        call = method(channel, 'wait')(b'')
        await asyncio.wait_for(service.entered.wait(), PATIENCE)
        stopping = asyncio.ensure_future(server.stop(PATIENCE))
        await until(lambda: not stopping.done())
        leave.set()
        assert await call == b'finished'
        await stopping


async def test_service_calls_another(service: Service) -> None:
    async with serving(service) as port, grpc.aio.insecure_channel(f'127.0.0.1:{port}') as inner:

        class Outer(Service):
            async def echo(self, request: bytes, context: Any) -> bytes:
                return b'outer ' + await method(inner, 'echo')(request)

        async with serving(Outer()) as outer, grpc.aio.insecure_channel(f'127.0.0.1:{outer}') as channel:
            echo = method(channel, 'echo')
            assert await asyncio.gather(*(echo(b'%d' % n) for n in range(50))) == [b'outer %d' % n for n in range(50)]
