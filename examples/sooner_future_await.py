"""A coroutine waits for a future with `await`: sooner's own API."""

from __future__ import annotations

import asyncio

import sooner


def mark_done(future: sooner.Future[str], result: str) -> None:
    print(f'setting future result to {result!r}')
    future.set_result(result)


async def main() -> None:
    finished: sooner.Future[str] = sooner.Future()
    print('scheduling mark_done')
    asyncio.get_running_loop().call_soon(mark_done, finished, 'the result')
    returned = await finished
    print(f'returned result: {returned!r}')


if __name__ == '__main__':
    sooner.run(main())
