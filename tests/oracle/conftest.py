"""Looking at many programs takes long, so here a single test may."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_hang() -> None:
    pass
