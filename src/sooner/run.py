"""Running a program."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar

from .eventloop import new_event_loop

T = TypeVar('T')


class Runner(asyncio.Runner):  # type: ignore[misc]  # final to type checkers alone
    """asyncio.Runner, with sooner's loop unless loop_factory says otherwise."""

    def __init__(
        self, *, debug: bool | None = None, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    ) -> None:
        super().__init__(debug=debug, loop_factory=loop_factory or new_event_loop)


def run(
    main: Coroutine[Any, Any, T],
    *,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    context: Context | None = None,
) -> T:
    """Run a coroutine in a new loop, then close that; return the coroutine's result, or raise its exception.

    As asyncio.run(): what is still running at the end is cancelled and awaited, asynchronous generators and the
    default executor are shut down. RuntimeError inside a running loop.
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError('sooner.run() cannot be called from a running event loop')
    with Runner(debug=debug, loop_factory=loop_factory) as runner:
        return runner.run(main, context=context)
