"""asyncpg with PostgreSQL, at the address that its own variables name."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from conftest import PATIENCE, until

asyncpg = pytest.importorskip('asyncpg')

pytestmark = pytest.mark.skipif('PGHOST' not in os.environ, reason='no PGHOST that tells where PostgreSQL is')


@pytest.fixture
async def connection() -> AsyncIterator[Any]:
    connection = await asyncpg.connect()
    yield connection
    await connection.close()


@pytest.fixture
async def other() -> AsyncIterator[Any]:
    """A second connection."""
    connection = await asyncpg.connect()
    yield connection
    await connection.close()


async def test_queries(connection: Any) -> None:
    assert await connection.fetchval('SELECT $1::int + 1', 41) == 42
    rows = await connection.fetch('SELECT n, repeat($1, n) AS text FROM generate_series(1, 1000) AS n', 'x')
    assert [(row['n'], len(row['text'])) for row in rows] == [(n, n) for n in range(1, 1001)]
    with pytest.raises(asyncpg.DivisionByZeroError):
        await connection.fetchval('SELECT 1 / $1::int', 0)
    assert await connection.fetchval("SELECT 'usable'") == 'usable'


async def test_large_values_both_ways(connection: Any) -> None:
    value = os.urandom(4 << 20)
    assert await connection.fetchval('SELECT $1::bytea', value) == value


async def test_transaction_is_rolled_back(connection: Any) -> None:
    await connection.execute('CREATE TEMPORARY TABLE account (name text, amount int)')
    with contextlib.suppress(ZeroDivisionError):
        async with connection.transaction():
            await connection.execute("INSERT INTO account VALUES ('ann', 1)")
            raise ZeroDivisionError
    async with connection.transaction():
        await connection.executemany('INSERT INTO account VALUES ($1, $2)', [(f'n{n}', n) for n in range(500)])
    assert tuple(await connection.fetchrow('SELECT count(*), sum(amount) FROM account')) == (500, 124750)


async def test_cursor_reads_in_portions(connection: Any) -> None:
    async with connection.transaction():
        numbers = [
            record['n'] async for record in connection.cursor('SELECT generate_series(1, 777) AS n', prefetch=50)
        ]
    assert numbers == list(range(1, 778))


async def test_copy_in_and_out(connection: Any) -> None:
    await connection.execute('CREATE TEMPORARY TABLE copied (n int, text text)')
    records = [(n, f'text {n}' * 20) for n in range(20000)]
    assert await connection.copy_records_to_table('copied', records=records) == 'COPY 20000'
    taken = io.BytesIO()
    await connection.copy_from_table('copied', output=taken, format='csv')
    lines = taken.getvalue().splitlines()
    assert len(lines) == 20000
    assert lines[-1].startswith(b'19999,text 19999')

    async def source() -> AsyncIterator[bytes]:
        for line in lines:
            yield line + b'\n'

    assert await connection.copy_to_table('copied', source=source(), format='csv') == 'COPY 20000'
    assert await connection.fetchval('SELECT count(*) FROM copied') == 40000


async def test_slow_consumer_of_copy_holds_the_server_back(connection: Any) -> None:
    size = 0

    async def consume(data: bytes) -> None:
        nonlocal size
        size += len(data)
        await asyncio.sleep(0)

    query = "SELECT repeat('x', 1000) FROM generate_series(1, 5000)"
    await connection.copy_from_query(query, output=consume)
    assert size == 5000 * 1001


async def test_notifications(connection: Any, other: Any) -> None:
    heard: list[tuple[str, str]] = []
    await connection.add_listener('news', lambda connection, pid, channel, payload: heard.append((channel, payload)))
    for number in range(20):
        await other.execute(f"NOTIFY news, '{number}'")
    await until(lambda: len(heard) == 20)
    assert heard == [('news', str(number)) for number in range(20)]
    await connection.remove_listener('news', next(iter(connection._listeners['news'])).cb)


async def test_query_that_takes_too_long_is_cancelled_at_the_server(connection: Any, other: Any) -> None:
    pid = connection.get_server_pid()
    with pytest.raises(TimeoutError):
        await connection.execute('SELECT pg_sleep(3600)', timeout=0.05)
    assert await connection.fetchval('SELECT 1') == 1
    state = await other.fetchval('SELECT state FROM pg_stat_activity WHERE pid = $1', pid)
    assert state == 'idle'


async def test_cancelled_task_leaves_its_connection_usable(connection: Any, background: Callable[..., Any]) -> None:
    task = background(connection.execute('SELECT pg_sleep(3600)'))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await connection.fetchval('SELECT 2') == 2


async def test_connection_that_the_server_ends_is_noticed(connection: Any, other: Any) -> None:
    ended = asyncio.Event()
    connection.add_termination_listener(lambda connection: ended.set())
    assert await other.fetchval('SELECT pg_terminate_backend($1)', connection.get_server_pid())
    async with asyncio.timeout(PATIENCE):
        await ended.wait()
    assert connection.is_closed()


async def test_pool_shares_few_connections_among_many_tasks() -> None:
    pids = set()
    async with asyncpg.create_pool(min_size=1, max_size=5) as pool:

        async def work(number: int) -> int:
            async with pool.acquire() as connection, connection.transaction():
                pids.add(connection.get_server_pid())
                return int(await connection.fetchval('SELECT $1::int FROM pg_sleep(0.001)', number))

        assert await asyncio.gather(*map(work, range(100))) == list(range(100))
    assert len(pids) <= 5


async def test_locks_block_one_connection_and_not_the_loop(
    connection: Any, other: Any, background: Callable[..., Any]
) -> None:
    await connection.execute('SELECT pg_advisory_lock(1)')
    waiting = background(other.execute('SELECT pg_advisory_lock(1)'))
    for number in range(20):
        assert await connection.fetchval('SELECT $1::int', number) == number
    assert not waiting.done()
    await connection.execute('SELECT pg_advisory_unlock(1)')
    await asyncio.wait_for(waiting, PATIENCE)
