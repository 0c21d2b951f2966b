"""The fuzzer finds nothing in the time of a test; it is run for longer by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wire_fuzz import run_cases


def test_wire_may_do_what_it_likes(ours: Any, run: Callable[[Any], Any]) -> None:
    assert run(run_cases(seed=1, first=0, cases=150, seconds=60)) > 0
