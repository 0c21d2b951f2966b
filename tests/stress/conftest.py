"""How much the stress tests do: SOONER_STRESS=100 makes them do a hundred times as much."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

SCALE = int(os.environ.get('SOONER_STRESS', '1'))


@pytest.fixture(scope='session')
def stress_scale() -> int:
    return SCALE


if SCALE > 1:

    @pytest.fixture(autouse=True)
    def _no_hang() -> Iterator[None]:
        """Let a test take its time."""
        yield
