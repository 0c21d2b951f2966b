"""How much the stress tests do: SOONER_STRESS=100 makes them do a hundred times as much."""

from __future__ import annotations

import os

import pytest

SCALE = int(os.environ.get('SOONER_STRESS', '1'))


@pytest.fixture(scope='session')
def stress_scale() -> int:
    return SCALE


if SCALE > 1:

    @pytest.fixture(autouse=True)
    def _no_hang() -> None:
        """Let a test take its time."""
