"""Connections that hypothesis makes up call a protocol with the same, in the same order, on asyncio and on sooner.

SOONER_HYPOTHESIS=thorough looks at many more, other ones each time. One that fails is printed in its shortest form:
give it to `wire.run()` to see what happens.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given

from .test_programs import profile
from .wire import Wire, run, wires


@pytest.mark.filterwarnings('ignore:It looks like `register_random`')
def test_protocols_see_the_same_as_on_asyncio(ours: Any) -> None:
    @profile
    @given(wires)
    def compare(wire: Wire) -> None:
        expected = run(asyncio.SelectorEventLoop, wire)
        seen = run(ours.make_loop, wire)
        assert seen.trace == expected.trace
        assert seen.agrees(expected)

    compare()
