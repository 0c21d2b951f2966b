"""Making asyncio's own functions give sooner's loop: in this process, for programs that can't be changed."""

from __future__ import annotations

import asyncio
import sys
import warnings
from typing import Any

from .eventloop import Loop, new_event_loop

_previous: list[Any] = []


def _policies() -> Any:
    """Return the module that has the policies; they are deprecated since 3.14, and still what decides there."""
    if not hasattr(asyncio.events, 'AbstractEventLoopPolicy') and not hasattr(
        asyncio.events, '_AbstractEventLoopPolicy'
    ):
        raise RuntimeError(
            f'Python {sys.version_info.major}.{sys.version_info.minor} has no event loop policies any more: '
            'use sooner.run(), or asyncio.run(main, loop_factory=sooner.new_event_loop)'
        )
    return asyncio.events


def _make_policy_class() -> type[Any]:
    _policies()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        base: Any = asyncio.DefaultEventLoopPolicy

    class EventLoopPolicy(base):  # type: ignore[misc]
        """asyncio's default policy, making sooner's loops."""

        _loop_factory = Loop

        def new_event_loop(self) -> Loop:
            """Make a new loop."""
            return new_event_loop()

    EventLoopPolicy.__module__ = 'sooner'
    EventLoopPolicy.__qualname__ = 'EventLoopPolicy'
    return EventLoopPolicy


def __getattr__(name: str) -> Any:
    if name == 'EventLoopPolicy':  # made when asked for: asyncio warns who touches the base class
        globals()[name] = _make_policy_class()
        return globals()[name]
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def _set_policy(policy: Any) -> None:
    events: Any = _policies()
    setter = getattr(events, '_set_event_loop_policy', None) or events.set_event_loop_policy
    setter(policy)


def _get_policy() -> Any:
    events: Any = _policies()
    getter = getattr(events, '_get_event_loop_policy', None) or events.get_event_loop_policy
    return getter()


def install() -> None:
    """Have asyncio.run(), asyncio.Runner(), asyncio.new_event_loop() and get_event_loop() give sooner's loops."""
    policy_class = globals().get('EventLoopPolicy') or __getattr__('EventLoopPolicy')
    current = _get_policy()
    if not isinstance(current, policy_class):
        _previous.append(current)
        _set_policy(policy_class())


def uninstall() -> None:
    """Undo install()."""
    if _previous:
        _set_policy(_previous.pop())
