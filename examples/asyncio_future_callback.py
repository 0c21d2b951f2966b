"""Callbacks run in the order of their registration, once the future is done.

A callback gets the future as its one positional argument; `functools.partial` binds anything else.
"""

from __future__ import annotations

import asyncio
import functools


def callback(future: asyncio.Future[str], n: int) -> None:
    print(f'{n}: future done: {future.result()}')


def register_callbacks(future: asyncio.Future[str]) -> None:
    print('registering callbacks on future')
    future.add_done_callback(functools.partial(callback, n=1))
    future.add_done_callback(functools.partial(callback, n=2))


async def main() -> None:
    finished: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    register_callbacks(finished)
    print('setting result of future')
    finished.set_result('the result')
    await asyncio.sleep(0)  # a turn of the loop, in which the callbacks run


if __name__ == '__main__':
    asyncio.run(main())
