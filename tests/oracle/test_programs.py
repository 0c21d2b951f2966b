"""Programs that hypothesis makes up do the same things in the same order on asyncio and on sooner.

SOONER_HYPOTHESIS=thorough looks at many more programs, other ones each time. A program that fails is printed in its
shortest form: give it to `world.run()` to see what it does.
"""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import HealthCheck, assume, given, settings

from .program import Program, programs
from .world import KINDS, STOCK, Kind, run

THOROUGH = os.environ.get('SOONER_HYPOTHESIS') == 'thorough'
EXAMPLES = int(os.environ.get('SOONER_EXAMPLES', '20000' if THOROUGH else '60'))

profile = settings(
    max_examples=EXAMPLES,
    derandomize=not THOROUGH,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


# Some releases of hypothesis misread the reference counts of CPython 3.14.
@pytest.mark.filterwarnings('ignore:It looks like `register_random`')
@pytest.mark.parametrize('kind', KINDS, ids=lambda kind: kind.name)
def test_programs_run_as_on_asyncio(kind: Kind) -> None:
    @profile
    @given(programs(eager=sys.version_info >= (3, 12)))
    def compare(program: Program) -> None:
        expected = run(STOCK, program)
        assume(not expected.recursed)
        seen = run(kind, program)
        assert seen.trace == expected.trace
        assert seen.states == expected.states
        assert seen.last_words == expected.last_words

    compare()
