"""What a suite's runs on two loops say: which tests pass on asyncio's and not on the other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from .execution import Executor, Outcome, Run
from .suites import Suite

STOCK = 'asyncio'
MOST_AGAIN = 40
"""So many tests at most are tried a second time: where more fail, it is no accident."""


@dataclass
class Comparison:
    """One suite, on asyncio and on the loop under test.

    Attributes:
        suite: what was run.
        loop: the name of the loop under test.
        stock: the outcomes on asyncio; None if only tests that did not pass on the other loop were run there.
        own: the outcomes on the loop under test.
        lost: what passes on asyncio and not on the loop under test, although nothing says that it is meant so.
        different: the same, where the suite's file says so.
        no_longer_different: what the suite's file says to be different, and passes.
        why_not: the reason why it could not be run at all, or None.
    """

    suite: Suite
    loop: str
    stock: Run | None = None
    own: Run = field(default_factory=Run)
    lost: dict[str, Outcome] = field(default_factory=dict)
    different: dict[str, Outcome] = field(default_factory=dict)
    no_longer_different: list[str] = field(default_factory=list)
    why_not: str | None = None

    @property
    def runs(self) -> list[Run]:
        return [self.own] if self.stock is None else [self.stock, self.own]

    @property
    def good(self) -> bool:
        """Whether it was run, on the loops that were asked for, and nothing was lost."""
        if self.why_not is not None or self.lost or self.no_longer_different:
            return False
        return all(run.valid and not run.notes for run in self.runs)

    @property
    def second_attempts(self) -> list[str]:
        """The tests that passed only when they were run again, each with the loop's name."""
        names = {id(self.stock): STOCK, id(self.own): self.loop}
        return [
            f'{test} ({names[id(run)]})' for run in self.runs for test, outcome in run.tests.items() if outcome.again
        ]


def compare(suite: Suite, loop: str, both: bool, only: Iterable[str] = (), keep: bool = False) -> Comparison:
    """Run a suite; without `both`, on asyncio only what fails on the loop under test.

    Raises:
        Failure: it could not be run.
    """
    only = list(only)
    executor = Executor(suite, keep)
    if loop == STOCK:
        return judge(suite, loop, None, run_twice(executor, loop, only), Run())
    stock = run_twice(executor, STOCK, only) if both else None
    own = run_twice(executor, loop, only)
    bad = [test for test, outcome in own.tests.items() if outcome.bad]
    oracle = stock
    if oracle is None:
        oracle = executor.run(STOCK, bad) if bad else Run()
    return judge(suite, loop, stock, own, oracle)


def judge(suite: Suite, loop: str, stock: Run | None, own: Run, oracle: Run) -> Comparison:
    """Compare the outcomes on the loop under test with the oracle's, those on asyncio; asyncio itself has none."""
    result = Comparison(suite, loop, stock, own)
    if loop == STOCK:
        result.lost = {test: outcome for test, outcome in own.tests.items() if outcome.bad}
        return result
    for test, outcome in oracle.tests.items():
        here = own.tests.get(test, Outcome('not run'))
        if outcome.passed and not here.passed:
            (result.lost if suite.difference(test) is None else result.different)[test] = here
    result.no_longer_different = [
        test for test, outcome in own.tests.items() if outcome.passed and suite.difference(test) is not None
    ]
    return result


def run_twice(executor: Executor, loop: str, only: list[str]) -> Run:
    """Run a suite; try once again, without the others, what did not pass."""
    run = executor.run(loop, only)
    again = [test for test, outcome in run.tests.items() if outcome.bad and executor.suite.difference(test) is None]
    if 0 < len(again) <= MOST_AGAIN:
        second = executor.run(loop, again, again=True)
        run.seconds += second.seconds
        for test, outcome in second.tests.items():
            if outcome.passed and test in again:
                run.tests[test] = outcome
                outcome.again = True
    return run
