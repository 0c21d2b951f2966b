"""The clients: programs that make requests themselves, to a database or to the system, as fast as they can.

A function takes the loop, the port of its server and how many requests to have under way, and counts those that are
answered. Nothing here may import sooner (see the package above).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from .servers import HOST, Loop


class Counter:
    """Counts the requests that were answered."""

    def __init__(self) -> None:
        self.count = 0


async def spawn(loop: Loop, port: int, concurrency: int, answered: Counter) -> None:
    async def run_programs() -> None:
        while True:
            process = await asyncio.create_subprocess_exec('/bin/true')
            if await process.wait() != 0:
                raise RuntimeError('/bin/true was not true')
            answered.count += 1

    await asyncio.gather(*[run_programs() for _ in range(concurrency)])


async def output(loop: Loop, port: int, concurrency: int, answered: Counter) -> None:
    """Read lines from children that write as fast as they can."""
    line = 'a line of what another program says'

    async def read_lines() -> None:
        process = await asyncio.create_subprocess_exec('yes', line, stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        expected = f'{line}\n'.encode()
        async for read in process.stdout:
            if read != expected:
                raise RuntimeError('a line is not what the child wrote')
            answered.count += 1

    await asyncio.gather(*[read_lines() for _ in range(concurrency)])


async def asyncpg(loop: Loop, port: int, concurrency: int, answered: Counter) -> None:
    import asyncpg

    async def query() -> None:
        connection = await asyncpg.connect(host=HOST, port=port, user='postgres', database='postgres', ssl=False)
        while True:
            if await connection.fetchval('SELECT $1::int + 1', 41) != 42:
                raise RuntimeError('PostgreSQL cannot add')
            answered.count += 1

    await asyncio.gather(*[query() for _ in range(concurrency)])


async def redis(loop: Loop, port: int, concurrency: int, answered: Counter) -> None:
    from redis.asyncio import Redis

    async def get() -> None:
        client = Redis(host=HOST, port=port, single_connection_client=True)
        await client.set('name', b'value')
        while True:
            if await client.get('name') != b'value':
                raise RuntimeError('Redis forgot a value')
            answered.count += 1

    await asyncio.gather(*[get() for _ in range(concurrency)])


CLIENTS: dict[str, Callable[[Loop, int, int, Counter], Coroutine[Any, Any, None]]] = {
    client.__name__: client for client in (spawn, output, asyncpg, redis)
}
