"""What the two outcomes of a test mean: stock asyncio's says whether the test applies, the other whether it holds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from . import selection
from .launch import Outcome
from .selection import Unit
from .substitution import Mode


class Verdict(StrEnum):
    PASSED = 'passed'
    DIFFERENCE = 'deliberate difference'
    FAILED = 'failed'
    NOT_APPLICABLE = 'not applicable'


@dataclass
class Result:
    """One test, judged.

    Attributes:
        verdict: see `Verdict`; passed, deliberate difference and failed are the applicable tests.
        reason: why it does not apply, or what the difference is.
        stock: its outcome on stock asyncio, None where it was not run.
        own: its outcome on the loop under test, None where it was not run.
    """

    module: str
    verdict: Verdict
    reason: str = ''
    stock: Outcome | None = None
    own: Outcome | None = None

    @property
    def applicable(self) -> bool:
        return self.verdict in (Verdict.PASSED, Verdict.DIFFERENCE, Verdict.FAILED)


def uses_subject(mode: Mode, outcome: Outcome) -> bool:
    """Whether the test used what its mode puts in asyncio's place.

    As written, the class itself names the classes under test; the worker has checked that they are not asyncio's.
    """
    if mode is Mode.AS_WRITTEN:
        return True
    if mode is Mode.OWN_TASKS:
        return outcome.tasks > 0
    return outcome.loops > 0


def judge_stock(unit: Unit, stock: Outcome) -> Result | None:
    """Why a test with that outcome on stock asyncio is not run on the loop under test; None if it is."""
    if not stock.passed:
        reason = f'On stock asyncio here it is {stock.outcome}: {stock.why}'.strip()
        return Result(unit.module, Verdict.NOT_APPLICABLE, reason, stock)
    if not uses_subject(unit.mode, stock):
        what = 'makes no task' if unit.mode is Mode.OWN_TASKS else 'makes no loop'
        return Result(unit.module, Verdict.NOT_APPLICABLE, f'It {what}.', stock)
    return None


def judge(unit: Unit, stock: Outcome, own: Outcome, difference: str | None) -> Result:
    """The verdict on a test that was run on both; `difference` is the reason of a deliberate difference, if one."""
    if own.outcome == 'skipped':
        return Result(unit.module, Verdict.NOT_APPLICABLE, f'It skips itself on this loop: {own.why}', stock, own)
    if own.passed and not uses_subject(unit.mode, own):
        own.outcome, own.why = 'failed', 'it passed without using the loop under test'
    elif own.passed and own.stray_loops and unit.mode in (Mode.OWN_LOOP, Mode.STOCK_TASKS):
        own.outcome, own.why = 'failed', "a loop of asyncio's own was made"
    if own.passed:
        return Result(unit.module, Verdict.PASSED, '', stock, own)
    if difference is not None:
        return Result(unit.module, Verdict.DIFFERENCE, difference, stock, own)
    return Result(unit.module, Verdict.FAILED, '', stock, own)


def not_applicable(unit: Unit, test: str) -> Result | None:
    """The verdict on a test that a rule excludes; None if no rule does."""
    reason = selection.reason_not_applicable(unit.test_id(test))
    return None if reason is None else Result(unit.module, Verdict.NOT_APPLICABLE, reason)
