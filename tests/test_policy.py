"""install(), uninstall() and the policy: programs that cannot be changed get our loop."""

from __future__ import annotations

import asyncio
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import sooner

has_policies = hasattr(asyncio.events, 'AbstractEventLoopPolicy') or hasattr(asyncio.events, '_AbstractEventLoopPolicy')
pytestmark = pytest.mark.skipif(not has_policies, reason='this Python has no event loop policies any more')


async def loop_class() -> type:
    return type(asyncio.get_running_loop())


def get_policy() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        return asyncio.get_event_loop_policy()


def set_policy(policy: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        asyncio.set_event_loop_policy(policy)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = get_policy()
    yield
    sooner.uninstall()
    set_policy(before)


def test_nothing_is_installed_by_importing() -> None:
    assert not isinstance(get_policy(), sooner.EventLoopPolicy)
    loop = asyncio.new_event_loop()
    assert type(loop) is not sooner.Loop
    loop.close()


def test_installed_asyncio_makes_our_loops() -> None:
    sooner.install()
    assert asyncio.run(loop_class()) is sooner.Loop
    with asyncio.Runner() as runner:
        assert runner.run(loop_class()) is sooner.Loop
    loop = asyncio.new_event_loop()
    assert type(loop) is sooner.Loop
    loop.close()


def test_uninstalled_asyncio_makes_its_own() -> None:
    before = get_policy()
    sooner.install()
    assert get_policy() is not before
    sooner.uninstall()
    assert get_policy() is before
    assert asyncio.run(loop_class()) is not sooner.Loop


def test_installing_and_uninstalling_twice_is_harmless() -> None:
    before = get_policy()
    sooner.install()
    installed = get_policy()
    sooner.install()
    assert get_policy() is installed
    sooner.uninstall()
    assert get_policy() is before
    sooner.uninstall()
    assert get_policy() is before


def test_policy_is_set_as_asyncio_has_it() -> None:
    set_policy(sooner.EventLoopPolicy())
    assert asyncio.run(loop_class()) is sooner.Loop
    policy = get_policy()
    loop = policy.new_event_loop()
    policy.set_event_loop(loop)
    assert policy.get_event_loop() is loop
    policy.set_event_loop(None)
    with pytest.raises(RuntimeError, match='no current event loop'):
        policy.get_event_loop()
    loop.close()


def test_policy_is_one_of_asyncios_and_named_ours() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        assert issubclass(sooner.EventLoopPolicy, asyncio.DefaultEventLoopPolicy)
    assert sooner.EventLoopPolicy is sooner.EventLoopPolicy
    assert (sooner.EventLoopPolicy.__module__, sooner.EventLoopPolicy.__name__) == ('sooner', 'EventLoopPolicy')


def test_our_install_warns_of_nothing(python: Any) -> None:
    done = python(
        """
import asyncio, sooner
sooner.install()
async def main():
    return type(asyncio.get_running_loop()).__module__
print(asyncio.run(main()))
sooner.uninstall()
print(asyncio.run(main()).partition('.')[0])
""",
        options=('-W', 'error'),
    )
    assert (done.stdout, done.stderr) == ('sooner.eventloop\nasyncio\n', '')


@pytest.mark.skipif(sys.version_info >= (3, 14), reason='since Python 3.14 asyncio makes no loop that nobody asked for')
def test_get_event_loop_of_the_policy_makes_our_loop() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        policy = sooner.EventLoopPolicy()
        loop = policy.get_event_loop()
    assert type(loop) is sooner.Loop
    loop.close()
