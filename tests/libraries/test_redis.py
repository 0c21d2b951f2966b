"""redis-py's asyncio client with Redis, at the address in REDIS_URL."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from conftest import PATIENCE

redis = pytest.importorskip('redis.asyncio')

pytestmark = pytest.mark.skipif('REDIS_URL' not in os.environ, reason='no REDIS_URL that tells where Redis is')


def connect(**options: Any) -> Any:
    return redis.from_url(os.environ['REDIS_URL'], **options)


@pytest.fixture
async def client() -> AsyncIterator[Any]:
    async with connect() as client:
        await client.flushall()
        yield client


async def test_values(client: Any) -> None:
    assert await client.set('key', 'value')
    assert await client.get('key') == b'value'
    assert await client.get('nothing') is None
    with pytest.raises(redis.ResponseError):
        await client.incr('key')
    assert await client.ping()


async def test_large_values(client: Any) -> None:
    value = os.urandom(5 << 20)
    await client.set('large', value)
    assert await client.get('large') == value


async def test_pipeline_answers_in_order(client: Any) -> None:
    async with client.pipeline(transaction=False) as pipe:
        for number in range(2000):
            pipe.set(f'key:{number}', number).get(f'key:{number}')
        answers = await pipe.execute()
    assert answers[1::2] == [b'%d' % number for number in range(2000)]
    assert len([key async for key in client.scan_iter('key:*', count=100)]) == 2000


async def test_transaction_is_retried_when_a_watched_key_changes(client: Any) -> None:
    await client.set('counter', 0)

    async def increment(_: int) -> None:
        async def change(pipe: Any) -> None:
            current = int(await pipe.get('counter'))
            await asyncio.sleep(0)
            pipe.multi()
            pipe.set('counter', current + 1)

        await client.transaction(change, 'counter')

    await asyncio.gather(*map(increment, range(8)))
    assert await client.get('counter') == b'8'


async def test_subscriber_hears_every_message_in_order(client: Any) -> None:
    async with client.pubsub() as pubsub:
        await pubsub.subscribe('news')
        await pubsub.psubscribe('other.*')
        confirmed = [await pubsub.get_message(timeout=PATIENCE) for _ in range(2)]
        assert [message['type'] for message in confirmed] == ['subscribe', 'psubscribe']

        async def publish() -> None:
            async with connect() as publisher:
                for number in range(200):
                    assert await publisher.publish('news' if number % 2 else 'other.one', number) == 1

        async with asyncio.TaskGroup() as group:
            group.create_task(publish())
            heard = []
            async for message in pubsub.listen():
                heard.append(int(message['data']))
                if len(heard) == 200:
                    break
        assert heard == list(range(200))
        assert await pubsub.get_message(ignore_subscribe_messages=True, timeout=0.01) is None


async def test_blocking_command_waits_for_another_client(client: Any, background: Callable[..., Any]) -> None:
    waiting = background(client.blpop(['queue'], timeout=0))
    async with connect() as other:
        while not await other.client_list(_type='normal') or 'blpop' not in str(await other.client_list()):
            await asyncio.sleep(0.001)
        await other.rpush('queue', 'job')
    assert await asyncio.wait_for(waiting, PATIENCE) == (b'queue', b'job')


async def test_cancelled_command_spoils_no_later_answer(client: Any, background: Callable[..., Any]) -> None:
    task = background(client.blpop(['never'], timeout=0))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for number in range(20):
        assert await client.echo(f'{number}') == b'%d' % number


async def test_time_limit_of_a_command() -> None:
    async with connect(socket_timeout=0.05, retry=None) as client:
        with pytest.raises(redis.TimeoutError):
            await client.blpop(['never'], timeout=0)


async def test_many_tasks_on_a_pool_of_a_few_connections() -> None:
    pool = redis.BlockingConnectionPool.from_url(os.environ['REDIS_URL'], max_connections=5)
    async with redis.Redis.from_pool(pool) as client:
        await client.delete('counter')
        assert sorted(await asyncio.gather(*(client.incr('counter') for _ in range(300)))) == list(range(1, 301))
        assert len(await client.client_list()) <= 6


async def test_lock_is_held_by_one_task_at_a_time(client: Any) -> None:
    inside, most = 0, 0

    async def work() -> None:
        nonlocal inside, most
        async with client.lock('lock', timeout=PATIENCE, sleep=0.001):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(work() for _ in range(10)))
    assert most == 1


@pytest.mark.skipif('REDIS_SOCKET' not in os.environ, reason='no REDIS_SOCKET that tells the path of its socket')
async def test_unix_socket() -> None:
    async with redis.Redis(unix_socket_path=os.environ['REDIS_SOCKET']) as client:
        assert await client.echo('unix') == b'unix'


async def test_server_that_ends_the_connection_is_noticed(client: Any) -> None:
    async with connect(single_connection_client=True, retry=None) as victim:
        number = await victim.client_id()
        await client.client_kill_filter(_id=number)
        with pytest.raises(redis.ConnectionError):
            await victim.ping()
        assert await victim.ping()
        assert await victim.client_id() != number
