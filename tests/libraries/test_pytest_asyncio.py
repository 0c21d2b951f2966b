"""pytest-asyncio: loops of a factory that a project names in its own conftest.py."""

from __future__ import annotations

import os

import pytest

pytest.importorskip('pytest_asyncio')
pytest_plugins = ['pytester']

LOOP = os.environ.get('LIBRARIES_LOOP') or 'asyncio:new_event_loop'
MODULE, _, FACTORY = LOOP.partition(':')


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A project whose tests run on that loop and on asyncio's own."""
    pytester.makeini('[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n')
    pytester.makeconftest(
        f"""
        import asyncio
        import {MODULE}

        def pytest_asyncio_loop_factories(config, item):
            return {{'named': {MODULE}.{FACTORY}, 'stock': asyncio.unix_events._UnixSelectorEventLoop}}
        """
    )
    return pytester


def test_each_test_runs_on_the_loops_of_the_factories(project: pytest.Pytester) -> None:
    project.makepyfile(
        f"""
        import asyncio
        import pytest

        @pytest.fixture
        async def server():
            async def answer(reader, writer):
                writer.write((await reader.readline()).upper())
                await writer.drain()
                writer.close()
            async with await asyncio.start_server(answer, '127.0.0.1', 0) as server:
                yield server.sockets[0].getsockname()

        async def test_loop(request):
            module = type(asyncio.get_running_loop()).__module__.partition('.')[0]
            assert module == ('asyncio' if 'stock' in request.node.name else {MODULE!r})

        async def test_streams(server):
            reader, writer = await asyncio.open_connection(*server)
            writer.write(b'hello\\n')
            assert await reader.read() == b'HELLO\\n'
            writer.close()
            await writer.wait_closed()

        async def test_process():
            process = await asyncio.create_subprocess_exec('echo', 'hello', stdout=asyncio.subprocess.PIPE)
            assert (await process.communicate())[0] == b'hello\\n'
        """
    )
    project.runpytest_subprocess('-q', '-W', 'error').assert_outcomes(passed=6)


def test_fixture_of_a_module_shares_its_loop_with_the_tests(project: pytest.Pytester) -> None:
    project.makepyfile(
        """
        import asyncio
        import pytest
        import pytest_asyncio

        pytestmark = pytest.mark.asyncio(loop_scope='module')

        @pytest_asyncio.fixture(loop_scope='module', scope='module')
        async def queue():
            queue, loop = asyncio.Queue(), asyncio.get_running_loop()
            task = asyncio.create_task(queue.put(loop))
            yield queue
            await task

        async def test_first(queue):
            assert await queue.get() is asyncio.get_running_loop()
            await queue.put(asyncio.get_running_loop())

        async def test_second(queue):
            assert await queue.get() is asyncio.get_running_loop()
        """
    )
    project.runpytest_subprocess('-q', '-W', 'error').assert_outcomes(passed=4)
