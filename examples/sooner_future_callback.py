"""Callbacks run in the order of their registration, once the future is done: sooner's own API.

A callback gets the future as its one positional argument; `functools.partial` binds anything else.
"""

from __future__ import annotations

import asyncio
import functools

import sooner


def callback(future: sooner.Future[str], n: int) -> None:
    print(f'{n}: future done: {future.result()}')


def register_callbacks(future: sooner.Future[str]) -> None:
    print('registering callbacks on future')
    future.add_done_callback(functools.partial(callback, n=1))
    future.add_done_callback(functools.partial(callback, n=2))


async def main() -> None:
    finished: sooner.Future[str] = sooner.Future()
    register_callbacks(finished)
    print('setting result of future')
    finished.set_result('the result')
    await asyncio.sleep(0)  # a turn of the loop, in which the callbacks run


if __name__ == '__main__':
    sooner.run(main())
