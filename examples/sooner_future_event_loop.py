"""A callback completes a future, and the loop runs until the future is done: sooner's own API."""

from __future__ import annotations

import sooner


def mark_done(future: sooner.Future[str], result: str) -> None:
    print(f'setting future result to {result!r}')
    future.set_result(result)


def main() -> None:
    loop = sooner.new_event_loop()
    finished: sooner.Future[str] = sooner.Future(loop=loop)
    try:
        print('scheduling mark_done')
        loop.call_soon(mark_done, finished, 'the result')
        print('entering event loop')
        returned = loop.run_until_complete(finished)
        print(f'returned result: {returned!r}')
    finally:
        print('closing event loop')
        loop.close()
    # A future keeps its result when its loop is gone.
    print(f'future result: {finished.result()!r}')


if __name__ == '__main__':
    main()
