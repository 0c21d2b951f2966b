"""Child processes: how they start, talk, and end."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import pytest


def test_communicate_moves_more_than_pipes_hold(each: Any, run: Any) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec(
            'cat', stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        data = b'x' * 1_000_000
        assert await process.communicate(data) == (data, None)
        assert process.returncode == 0

    run(main())


@pytest.mark.parametrize('name', ['kill', 'terminate'])
def test_signal_is_the_negative_exit_code(each: Any, run: Any, name: str) -> None:
    async def main() -> None:
        process = await asyncio.create_subprocess_exec('sleep', '1000')
        getattr(process, name)()
        assert await process.wait() == -(signal.SIGKILL if name == 'kill' else signal.SIGTERM)

    run(main())
