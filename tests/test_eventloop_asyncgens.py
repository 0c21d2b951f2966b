"""Asynchronous generators: those that nobody finished are finished by the loop."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest


def test_generator_that_is_dropped_is_closed_by_the_loop(each: Any, loop: Any, run: Any) -> None:
    log: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            log.append('closed')

    async def main() -> None:
        async for number in numbers():
            assert number == 1
            break
        gc.collect()
        for _ in range(5):
            await asyncio.sleep(0)

    run(main())
    assert log == ['closed']


def test_shutdown_closes_those_that_are_held(each: Any, loop: Any, run: Any) -> None:
    log: list[int] = []

    async def numbers(name: int) -> AsyncIterator[int]:
        try:
            yield name
        finally:
            await asyncio.sleep(0)
            log.append(name)

    async def main() -> list[Any]:
        held = [numbers(name) for name in range(5)]
        for generator in held:
            await anext(generator)
        return held

    held = run(main())
    assert log == []
    run(loop.shutdown_asyncgens())
    assert sorted(log) == list(range(5))
    del held


def test_shutdown_that_is_not_awaited_is_warned_of_by_asyncios_name(each: Any, loop: Any) -> None:
    """By which pytest-asyncio leaves that warning out."""
    with pytest.warns(RuntimeWarning, match="coroutine 'BaseEventLoop.shutdown_asyncgens' was never awaited"):
        loop.shutdown_asyncgens()


def test_shutdown_reports_what_they_raise(each: Any, loop: Any, run: Any, reports: list[dict[str, Any]]) -> None:
    async def fails() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise ValueError('while closing')

    async def main() -> Any:
        generator = fails()
        await anext(generator)
        return generator

    generator = run(main())
    run(loop.shutdown_asyncgens())
    [report] = reports
    assert report['message'].startswith('an error occurred during closing of asynchronous generator')
    assert str(report['exception']) == 'while closing'
    assert report['asyncgen'] is generator


def test_generator_begun_after_the_shutdown_warns(each: Any, loop: Any, run: Any) -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    async def main() -> None:
        await loop.shutdown_asyncgens()
        with pytest.warns(ResourceWarning, match=r'was scheduled after loop\.shutdown_asyncgens\(\) call'):
            async for _ in numbers():
                pass

    run(main())


def test_generator_that_ran_to_its_end_is_forgotten(each: Any, loop: Any, run: Any) -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    async def main() -> None:
        assert [number async for number in numbers()] == [1]

    run(main())
    gc.collect()
    assert len(loop._asyncgens) == 0


def test_hooks_are_as_before_after_a_run(each: Any, loop: Any, run: Any) -> None:
    def first(generator: Any) -> None:
        pass

    hooks = sys.get_asyncgen_hooks()
    try:
        sys.set_asyncgen_hooks(firstiter=first)

        async def main() -> None:
            assert sys.get_asyncgen_hooks().firstiter != first

        run(main())
        assert sys.get_asyncgen_hooks().firstiter is first
    finally:
        sys.set_asyncgen_hooks(*hooks)


def test_generator_dropped_after_the_loop_was_closed_is_harmless(each: Any, make_loop: Any) -> None:
    loop = make_loop(each.make_loop)

    async def numbers() -> AsyncIterator[int]:
        yield 1

    async def main() -> Any:
        generator = numbers()
        await anext(generator)
        return generator

    generator = loop.run_until_complete(main())
    loop.close()
    del generator
    gc.collect()
