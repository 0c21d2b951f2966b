"""For the tests of this folder: programs as people write them, on whatever loop asyncio gives.

Nothing here knows of a loop. `make libraries` runs them on asyncio's and on sooner's; by hand, in an environment that
has the library, `pytest tests/libraries/test_aiohttp.py` does the one, and `sooner run -m pytest ...` the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

PATIENCE = 20.0
"""Seconds that nothing here takes, on any machine."""


@pytest.fixture(autouse=True)
async def _nothing_unhandled() -> AsyncIterator[None]:
    """Fail a test by which something reached the loop's exception handler, or that takes too long."""
    contexts: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: contexts.append(context))
    yield
    assert not contexts


@pytest.fixture(scope='session')
def authority() -> Any:
    """A certificate authority for these tests."""
    return pytest.importorskip('trustme').CA()


@pytest.fixture(scope='session')
def server_tls(authority: Any) -> ssl.SSLContext:
    """For a server on localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert('localhost', '127.0.0.1', '::1').configure_cert(context)
    return context


@pytest.fixture(scope='session')
def client_tls(authority: Any) -> ssl.SSLContext:
    """For a client that trusts that server and no other."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


@pytest.fixture
async def background() -> AsyncIterator[Callable[[Awaitable[Any]], asyncio.Task[Any]]]:
    """Run something beside the test; what is still running at its end is cancelled, and must accept that."""
    tasks: list[asyncio.Task[Any]] = []

    def start(awaitable: Awaitable[Any]) -> asyncio.Task[Any]:
        tasks.append(asyncio.ensure_future(awaitable))
        return tasks[-1]

    yield start
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], Any]) -> None:
    """Give way until something that another task, process or peer brings about is true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.002)
