"""A coroutine waits for a future with `await`, as it would for another coroutine."""

from __future__ import annotations

import asyncio


def mark_done(future: asyncio.Future[str], result: str) -> None:
    print(f'setting future result to {result!r}')
    future.set_result(result)


async def main() -> None:
    loop = asyncio.get_running_loop()
    finished: asyncio.Future[str] = loop.create_future()
    print('scheduling mark_done')
    loop.call_soon(mark_done, finished, 'the result')
    returned = await finished
    print(f'returned result: {returned!r}')


if __name__ == '__main__':
    asyncio.run(main())
