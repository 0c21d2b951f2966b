"""How much the stress tests do: SOONER_STRESS=100 makes them do a hundred times as much."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

SCALE = int(os.environ.get('SOONER_STRESS', '1'))


@pytest.fixture(scope='session')
def stress_scale() -> int:
    return SCALE


@pytest.fixture
def threads_switch_often(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have the interpreter switch threads after the module's SWITCH_INTERVAL, in seconds."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(request.module.SWITCH_INTERVAL)
    yield
    sys.setswitchinterval(interval)


if SCALE > 1:

    @pytest.fixture(autouse=True)
    def _no_hang() -> None:
        """Let a test take its time."""
